"""Class anchor clustering against the formulas of Miller et al. (WACV 2021), by hand."""

from __future__ import annotations

import math

import pytest
import torch

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.fitting import batch_of, fit_inputs
from tests.training_steps import built, id_images, seen_images, trained


def objective(**settings):
    (found,) = registry.method("cac")(**settings).networks
    return found


def test_loss_by_hand():
    # Anchors (2, 0) and (0, 2): distances 2 and 2 of the first image, 0 and √8 of the second.
    logits = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    tuplet = (math.log(1 + 1) + math.log(1 + math.exp(-math.sqrt(8)))) / 2

    loss = objective(alpha=2.0, weight=0.1).loss(logits, torch.tensor([1, 0]), torch.Generator())

    assert loss.item() == pytest.approx(tuplet + 0.1 * (2 + 0) / 2, rel=1e-5)


def test_gradient_is_finite_on_an_anchor():
    logits = torch.tensor([[10.0, 0.0]], requires_grad=True)

    objective().loss(logits, torch.tensor([0]), torch.Generator()).backward()

    assert torch.isfinite(logits.grad).all()


def test_score_and_class_by_hand():
    # Centres (3, 0) and (0, 4); distances of (3, 4) are 4 and 3.
    detector = registry.method("cac")().fit(
        fit_inputs(batch_of([[3.0, 0.0], [0.0, 4.0]], labels=[0, 1], n_classes=2), n_classes=2)
    )
    batch = batch_of([[3.0, 4.0]])
    softmin = [math.exp(-4) / (math.exp(-4) + math.exp(-3)), math.exp(-3) / (math.exp(-4) + math.exp(-3))]
    gamma = [4 * (1 - softmin[0]), 3 * (1 - softmin[1])]

    assert detector.score(batch).item() == pytest.approx(-min(gamma))
    assert detector.classify(batch).tolist() == [1]


def test_centres_are_the_means_of_correctly_classified_images_and_the_anchor_where_there_are_none():
    # The third image is of class 0, and its largest logit is that of class 1; class 2 has no image that is right.
    train = batch_of(
        [[4.0, 0, 0], [8.0, 0, 0], [0, 9.0, 0], [0, 5.0, 0], [1.0, 0, 0]], labels=[0, 0, 0, 1, 2], n_classes=3
    )

    detector = registry.method("cac")(alpha=10.0).fit(fit_inputs(train))

    assert detector.centres.tolist() == [[6.0, 0, 0], [0, 5.0, 0], [0, 0, 10.0]]


def test_centres_may_be_the_anchors():
    train = batch_of([[4.0, 0.0], [0.0, 1.0]], labels=[0, 1], n_classes=2)

    detector = registry.method("cac")(centres="anchors", alpha=7.0).fit(fit_inputs(train, n_classes=2))

    assert detector.centres.tolist() == [[7.0, 0.0], [0.0, 7.0]]


def test_confident_images_do_not_tie():
    detector = registry.method("cac")(centres="anchors", alpha=100.0).fit(
        fit_inputs(batch_of([[1.0, 0.0]], labels=[0], n_classes=2), n_classes=2)
    )

    scores = detector.score(batch_of([[99.0, 0.0], [98.0, 0.0], [97.0, 0.0]]))

    assert scores[0] > scores[1] > scores[2]


def test_training_gathers_logits_at_the_anchors_and_leaves_outliers_away_from_them():
    images, labels = id_images(30, seed=7)
    anchored = objective()
    untrained = built(anchored).eval()

    network = trained(anchored, steps=60)

    def to_own(net):
        return (net(images) - anchored.anchors(3)[labels]).norm(dim=1).mean().item()

    assert to_own(network) < 0.4 * to_own(untrained)
    nearest = torch.cdist(network(seen_images(30, seed=8).float() / 255), anchored.anchors(3)).amin(dim=1)
    assert nearest.mean().item() > 2 * to_own(network)


def test_defaults_are_those_of_the_public_code():
    method = registry.method("cac")()

    assert (method.alpha, method.weight) == (10.0, 0.1)
    assert method.sees == frozenset()


@pytest.mark.parametrize("settings", [{"alpha": 0.0}, {"weight": -0.1}, {"alpha": math.nan}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        registry.method("cac")(**settings)
