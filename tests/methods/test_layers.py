"""Which layers are looked at, and what the axes of their outputs mean."""

from __future__ import annotations

import importlib

import pytest
import torch
from torch import nn

from oodbench.errors import ConfigError
from oodbench.networks.resnet import ResNet18
from oodbench.networks.tinynet import TinyNet
from oodbench.networks.vgg import VGG13
from oodbench.networks.wrn import WRN16x4
from oodbench.plugins import registry

METHODS = registry.method("msp").__module__.rsplit(".", 1)[0]
layers = importlib.import_module(f"{METHODS}._layers")


class Transposed(nn.Module):
    """Gives its maps with channels last, or as tokens, or in a way that nobody knows."""

    def __init__(self, change):
        super().__init__()
        self.change = change

    def forward(self, maps):
        return self.change(maps)


class Net(nn.Module):
    def __init__(self, change):
        super().__init__()
        self.first = nn.Conv2d(3, 5, 3, padding=1)
        self.changed = Transposed(change)
        self.eval().requires_grad_(requires_grad=False)

    def features(self, images):
        maps = self.first(images)
        self.changed(maps)
        return maps.mean(dim=(2, 3))


@pytest.mark.parametrize(
    "change",
    [
        lambda maps: maps,
        lambda maps: maps.permute(0, 2, 3, 1),
        lambda maps: maps.flatten(2).transpose(1, 2),
        lambda maps: maps.mean(dim=(2, 3)),
    ],
    ids=["channels first", "channels last", "tokens", "flat"],
)
@pytest.mark.parametrize("size", [(4, 6, 6), (4, 6, 9)])
def test_means_are_taken_over_space_wherever_channels_stand(change, size):
    images = torch.rand(4, 3, *size[1:])
    network = Net(change)

    (means,) = layers.activations(network, images, ["changed"])

    torch.testing.assert_close(means, network.first(images).mean(dim=(2, 3)))


@pytest.mark.parametrize(
    "change",
    [lambda maps: maps[None], lambda maps: maps.flatten(2).permute(2, 0, 1)],
    ids=["five axes", "tokens first"],
)
def test_outputs_of_other_shapes_are_refused(change):
    with pytest.raises(ConfigError, match=r"layer 'changed' gives shape .*; take another layer"):
        layers.activations(Net(change), torch.rand(4, 3, 6, 6), ["changed"])


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((9, 64, 8, 8), "channels_first"),
        ((9, 8, 8, 64), "channels_last"),
        ((9, 8, 8, 8), "channels_first"),
        ((9, 64, 1, 1), "channels_first"),
        ((9, 1, 1, 64), "channels_last"),
        ((9, 64, 4, 12), "channels_first"),
        ((9, 64), "flat"),
        ((9, 64, 3), "tokens"),
        ((9,), None),
    ],
)
def test_layouts_are_told_apart_by_the_shape_of_the_image(shape, kind):
    assert layers.layout(shape, (9, 3, 32, 32)) == kind


def test_maps_of_images_that_are_not_square_are_told_apart_too():
    assert layers.layout((9, 8, 8, 24), (9, 3, 32, 96)) == "channels_first"
    assert layers.layout((9, 8, 24, 8), (9, 3, 32, 96)) == "channels_last"


@pytest.mark.parametrize("kind", ["channels_first", "channels_last", "tokens", "flat"])
def test_matrices_go_back_to_where_they_came_from(kind):
    output = torch.rand({"tokens": (2, 6, 5), "flat": (2, 5)}.get(kind, (2, 3, 4, 5)))

    matrices = layers.by_position(output, kind)

    assert torch.equal(layers.from_positions(matrices, output, kind), output)


@pytest.mark.parametrize(
    ("builder", "shape", "names"),
    [
        (ResNet18, (3, 32, 32), ("stem.2", "stages.0", "stages.1", "stages.2", "penultimate")),
        (
            VGG13,
            (3, 32, 32),
            (
                *(f"convolutions.{i}" for i in (1, 3, 8, 13, 18)),
                "convolutions",
                "penultimate",
            ),
        ),
        (TinyNet, (1, 8, 8), ("body.1", "body.3", "body.4", "penultimate")),
    ],
)
def test_layers_are_the_stem_and_the_last_of_each_resolution_without_duplicates(builder, shape, names):
    torch.manual_seed(0)
    network = builder(shape, 10).eval()

    assert layers.last_of_each_resolution(network, torch.rand(4, *shape)) == names


@pytest.mark.parametrize("builder", [ResNet18, WRN16x4])
def test_no_two_layers_have_the_same_means(builder):
    torch.manual_seed(0)
    network, images = builder((3, 32, 32), 10).eval(), torch.rand(2, 3, 32, 32)

    with torch.no_grad():
        means = layers.activations(network, images, layers.last_of_each_resolution(network, images))

    same = [a.shape == b.shape and torch.allclose(a, b) for i, a in enumerate(means) for b in means[:i]]
    assert not any(same)


def test_modules_in_front_of_activations_are_the_last_before_each():
    network = TinyNet((1, 8, 8), 3).eval()

    assert layers.in_front_of_activations(network, torch.rand(2, 1, 8, 8)) == ("body.0", "body.2", "body.6")


def test_without_activation_modules_convolutions_and_linear_layers_stand_for_them():
    assert layers.in_front_of_activations(Net(nn.functional.relu), torch.rand(2, 3, 8, 8)) == ("first",)


def test_networks_without_modules_in_front_of_activations_are_refused():
    class Bare(nn.Module):
        def features(self, images):
            return images.flatten(1)

    with pytest.raises(ConfigError, match="no module in front of an activation function"):
        layers.in_front_of_activations(Bare(), torch.rand(2, 3, 8, 8))
