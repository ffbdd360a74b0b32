"""Flow, VAE and their ratio: objectives, scores, and what training moves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from oodbench.errors import ConfigError, TrainingError
from oodbench.plugins import registry
from tests.learning import learn, noise, setting, stripes
from tests.named_outputs import NamedBatch

QUICK = {"flow": {"width": 8, "couplings": 2}, "vae": {"width": 4, "latent": 3}}


def method(name, **settings):
    return registry.method(name)(**{**QUICK.get(name, {}), **settings})


@pytest.mark.parametrize("name", QUICK)
def test_score_is_the_log_likelihood(name):
    detector = method(name).fit(None)
    batch = NamedBatch({"log_likelihood": [-3.5, -1.0]})

    assert detector.score(batch).tolist() == [-3.5, -1.0]
    assert detector.classify(batch) is None


@pytest.mark.parametrize("name", QUICK)
def test_loss_is_minus_the_mean_likelihood(name):
    (objective,) = method(name).networks
    outputs = {"log_likelihood": torch.tensor([-1.0, -2.0, -6.0])}

    assert objective.loss(outputs, None, None).item() == pytest.approx(3)


@pytest.mark.parametrize("name", QUICK)
def test_training_makes_its_kind_of_image_more_likely_than_noise(name):
    (objective,) = method(name).networks

    network, losses = learn(objective, stripes(), steps=60, learning_rate=1e-2)

    with torch.no_grad():
        familiar, strange = (network.outputs(images)["log_likelihood"] for images in (stripes(seed=5), noise()))
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.5
    assert familiar.min() > strange.max()


@pytest.mark.parametrize("name", QUICK)
def test_same_seed_gives_the_same_network(name):
    (objective,) = method(name).networks

    first, second = (learn(objective, stripes(), steps=3)[0] for _ in range(2))

    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_likelihood_that_is_no_number_names_the_step_and_what_to_lower():
    (objective,) = method("flow").networks

    class Lost(nn.Module):
        def __init__(self):
            super().__init__()
            self.steps = 0
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, images):
            self.steps += 1
            return {"log_likelihood": self.weight * images.sum() + (float("nan") if self.steps == 3 else 0.0)}

    message = r"flow became nan in step 3; lower the learning rate: --set recipe.learning_rate=0.0003"
    with pytest.raises(TrainingError, match=message):
        learn(objective, stripes(), network=Lost(), steps=5)


def test_long_gradients_are_shortened():
    (objective,) = method("flow").networks

    class Steep(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(4))

        def forward(self, images):
            return {"log_likelihood": 1e6 * self.weight.sum() * torch.ones(len(images))}

    network = Steep()
    images = stripes()
    learner = objective.learner(network, setting(images))

    learner.step(images, None)

    assert network.weight.grad.norm().item() == pytest.approx(10)


def test_ratio_by_hand():
    batch = NamedBatch({"log_likelihood": [-2.0, -5.0]}, others=({"log_likelihood": [-3.0, -1.0]},))
    detector = registry.method("likelihood_ratio")().fit(None)

    assert detector.score(batch).tolist() == [1.0, -4.0]
    assert detector.classify(batch) is None


@pytest.mark.parametrize("density", ["flow", "vae"])
def test_ratio_shares_its_first_network_with_the_density_and_noises_the_second(density):
    first, second = registry.method("likelihood_ratio")(density=density, noised=0.3).networks

    assert (first,) == registry.method(density)().networks
    assert second.noised == 0.3
    assert second.name == first.name


def test_noised_network_finds_noise_less_unlikely():
    _, objective = registry.method("likelihood_ratio")(density="vae", noised=0.3, width=4).networks
    plain, _ = registry.method("likelihood_ratio")(density="vae", width=4).networks
    images, strange = stripes(), noise()

    def gap(trained):
        with torch.no_grad():
            familiar, far = (trained.outputs(part)["log_likelihood"].mean() for part in (images, strange))
        return (familiar - far).item()

    noised, clean = (learn(each, images, steps=100, learning_rate=1e-2)[0] for each in (objective, plain))

    assert gap(noised) < gap(clean)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("flow", {"width": 0}),
        ("flow", {"couplings": 0}),
        ("flow", {"draws": 0}),
        ("vae", {"latent": 0}),
        ("vae", {"draws": 0}),
        ("likelihood_ratio", {"noised": 0.0}),
        ("likelihood_ratio", {"noised": 1.0}),
    ],
)
def test_impossible_settings_are_refused(name, settings):
    with pytest.raises(ConfigError, match=f"{next(iter(settings))} must be"):
        registry.method(name)(**settings)
