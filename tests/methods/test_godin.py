"""Generalized ODIN against the formulas of Hsu et al. (CVPR 2020), by hand."""

from __future__ import annotations

import importlib
import math

import pytest
import torch
from torch import nn

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.training_steps import SHAPE, backbone, built, id_images, trained

HOME = registry.method("godin").__module__.rpartition(".")[0]
dividend = importlib.import_module(f"{HOME}._dividend")
GRID = importlib.import_module(f"{HOME}.godin").GRID


def objective(**settings):
    (found,) = registry.method("godin")(**settings).networks
    return found


class Pixels(nn.Module):
    """Its features are its two pixels."""

    def features(self, images):
        return images.flatten(1)


def network(similarity):
    """Return a network on two features, with w_0 = (3, 4) and w_1 = (0, 1), and g = σ(log 3 · z_0)."""
    made = dividend.DividedLogits(Pixels(), (1, 1, 2), 2, similarity)
    made.h.weight.data = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    made.g[0].weight.data, made.g[0].bias.data = torch.tensor([[math.log(3), 0.0]]), torch.zeros(1)
    made.g[1].eps = 0.0  # untrained, in evaluation mode, it then changes nothing
    return made.eval().requires_grad_(requires_grad=False)


class Batch:
    """A batch of two-pixel images as a network sees them, without the engine."""

    def __init__(self, net, pixels):
        self.net, self.images = net, torch.tensor(pixels).reshape(-1, 1, 1, 2)

    def __len__(self):
        return len(self.images)

    def output(self, name):
        return self.net.outputs(self.images)[name]

    @property
    def logits(self):
        return self.output("logits")

    def at(self, rows):
        return Batch(self.net, self.images[rows].tolist())

    def in_passes(self, compute):
        yield compute(self)


class Inputs:
    def __init__(self, net, validation):
        self.network, self.validation = net, validation


@pytest.mark.parametrize(
    ("similarity", "h"),
    [
        ("inner", [3.0, 0.0]),
        ("euclidean", [-(4.0 + 16.0), -(1.0 + 1.0)]),
        ("cosine", [3 / 5, 0.0]),
    ],
)
def test_h_g_and_their_quotient_by_hand(similarity, h):
    outputs = network(similarity).outputs(torch.tensor([[[[1.0, 0.0]]]]))

    assert outputs["h"].tolist() == [pytest.approx(h, abs=1e-6)]
    assert outputs["g"].tolist() == pytest.approx([3 / 4])  # σ(log 3)
    assert outputs["logits"].tolist() == [pytest.approx([value / 0.75 for value in h], rel=1e-5, abs=1e-6)]


def test_loss_is_the_cross_entropy_of_the_quotient():
    quotient = network("inner")(torch.tensor([[[[1.0, 0.0]]], [[[0.0, 1.0]]]]))  # [4, 0] and [4, 1] / 0.5
    expected = (math.log(1 + math.exp(-4)) + math.log(1 + math.exp(6))) / 2

    loss = objective().loss(quotient, torch.tensor([0, 1]), torch.Generator())

    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("score", "expected"), [("h", 3 * (1 + 0.1) + 4 * (0 + 0.1)), ("g", 1 / (1 + 3**-1.1))])
def test_score_after_a_step_towards_a_higher_score_by_hand(score, expected):
    net = network("inner")
    detector = registry.method("godin")(similarity="inner", score=score, epsilon=0.1).fit(Inputs(net, None))

    assert detector.score(Batch(net, [[1.0, 0.0]])).item() == pytest.approx(expected, rel=1e-5)


def test_without_a_step_the_score_is_an_output_of_the_network():
    net = network("cosine")
    detector = registry.method("godin")(epsilon=0.0).fit(Inputs(net, None))
    batch = Batch(net, [[1.0, 0.0], [0.0, 2.0]])

    assert detector.score(batch).tolist() == pytest.approx([3 / 5, 1.0])
    assert detector.classify(batch).tolist() == [0, 1]


def test_epsilon_maximises_the_mean_score_of_held_out_images():
    net = network("cosine")
    # At (0.4, 0.5) a step towards w_0 = (3, 4) is (−ε, +ε); past 0.03 or so it goes beyond the direction of w_0.
    validation = Batch(net, [[0.4, 0.5]])
    means = {
        epsilon: registry.method("godin")(epsilon=epsilon).fit(Inputs(net, None)).score(validation).item()
        for epsilon in GRID
    }

    chosen = registry.method("godin")().fit(Inputs(net, validation)).epsilon

    assert means[chosen] == max(means.values())
    assert chosen not in {GRID[0], GRID[-1]}


def test_no_held_out_images_and_no_epsilon_is_refused():
    with pytest.raises(ConfigError, match="godin.epsilon"):
        registry.method("godin")().fit(Inputs(network("cosine"), None))


@pytest.mark.parametrize("similarity", ["inner", "euclidean", "cosine"])
def test_training_learns_the_classes_and_makes_id_images_more_alike_to_their_own_than_to_others(similarity):
    images, labels = id_images(30, seed=7)
    untrained = built(objective(similarity=similarity)).eval()

    network = trained(objective(similarity=similarity), steps=60)

    assert (network(images).argmax(1) == labels).all()
    gaps = []
    for net in (untrained, network):
        h = net.outputs(images)["h"]
        gaps.append((h.gather(1, labels[:, None]).mean() - h.mean()).item())
    assert gaps[1] > gaps[0] + 0.2


def test_held_out_images_are_declared_where_epsilon_is_chosen():
    godin = registry.method("godin")

    assert godin().sees == {"id_validation"}
    assert godin(epsilon=0.01).sees == frozenset()
    assert godin().similarity == "cosine"
    assert GRID[1:] == (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08)


def test_the_number_of_features_is_found_without_changing_the_network():
    heads = importlib.import_module(f"{HOME}._heads")
    body = backbone(SHAPE, 1)

    assert heads.feature_size(body, SHAPE) == 128
    assert body.training


@pytest.mark.parametrize("settings", [{"epsilon": -0.1}, {"epsilon": math.nan}, {"tune_images": 0}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        registry.method("godin")(**settings)
