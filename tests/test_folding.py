"""Batch normalisation that is folded into convolutions: the same outputs, and never where they would be others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from oodbench.folding import folded
from oodbench.forward import Forward, outputs_in_memory, says

CPU = torch.device("cpu")
SHAPE = (3, 8, 8)


class Net(nn.Module):
    """Convolutions with batch normalisation; a subclass says what goes through what."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.conv2, self.norm2 = nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False), nn.BatchNorm2d(6)
        self.head = nn.Linear(6, 4)

    def maps(self, images):
        return self.norm2(self.conv2(self.norm(self.conv(images)).relu())).relu()

    def features(self, images):
        return self.maps(images).mean(dim=(2, 3))

    def forward(self, images):
        return self.head(self.features(images))


class Skips(Net):
    def maps(self, images):
        first = self.conv(images)
        return self.norm(first) + first


class RectifiesBetween(Net):
    def maps(self, images):
        return self.norm(torch.relu_(self.conv(images)))


class UsesTwice(Net):
    def maps(self, images):
        first = self.conv2(self.norm(self.conv(images)))
        return self.norm2(self.conv2(first))


class Random(Net):
    def maps(self, images):
        return super().maps(images) + torch.rand(())


class Uncopied(Net):
    def __deepcopy__(self, memo):
        raise RuntimeError("it holds a file")


class Padded(nn.Conv2d):
    """A convolution with a way of its own, as in EfficientNet-Lite's package."""

    def forward(self, images):
        padded = nn.functional.pad(images, (0, 1, 0, 1))
        return nn.functional.conv2d(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class PadsByItself(Net):
    def __init__(self):
        super().__init__()
        self.conv = Padded(3, 6, 2)


def network(kind=Net):
    torch.manual_seed(0)
    made = kind()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return made.eval().requires_grad_(requires_grad=False)


def norms(module):
    return [name for name, layer in module.named_modules() if isinstance(layer, nn.BatchNorm2d)]


def fold(module, watched=frozenset()):
    return folded(module, SHAPE, CPU, says, watched)


@pytest.mark.parametrize("kind", [Net, PadsByItself])
def test_a_folded_network_says_the_same_without_batch_normalisation(kind):
    whole, images = network(kind), torch.rand(5, *SHAPE)
    other = fold(whole)

    assert norms(other) == []
    assert norms(whole) == ["norm", "norm2"]
    torch.testing.assert_close(says(other, images), says(whole, images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [Skips, RectifiesBetween, Random, Uncopied])
def test_a_network_that_would_say_something_else_is_left_as_it_is(kind):
    whole = network(kind)
    assert fold(whole) is whole


def test_a_convolution_that_is_used_twice_keeps_what_follows_it():
    assert norms(fold(network(UsesTwice))) == ["norm2"]


def test_what_is_watched_is_not_folded():
    assert norms(fold(network(), watched={"conv"})) == ["norm"]
    # What comes out of a batch normalisation is the same.
    assert norms(fold(network(), watched={"norm"})) == []
    whole = network()
    assert fold(whole, watched={"conv", "conv2"}) is whole


def test_folding_moves_no_random_numbers():
    module = network(Random)
    before = torch.get_rng_state()
    fold(module)
    assert torch.equal(torch.get_rng_state(), before)


@dataclass(frozen=True)
class Maps:
    """What a convolution gives."""

    name: str = "maps"

    def layers(self, network, shape):
        return ["conv"]

    def of(self, maps):
        return maps["conv"].flatten(1)


def test_readings_of_a_folded_network_are_those_of_the_whole():
    whole, images = network(), np.random.default_rng(0).integers(0, 256, (5, *SHAPE), dtype=np.uint8)
    with torch.no_grad():
        expected = whole.conv(torch.tensor(images) / 255).flatten(1)

    np.testing.assert_allclose(outputs_in_memory(whole, images, CPU, [Maps()])["maps"], expected, rtol=1e-5, atol=1e-5)


def test_a_network_that_is_made_ready_once_says_what_each_pass_says():
    whole, images = network(), np.random.default_rng(0).integers(0, 256, (300, *SHAPE), dtype=np.uint8)
    ready = Forward(whole, SHAPE, CPU)

    for name, values in outputs_in_memory(whole, images, CPU).items():
        # To the last bit, in two pieces that batches divide.
        pieces = [ready.in_memory(part)[name] for part in (images[:256], images[256:])]
        np.testing.assert_array_equal(np.concatenate(pieces), values)
