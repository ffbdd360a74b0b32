"""Deep SVDD against its equations, and its centre and radius."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.learning import built, learn, noise, setting, stripes
from tests.named_outputs import NamedBatch


def objective(**settings):
    (found,) = registry.method("deep_svdd")(**{"width": 4, "code_dim": 4, **settings}).networks
    return found


def test_score_is_minus_the_squared_distance():
    detector = registry.method("deep_svdd")().fit(None)

    assert detector.score(NamedBatch({"distance": [0.5, 2.0]})).tolist() == [-0.5, -2.0]


def test_losses_by_hand():
    outputs = {"distance": torch.tensor([0.0, 2.0, 7.0]), "squared_radius": torch.tensor(1.0)}

    assert objective().loss(outputs, None, None).item() == pytest.approx(3)
    # R² + 1/ν · mean of (0, 1, 6).
    assert objective(boundary="soft", nu=0.5).loss(outputs, None, None).item() == pytest.approx(1 + 2 * 7 / 3)


def test_distance_is_that_of_the_code_to_the_centre():
    network = built(objective(), (1, 8, 8)).eval()
    network.centre.copy_(torch.tensor([1.0, 0.0, -1.0, 2.0]))

    outputs = network.outputs(stripes(5))

    expected = (outputs["code"] - network.centre).square().sum(dim=1)
    assert torch.allclose(outputs["distance"], expected)
    assert set(outputs) == {"distance", "code"}


def test_network_has_no_bias_and_starts_from_the_encoder_of_an_autoencoder_without():
    found = objective()
    start, network = built(found.starts_from, (1, 8, 8)), built(found, (1, 8, 8), seed=1)

    found.begin(network, start)

    assert [name for name, _ in network.named_parameters() if "bias" in name] == []
    assert all(
        torch.equal(a, b)
        for a, b in zip(network.encoder.state_dict().values(), start.encoder.state_dict().values(), strict=True)
    )


def test_centre_is_the_mean_code_of_the_first_epoch_in_which_nothing_is_learnt():
    found, images = objective(), stripes(32)
    network = built(found, (1, 8, 8))
    before = {name: weight.clone() for name, weight in network.named_parameters()}
    learner = found.learner(network, setting(images, steps=40, batch_size=16))

    for part in images.split(16):
        learner.step(part, None)

    codes = network.eval().encoder(images)
    expected = codes.mean(dim=0)
    near_zero = expected.abs() < 0.1
    assert torch.allclose(network.centre[~near_zero], expected[~near_zero], atol=1e-5)
    assert (network.centre[near_zero].abs() == torch.tensor(0.1)).all()
    assert all(torch.equal(weight, before[name]) for name, weight in network.named_parameters())


def test_training_draws_codes_to_the_centre_and_leaves_it_where_it_is():
    found, images = objective(), stripes(32)
    network = built(found, (1, 8, 8))

    trained, losses = learn(found, images, network=network, steps=80)

    with torch.no_grad():
        familiar, strange = (trained.outputs(part)["distance"].mean() for part in (stripes(seed=5), noise()))
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[8:13])
    assert familiar < strange


def test_soft_boundary_s_radius_is_the_quantile_of_the_last_batch_and_zero_before():
    found, images = objective(boundary="soft", nu=0.25), stripes(16)
    network = built(found, (1, 8, 8))
    learner = found.learner(network, setting(images, steps=30))
    radii = []
    for _ in range(30):
        learner.step(images, None)
        radii.append(network.squared_radius.item())

    # Three steps count, six have no radius.
    assert radii[0] == 0
    assert radii[6] == 0
    assert radii[-1] > 0
    # Training moves on from the batch that the quantile was taken of, but by one step only.
    with torch.no_grad():
        quantile = network.train()(images)["distance"].quantile(0.75).item()
    assert radii[-1] == pytest.approx(quantile, rel=0.2)


def test_a_learner_goes_on_from_its_state():
    found, images = objective(), stripes(16)
    first, second = built(found, (1, 8, 8)), built(found, (1, 8, 8), seed=1)
    learner, other = (found.learner(network, setting(images, steps=20)) for network in (first, second))
    for _ in range(5):
        learner.step(images, None)

    other.load_state_dict(learner.state_dict())

    assert other.step(images, None).item() == learner.step(images, None).item()


@pytest.mark.parametrize("settings", [{"nu": 0.0}, {"nu": 1.5}, {"code_dim": 0}, {"width": 0}, {"weight_decay": -1.0}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ConfigError, match=f"{next(iter(settings))} must be"):
        registry.method("deep_svdd")(**settings)
