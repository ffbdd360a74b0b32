"""CEDA and ACET against the formulas of Hein et al. (CVPR 2019), by hand."""

from __future__ import annotations

import importlib
import math

import pytest
import torch
from torch import nn

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.training_steps import id_images, trained

HOME = registry.method("ceda").__module__.rpartition(".")[0]
noise = importlib.import_module(f"{HOME}._noise_outliers")


def objective(method="ceda", **settings):
    (found,) = registry.method(method)(**settings).networks
    return found


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_loss_by_hand():
    # An ID image of class 1 with probability 3/4; noise images with largest probabilities 3/4 and 1/2.
    logits = torch.tensor([[0.0, math.log(3)], [math.log(3), 0.0], [0.0, 0.0]])
    expected = -math.log(3 / 4) + 0.5 * (math.log(3 / 4) + math.log(1 / 2)) / 2

    assert noise.noise_loss(logits, torch.tensor([1]), 0.5).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("shape", [(4, 1, 8, 8), (4, 3, 6, 5), (4, 3, 32, 32)])
def test_noise_has_the_shape_of_the_images_and_uses_the_whole_range(shape):
    made = noise.noise_like(torch.rand(shape, generator=generator()), 0.5, generator(1))

    assert made.shape == shape
    assert made.amin(dim=(1, 2, 3)).tolist() == [0.0] * 4
    assert made.amax(dim=(1, 2, 3)).tolist() == [1.0] * 4


def test_noise_is_smooth():
    made = noise.noise_like(torch.rand(20, 1, 16, 16, generator=generator()), 0.5, generator(1))
    neighbours = (made[..., 1:] - made[..., :-1]).abs().mean()
    far = (made[..., 8:] - made[..., :-8]).abs().mean()

    assert neighbours < 0.6 * far


def test_shuffled_images_keep_their_pixels_and_their_colours(monkeypatch):
    monkeypatch.setattr(noise, "_smooth", lambda images, std: images)
    monkeypatch.setattr(noise, "_stretched", lambda images: images)
    images = torch.rand(4, 3, 5, 5, generator=generator())

    made = noise.noise_like(images, 0.5, generator(1))

    for k in range(2):
        pixels, shuffled = (sorted(x[k].flatten(1).T.tolist()) for x in (images, made))
        assert shuffled == pixels
        assert not made[k].equal(images[k])
    assert sorted(made[3].flatten().tolist()) != sorted(images[3].flatten().tolist())


class Brightness(nn.Module):
    """Two classes; the logit of the first is half the sum of the pixels."""

    def forward(self, images):
        total = 0.5 * images.flatten(1).sum(dim=1)
        return torch.stack([total, torch.zeros_like(total)], dim=1)


def test_worst_case_is_towards_higher_confidence_within_the_ball_and_the_range_of_pixels():
    images = torch.tensor([0.2, 0.5, 0.9]).reshape(3, 1, 1, 1).repeat(1, 1, 2, 2)

    worst = noise.worst_near(Brightness(), images, 0.3, 5, generator())

    # From a random point on the wrong side, as many steps as lead over ε bring a pixel back to where it was at least.
    assert (worst >= images - 1e-6).all()
    assert worst.amax(dim=(1, 2, 3)).tolist() == pytest.approx([0.5, 0.8, 1.0])


def test_worst_case_is_never_better_than_the_image_itself():
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3))
    images = torch.rand(40, 1, 4, 4, generator=generator())

    worst = noise.worst_near(network, images, 0.05, 1, generator())

    assert (noise.log_confidence(network(worst)) >= noise.log_confidence(network(images)) - 1e-6).all()
    assert (worst - images).abs().max() <= 0.05 + 1e-6


def test_worst_case_leaves_the_network_as_it_was():
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 3), nn.BatchNorm1d(3)).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    noise.worst_near(network, torch.rand(4, 1, 4, 4), 0.1, 2, generator())

    assert network.training
    assert all(tensor.equal(before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize(("method", "settings"), [("ceda", {}), ("acet", {"steps": 3, "epsilon": 0.1})])
def test_training_makes_the_classifier_undecided_about_noise(method, settings):
    images, labels = id_images(30, seed=7)
    outliers = noise.noise_like(images, 0.5, generator(5))
    confidence = {}
    for weight in (0.0, 1.0):
        network = trained(objective(method, weight=weight, **settings), steps=60)
        assert (network(images).argmax(1) == labels).float().mean() > 0.9
        confidence[weight] = network(outliers).softmax(1).amax(1).mean().item()

    assert confidence[1.0] < 0.55
    assert confidence[1.0] < confidence[0.0] - 0.1


def test_defaults_are_those_of_the_paper():
    acet = registry.method("acet")()

    assert (acet.epsilon, acet.steps, acet.weight, acet.permuted) == (0.3, 40, 1.0, 0.5)
    assert acet.sees == registry.method("ceda")().sees == frozenset()
    assert objective("acet") != objective("ceda")


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("ceda", {"weight": -1.0}),
        ("ceda", {"permuted": 1.5}),
        ("acet", {"epsilon": 0.0}),
        ("acet", {"epsilon": 2.0}),
        ("acet", {"steps": 0}),
    ],
)
def test_impossible_settings_are_refused(method, settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        registry.method(method)(**settings)
