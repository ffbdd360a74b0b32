"""Reject classes against the formulas of Mohseni et al. (AAAI 2020), by hand."""

from __future__ import annotations

import math

import pytest
import torch

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.fitting import fit_inputs
from tests.hand_made_outputs import batch_of
from tests.training_steps import built, id_images, seen_images, trained


def objective(**settings):
    (found,) = registry.method("mohseni")(**settings).networks
    return found


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_an_outlier_goes_to_the_reject_class_that_it_resembles_most_and_else_to_a_random_one():
    # Two classes and three reject classes; the first image resembles the second reject class, the others a class.
    logits = torch.tensor([[0.0, 1.0, 0.0, 5.0, 2.0]] + [[9.0, 0.0, 1.0, 2.0, 3.0]] * 200)

    targets = objective(reject_classes=3).targets(logits, generator())

    assert targets[0] == 3
    assert sorted(targets[1:].unique().tolist()) == [2, 3, 4]


def test_loss_by_hand():
    # One class, one reject class: an ID image with probability 3/4, an outlier rejected with probability 1/4.
    logits_id, logits_ood = torch.tensor([[math.log(3), 0.0]]), torch.tensor([[math.log(3), 0.0]])

    loss = objective(reject_classes=1, weight=2.0).loss_with_ood(logits_id, torch.tensor([0]), logits_ood, generator())

    assert loss.item() == pytest.approx(-math.log(3 / 4) - 2 * math.log(1 / 4), rel=1e-6)


def test_score_is_the_share_of_the_reject_classes_and_the_class_is_never_one_of_them():
    detector = registry.method("mohseni")().fit(fit_inputs(None, n_classes=2))
    batch = batch_of(logits=[[math.log(2), 0.0, math.log(3), math.log(4)]])

    assert detector.score(batch).item() == pytest.approx(-7 / 10)
    assert detector.classify(batch).tolist() == [0]


def test_confident_images_do_not_tie():
    detector = registry.method("mohseni")().fit(fit_inputs(None, n_classes=1))

    scores = detector.score(batch_of(logits=[[60.0, 0.0], [50.0, 0.0]]))

    assert scores[0] > scores[1]


def test_first_outputs_are_those_of_the_classifier_that_it_starts_from():
    found = objective()
    start, network = built(found.starts_from, seed=3), built(found, seed=4)

    found.begin(network, start)

    images, _ = id_images(5)
    assert network(images)[:, :3].allclose(start(images), atol=1e-6)
    assert network(images).shape == (5, 8)


def test_reject_classes_fill_with_outliers_and_stay_empty_of_id_images():
    network = trained(objective(), steps=40)
    images, labels = id_images(30, seed=7)
    outliers = seen_images(30, seed=8).float() / 255

    assert network(outliers).softmax(1)[:, 3:].sum(1).mean() > 0.9
    assert network(images).softmax(1)[:, 3:].sum(1).mean() < 0.1
    assert (network(images).argmax(1) == labels).all()


def test_embedding_puts_all_reject_classes_together():
    embedded = objective(reject_classes=2).embed(torch.tensor([[math.log(2), 0.0, 0.0]]))

    assert embedded.tolist() == [pytest.approx([0.5, 0.5])]


@pytest.mark.parametrize("settings", [{"reject_classes": 0}, {"weight": 0.0}, {"ood_ratio": 0.0}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        registry.method("mohseni")(**settings)
