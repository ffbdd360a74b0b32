"""Rotation prediction against the formulas of Hendrycks et al. (NeurIPS 2019), by hand."""

from __future__ import annotations

import importlib
import math

import pytest
import torch

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.hand_made_outputs import batch_of
from tests.training_steps import backbone, built, id_images, trained

HOME = registry.method("rotation_ssl").__module__.rpartition(".")[0]
rotations = importlib.import_module(f"{HOME}._rotations")


def objective(**settings):
    (found,) = registry.method("rotation_ssl")(**settings).networks
    return found


def test_images_are_turned_by_quarters_first_all_by_none_then_all_by_one():
    images = torch.arange(8.0).reshape(2, 1, 2, 2)

    turned = rotations.turned(images)

    assert turned[:2].equal(images)
    assert turned[2, 0].tolist() == [[1, 3], [0, 2]]
    assert turned[5, 0].tolist() == [[7, 6], [5, 4]]
    assert turned[6, 0].tolist() == [[2, 0], [3, 1]]


def test_loss_by_hand():
    # One image of class 1 with probabilities 1/4 and 3/4 unturned; what is said of the turned ones does not count.
    logits = torch.tensor([[0.0, math.log(3)], [9.0, 0.0], [9.0, 0.0], [9.0, 0.0]])
    # The head for turns is undecided but for the second turn, which it takes for the first with probability 1/2.
    turns = torch.zeros(4, 4)
    turns[2, 1] = math.log(3)
    expected = -math.log(3 / 4) + 0.5 * (3 * math.log(4) + math.log(6)) / 4

    loss = rotations.rotation_loss({"logits": logits, "turns": turns}, torch.tensor([1]), 0.5)

    assert loss.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"classes": "msp", "rotation": False}, 3 / 4),
        ({"classes": "kl", "rotation": False}, 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)),
        ({"classes": "none"}, (math.log(1 / 2) + math.log(1 / 4) + math.log(1 / 8) + 0) / 4),
        ({"classes": "msp"}, 3 / 4 - 6 * math.log(2) / 4),
    ],
)
def test_score_by_hand(settings, expected):
    batch = batch_of(logits=[[0.0, math.log(3)]], rotation=[[math.log(1 / 2), math.log(1 / 4), math.log(1 / 8), 0.0]])

    assert registry.method("rotation_ssl")(**settings).fit(None).score(batch).item() == pytest.approx(expected)


def test_output_is_the_probability_of_the_right_turn_of_each_turned_image():
    network = built(objective()).eval()
    images, _ = id_images(5)
    with torch.no_grad():
        outputs = network.outputs(images)
        by_hand = [network(images.rot90(r, (2, 3)))["turns"].log_softmax(1)[:, r] for r in range(4)]

    assert outputs["rotation"].allclose(torch.stack(by_hand, dim=1), atol=1e-6)
    assert outputs["logits"].allclose(network(images)["logits"], atol=1e-6)
    assert outputs["features"].shape == (5, 128)


def test_training_learns_turns_and_classes():
    images, labels = id_images(60)
    # Squares in corners are turned into one another; a bright line at the top tells the turns apart.
    images[:, :, 0, 2:6] = 1.0
    network = trained(objective(weight=1.0), steps=60, images=images, labels=labels)

    outputs = network.outputs(images)

    assert (outputs["logits"].argmax(1) == labels).float().mean() > 0.9
    assert outputs["rotation"].exp().mean() > 0.8
    assert built(objective()).eval().outputs(images)["rotation"].exp().mean() < 0.4


def test_weight_of_the_rotation_loss_is_that_of_the_paper():
    assert registry.method("rotation_ssl")().weight == 0.5


def test_images_that_are_not_square_are_refused():
    with pytest.raises(ConfigError, match="8×10"):
        objective().build(backbone, (1, 8, 10), 3, 3)


@pytest.mark.parametrize(
    ("settings", "named"), [({"weight": -1.0}, "weight"), ({"classes": "none", "rotation": False}, "nothing to score")]
)
def test_impossible_settings_are_refused(settings, named):
    with pytest.raises(ConfigError, match=named):
        registry.method("rotation_ssl")(**settings)
