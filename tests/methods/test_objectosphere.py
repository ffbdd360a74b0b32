"""Objectosphere and the entropic open-set loss against the formulas of Dhamija et al. (NeurIPS 2018), by hand."""

from __future__ import annotations

import math

import pytest
import torch

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.hand_made_outputs import batch_of
from tests.training_steps import id_images, seen_images, trained


def objective(**settings):
    (found,) = registry.method("objectosphere")(**settings).networks
    return found


def outputs(features, logits):
    return {"features": torch.tensor(features), "logits": torch.tensor(logits)}


def test_loss_by_hand():
    # Lengths 5 and 13 of ID features, ξ = 10; length 2 of the outlier. Probabilities 1/4 and 3/4 everywhere.
    logits = [[0.0, math.log(3)]]
    id_images = outputs([[3.0, 4.0], [5.0, 12.0]], logits * 2)
    outlier = outputs([[0.0, 2.0]], logits)
    entropic = -math.log(3 / 4) - (math.log(1 / 4) + math.log(3 / 4)) / 2

    loss = objective(xi=10.0, weight=0.1).loss_with_ood(id_images, torch.tensor([1, 1]), outlier, torch.Generator())

    assert loss.item() == pytest.approx(entropic + 0.1 * ((5**2 + 0) / 2 + 2**2), rel=1e-6)


def test_without_the_penalty_it_is_the_entropic_open_set_loss():
    logits = [[0.0, math.log(3)]]

    loss = objective(weight=0.0).loss_with_ood(
        outputs([[1.0]], logits), torch.tensor([1]), outputs([[9.0]], [[0.0, 0.0]]), torch.Generator()
    )

    assert loss.item() == pytest.approx(-math.log(3 / 4) + math.log(2), rel=1e-6)


def test_gradient_is_finite_where_all_features_are_dead():
    features = torch.zeros(1, 4, requires_grad=True)
    batch = {"features": features, "logits": features[:, :2] * 1.0}

    objective().loss_with_ood(batch, torch.tensor([0]), batch, torch.Generator()).backward()

    assert torch.isfinite(features.grad).all()


@pytest.mark.parametrize(("score", "expected"), [("scaled", 3 / 4 * 5), ("msp", 3 / 4)])
def test_score_by_hand(score, expected):
    batch = batch_of(features=[[3.0, 4.0]], logits=[[0.0, math.log(3)]])
    detector = registry.method("objectosphere")(score=score).fit(None)

    assert detector.score(batch).item() == pytest.approx(expected)
    assert detector.classify(batch).tolist() == [1]


def test_training_makes_features_of_outliers_shorter_than_those_of_id_images():
    images, labels = id_images(30, seed=7)
    outliers = seen_images(30, seed=8).float() / 255
    ratio = {}
    for weight in (0.0, 0.1):
        network = trained(objective(xi=5.0, weight=weight), steps=60)
        ratio[weight] = (
            network.features(outliers).norm(dim=1).mean() / network.features(images).norm(dim=1).mean()
        ).item()
        assert (network(images)["logits"].argmax(1) == labels).all()
        assert network(outliers)["logits"].softmax(1).amax(1).mean() < 0.6

    assert ratio[0.1] < 0.6 * ratio[0.0]


def test_defaults_are_those_of_the_public_code():
    method = registry.method("objectosphere")()

    assert (method.xi, method.weight, method.score) == (50.0, 1e-4, "scaled")
    assert method.sees == {"seen_ood"}


@pytest.mark.parametrize("settings", [{"xi": 0.0}, {"weight": -1.0}, {"ood_ratio": 0.0}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        registry.method("objectosphere")(**settings)
