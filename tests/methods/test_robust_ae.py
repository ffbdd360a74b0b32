"""The robust auto-encoder: shrinkage by hand, and training images that do not belong."""

from __future__ import annotations

import importlib

import pytest
import torch
from torch import nn

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.learning import built, learn, noise, stripes
from tests.named_outputs import NamedBatch

robust = importlib.import_module(f"{registry.method('robust_ae').__module__.rpartition('.')[0]}._robust")


def objective(**settings):
    (found,) = registry.method("robust_ae")(**{"width": 4, "code_dim": 4, **settings}).networks
    return found


def test_score_is_minus_the_error():
    detector = registry.method("robust_ae")().fit(None)

    assert detector.score(NamedBatch({"error": [0.5, 0.0]})).tolist() == [-0.5, 0.0]


def test_pixels_shrink_by_the_penalty_and_stay_at_zero():
    residuals = torch.tensor([[[[0.5, -0.5, 0.1, -0.3]]]])

    result = robust.shrunk(residuals, 0.2, by_image=False)

    assert result.flatten().tolist() == pytest.approx([0.3, -0.3, 0.0, -0.1])


def test_images_shrink_as_a_whole():
    # Root mean squares of 0.5 and 0.1.
    residuals = torch.tensor([[[[0.7, 0.1]]], [[[0.1, -0.1]]]])

    result = robust.shrunk(residuals, 0.2, by_image=True)

    assert result[0].flatten().tolist() == pytest.approx([0.7 * 0.6, 0.1 * 0.6])
    assert result[1].flatten().tolist() == [0.0, 0.0]
    assert result[0].square().mean().sqrt().item() == pytest.approx(0.3)
    assert torch.equal(robust.shrunk(torch.zeros(1, 1, 2, 2), 0.2, by_image=True), torch.zeros(1, 1, 2, 2))


def test_what_is_set_aside_is_found_in_rounds_by_hand():
    # The decoder draws half of what it is given, whatever the logit.
    network = robust.RobustAutoencoder(nn.Identity(), nn.Identity(), by_image=False, penalty=0.1, rounds=2)
    network.decode = lambda code: 0.5 * code
    images = torch.tensor([[[[1.0, 0.1]]]])

    aside = network.set_aside(images)

    # Round 1: S = shrink(x − x/2); round 2: S = shrink(x − (x − S)/2).
    first = 1.0 - 0.5 - 0.1
    assert aside.flatten().tolist() == pytest.approx([1.0 - 0.5 * (1.0 - first) - 0.1, 0.0])


def test_error_is_that_of_the_images_without_it_in_training_and_of_the_images_in_use():
    torch.manual_seed(0)
    network = built(objective(norm="l1"), (1, 8, 8))
    images = noise(8)

    aside = network.set_aside(images)
    trained = network.train()(images)["error"]
    used = network.eval()(images)

    assert aside.abs().max() > 0
    assert torch.allclose(used["error"], (network.decode(used["code"]) - images).square().mean(dim=(1, 2, 3)))
    assert (trained < used["error"]).all()


@torch.no_grad()
def ratio(network):
    """Return by how much worse outliers are drawn than the other images."""
    strange, familiar = (network.outputs(images)["error"].mean() for images in (noise(8), stripes(56, seed=5)))
    return (strange / familiar).item()


def test_outliers_in_training_are_drawn_less_well_than_by_a_plain_autoencoder():
    images = torch.cat([stripes(56), noise(8)])
    found = objective(code_dim=16, penalty=0.15)
    start, _ = learn(found.starts_from, images, steps=40)
    robustly = built(found, (1, 8, 8))
    found.begin(robustly, start)

    learn(found, images, network=robustly, steps=120)
    plain, _ = learn(found.starts_from, images, network=start, steps=120)

    assert ratio(robustly) > ratio(plain)


def test_network_starts_from_all_of_the_autoencoder():
    found = objective()
    start, network = built(found.starts_from, (1, 8, 8)), built(found, (1, 8, 8), seed=1)

    found.begin(network, start)

    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), start.parameters(), strict=True))


@pytest.mark.parametrize("settings", [{"penalty": 0.0}, {"rounds": 0}, {"width": 0}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ConfigError, match=f"{next(iter(settings))} must be"):
        registry.method("robust_ae")(**settings)
