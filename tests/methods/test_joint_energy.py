"""JointEnergy against the formulas of Wang et al. (NeurIPS 2021), by hand."""

from __future__ import annotations

import math

import pytest
import torch

from oodbench.plugins import registry
from tests.linear_head import batch_of
from tests.training_steps import id_images, seen_images, trained


def objective():
    (found,) = registry.method("joint_energy")().networks
    return found


def score(logits, **settings):
    return registry.method("joint_energy")(**settings).fit(None).score(batch_of(logits))


def test_score_is_the_sum_of_the_energies_of_the_labels_or_the_largest():
    logits = [[math.log(1), math.log(3)]]

    assert score(logits).item() == pytest.approx(math.log(2) + math.log(4))
    assert score(logits, combine="max").item() == pytest.approx(math.log(4))


def test_scores_of_extreme_logits_are_finite_and_do_not_tie():
    scores = score([[500.0, -500.0], [499.0, -500.0], [-60.0, -60.0], [-61.0, -61.0]])

    assert scores.tolist() == pytest.approx([500.0, 499.0, 2 * math.exp(-60), 2 * math.exp(-61)])


def test_loss_by_hand():
    # Probabilities 3/4 and 1/2 of the two labels; the image is of the first class.
    loss = objective().loss(torch.tensor([[math.log(3), 0.0]]), torch.tensor([0]), torch.Generator())

    assert loss.item() == pytest.approx(-(math.log(3 / 4) + math.log(1 / 2)) / 2, rel=1e-6)


def test_training_gives_id_images_more_joint_energy_than_outliers():
    network = trained(objective(), steps=60)
    images, labels = id_images(30, seed=7)
    energies = [score(network(x).numpy()).mean().item() for x in (images, seen_images(30, seed=8).float() / 255)]

    assert (network(images).argmax(1) == labels).all()
    assert energies[0] > energies[1] + 0.5
