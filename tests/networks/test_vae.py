"""The VAE's bound against sums over all images, and its pixel models against their definitions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from oodbench.errors import ConfigError
from oodbench.networks.vae import VAE, discretised_logistic, with_random_pixels

ALL = torch.cartesian_prod(torch.arange(256), torch.arange(256)).float().reshape(-1, 1, 1, 2) / 255


def two_pixels(pixels, latent=1, draws=8, seed=0):
    """Return a VAE of linear layers on images of two pixels."""
    torch.manual_seed(seed)
    parameters = 2 if pixels == "bernoulli" else 4
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(2, 2 * latent))
    decoder = nn.Sequential(nn.Linear(latent, parameters), nn.Unflatten(1, (parameters // 2, 1, 2)))
    return VAE(encoder, decoder, latent, pixels=pixels, draws=draws).eval()


@pytest.mark.parametrize(("mean", "log_scale"), [(0.3, -1.0), (-0.9, -4.0), (1.0, 1.0), (0.999, -7.0)])
def test_discretised_logistic_adds_up_to_1(mean, log_scale):
    logs = discretised_logistic(
        torch.arange(256).double() / 255, torch.tensor(mean).double(), torch.tensor(log_scale).double()
    )

    assert logs.exp().sum().item() == pytest.approx(1, rel=1e-9)


def test_discretised_logistic_is_the_mass_between_the_edges_of_a_bin():
    distribution = torch.sigmoid
    pixel, mean, scale = 100 / 255, 0.1, 0.2
    upper, lower = ((2 * pixel - 1 - mean + side / 255) / scale for side in (1, -1))
    expected = distribution(torch.tensor(upper).double()) - distribution(torch.tensor(lower).double())

    given = (torch.tensor(value).double() for value in (pixel, mean, math.log(scale)))

    assert discretised_logistic(*given).exp().item() == pytest.approx(expected.item(), rel=1e-6)


def test_discretised_logistic_far_from_its_mean_is_small_and_finite():
    logs = discretised_logistic(torch.tensor([0.0, 0.5, 1.0]), torch.tensor(-1.0), torch.tensor(-7.0))

    assert torch.isfinite(logs).all()
    assert logs[2].item() == pytest.approx(-(2 - 1 / 255) * math.exp(7), rel=1e-3)


@torch.no_grad()
def test_probabilities_of_all_images_of_two_pixels_add_up_to_1_for_each_code():
    network = two_pixels("logistic")

    total = network.log_likelihood(ALL, torch.full((len(ALL), 1), 0.7)).double().exp().sum()

    assert total.item() == pytest.approx(1, rel=1e-4)


@torch.no_grad()
def test_bound_is_below_the_likelihood_that_integrates_over_codes_by_the_divergence_from_the_posterior():
    network = two_pixels("logistic", draws=2000)
    images, codes = ALL[::8001], torch.linspace(-6, 6, 601)
    logs = torch.stack([network.log_likelihood(images, code.expand(len(images), 1)) for code in codes]).double()
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(codes)[:, None]
    likelihood = (logs + prior).logsumexp(dim=0) + math.log(12 / 600)
    mean, log_variance = network.posterior(images)
    q = torch.distributions.Normal(mean[:, 0], torch.exp(0.5 * log_variance[:, 0])).log_prob(codes[:, None])
    divergence = (q.exp() * (q - (logs + prior - likelihood))).sum(dim=0) * 12 / 600

    bound = network.outputs(images)["log_likelihood"] * 2 * math.log(2)

    assert (bound < likelihood).all()
    assert torch.allclose(bound.double(), likelihood - divergence, atol=0.1)


@torch.no_grad()
def test_bernoulli_bound_by_hand():
    network = two_pixels("bernoulli", draws=1)
    nn.init.zeros_(network.encoder[1].weight)
    network.encoder[1].bias.copy_(torch.tensor([1.0, 0.0]))
    nn.init.zeros_(network.decoder[0].weight)
    network.decoder[0].bias.copy_(torch.tensor([0.0, math.log(3)]))

    result = network.outputs(torch.tensor([[[[1.0, 1.0]]], [[[0.0, 0.0]]]]))["log_likelihood"]

    # Mean 1 and variance 1 against a standard normal: half a nat; the pixels have probabilities 1/2 and 3/4.
    divergence = 0.5
    expected = [
        (math.log(0.5) + math.log(0.75) - divergence) / (2 * math.log(2)),
        (math.log(0.5) + math.log(0.25) - divergence) / (2 * math.log(2)),
    ]
    assert result.tolist() == pytest.approx(expected, rel=1e-6)


@torch.no_grad()
def test_bernoulli_probabilities_of_black_and_white_images_add_up_to_1_for_each_code():
    network = two_pixels("bernoulli")
    images = torch.cartesian_prod(torch.arange(2), torch.arange(2)).float().reshape(-1, 1, 1, 2)

    total = network.log_likelihood(images, torch.full((4, 1), 0.7)).exp().sum()

    assert total.item() == pytest.approx(1, rel=1e-6)


@torch.no_grad()
def test_evaluation_uses_the_same_noise_for_every_image_and_training_fresh_noise():
    network = two_pixels("logistic")

    whole, one = (network.outputs(ALL[part])["log_likelihood"] for part in (slice(50), slice(7, 8)))
    network.train()

    assert torch.allclose(whole[7], one[0])
    assert not torch.equal(network(ALL[:50])["log_likelihood"], network(ALL[:50])["log_likelihood"])


def test_gradient_of_the_bound_reaches_encoder_and_decoder():
    network = two_pixels("logistic").train()

    network(ALL[:10])["log_likelihood"].mean().backward()

    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_random_pixels_take_the_place_of_a_share():
    images = torch.full((100, 1, 10, 10), 0.1)
    torch.manual_seed(0)

    noised = with_random_pixels(images, 0.3)

    changed = noised != images
    assert changed.float().mean().item() == pytest.approx(0.3, abs=0.02)
    assert noised[changed].mean().item() == pytest.approx(0.5, abs=0.02)
    assert torch.equal((noised[changed] * 255).round() / 255, noised[changed])
    assert with_random_pixels(images, 0.0) is images


def test_unknown_pixel_model_is_refused():
    with pytest.raises(ConfigError, match="pixels must be one of logistic, bernoulli, got 'gaussian'"):
        VAE(nn.Identity(), nn.Identity(), 1, pixels="gaussian")
