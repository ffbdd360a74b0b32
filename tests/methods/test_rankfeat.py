"""RankFeat by hand and against singular values."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from torch import nn

from oodbench.errors import ConfigError
from oodbench.networks.tinynet import TinyNet
from oodbench.plugins import registry
from tests.fitting import batch_of_images, fit_inputs

rankfeat = importlib.import_module(registry.method("rankfeat").__module__)


def test_the_largest_singular_value_goes():
    diagonal = torch.diag(torch.tensor([3.0, 5.0, 1.0]))[None]

    assert torch.allclose(rankfeat.without_largest(diagonal), torch.diag(torch.tensor([3.0, 0.0, 1.0])), atol=1e-6)


@pytest.mark.parametrize("shape", [(6, 4, 9), (6, 9, 4), (6, 1, 5), (6, 5, 1)])
def test_what_is_left_has_the_other_singular_values(shape):
    matrices = torch.tensor(np.random.default_rng(0).normal(size=shape))

    left = torch.linalg.svdvals(rankfeat.without_largest(matrices))

    expected = torch.linalg.svdvals(matrices)
    expected[:, 0] = 0
    torch.testing.assert_close(left, expected.sort(dim=1, descending=True).values, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("matrix", [torch.zeros(2, 3, 4), torch.ones(2, 3, 4)])
def test_maps_of_zeros_or_of_one_value_become_zeros(matrix):
    assert torch.allclose(rankfeat.without_largest(matrix), torch.zeros(2, 3, 4), atol=1e-6)


def batch(network, n=7, seed=0):
    images = np.random.default_rng(seed).integers(0, 256, (n, 1, 8, 8), dtype=np.uint8)
    return batch_of_images(network, images, np.arange(n) % 3)


def network():
    torch.manual_seed(0)
    return TinyNet((1, 8, 8), 3).eval().requires_grad_(requires_grad=False)


def test_score_is_the_energy_of_the_mean_logits_of_both_layers():
    net = network()
    test = batch(net)

    detector = registry.method("rankfeat")().fit(fit_inputs(batch(net, seed=1), network=net))

    def logits(after):
        maps = net.body[: after + 1](test.images)
        u, s, v = torch.linalg.svd(maps.flatten(2), full_matrices=False)
        s[:, 0] = 0
        return net.head(net.body[after + 1 :]((u * s[:, None] @ v).view(maps.shape)))

    # The ReLU before the pooling gives the last map of 8×8, the pooling that of 4×4.
    assert detector.layers == ("body.3", "body.4")
    expected = ((logits(3) + logits(4)) / 2).logsumexp(dim=1)
    torch.testing.assert_close(detector.score(test).float(), expected, rtol=1e-4, atol=1e-5)


def test_classes_are_those_of_the_unchanged_network_and_no_hooks_stay():
    net = network()
    test = batch(net)
    detector = registry.method("rankfeat")(score="msp").fit(fit_inputs(test, network=net))

    assert torch.isfinite(detector.score(test)).all()
    assert torch.equal(detector.classify(test), test.logits.argmax(dim=1))
    assert not any(module._forward_hooks for module in net.modules())


class Flat(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 5))
        self.head = nn.Linear(5, 3)

    def features(self, images):
        return self.body(images)


def test_networks_without_maps_are_refused():
    net = Flat().eval()

    with pytest.raises(ConfigError, match="rankfeat needs a layer that gives maps"):
        registry.method("rankfeat")().fit(fit_inputs(batch(net), network=net))


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match="layers must be last"):
        registry.method("rankfeat")(layers=())
    with pytest.raises(ConfigError, match="score must be one of"):
        registry.method("rankfeat")(score="x")
    with pytest.raises(ConfigError, match="no layer 'penultimate'"):
        registry.method("rankfeat")(layers=("penultimate",)).fit(fit_inputs(batch(network()), network=network()))
