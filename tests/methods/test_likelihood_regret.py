"""Likelihood regret, where the best posterior is known and where training has moved it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from oodbench.api import FitInputs
from oodbench.errors import ConfigError
from oodbench.networks.vae import VAE
from oodbench.plugins import registry
from tests.learning import learn, noise, stripes
from tests.named_outputs import NamedBatch


def scores(network, images, **settings):
    method = registry.method("likelihood_regret")(**settings)
    network.requires_grad_(requires_grad=False)
    inputs = FitInputs(
        networks=(network,), train=None, validation=None, seen_ood=None, ood_test={}, n_classes=1, seed=0
    )
    detector = method.fit(inputs)
    assert detector.classify(None) is None
    with torch.no_grad():
        return detector.score(NamedBatch(images=images))


def test_regret_by_hand_where_the_decoder_does_not_look_at_the_code():
    # The best posterior is then the prior, and the regret is the divergence from it: (2² + e − 1 − 1) / 2 nats.
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    decoder = nn.Sequential(nn.Linear(1, 2), nn.Unflatten(1, (1, 1, 2)))
    for layer in (encoder[1], decoder[0]):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    encoder[1].bias.data = torch.tensor([2.0, 1.0])
    network = VAE(encoder, decoder, 1, pixels="bernoulli").eval()

    result = scores(network, torch.rand(3, 1, 1, 2), steps=150)

    expected = -(4 + math.e - 1 - 1) / 2 / (2 * math.log(2))
    assert result.tolist() == pytest.approx([expected] * 3, rel=1e-2)


@pytest.fixture(scope="module")
def trained():
    (objective,) = registry.method("likelihood_regret")(width=4, latent=3).networks
    return learn(objective, stripes(), steps=100, learning_rate=1e-2)[0]


def test_strange_images_have_more_regret_than_familiar_ones(trained):
    familiar, strange = (scores(trained, images, steps=20) for images in (stripes(seed=5), noise()))

    assert familiar.median() > strange.median()
    assert strange.max() < 0


def test_regret_grows_with_the_steps_and_none_is_lost(trained):
    few, many = (scores(trained, noise(), steps=steps).mean() for steps in (5, 50))

    assert many < few < 0


def test_an_image_has_the_same_regret_alone(trained):
    images = stripes(seed=5)

    whole, alone = scores(trained, images, steps=10), scores(trained, images[3:4], steps=10)

    assert whole[3].item() == pytest.approx(alone.item(), rel=1e-5, abs=1e-7)


def test_network_is_that_of_the_vae_and_left_alone(trained):
    before = {name: tensor.clone() for name, tensor in trained.state_dict().items()}

    scores(trained, noise(4), steps=3)

    assert registry.method("likelihood_regret")().networks == registry.method("vae")().networks
    assert all(torch.equal(tensor, before[name]) for name, tensor in trained.state_dict().items())
    assert all(parameter.grad is None for parameter in trained.parameters())


@pytest.mark.parametrize("settings", [{"steps": 0}, {"learning_rate": 0.0}, {"draws": 0}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ConfigError, match=f"{next(iter(settings))} must be"):
        registry.method("likelihood_regret")(**settings)
