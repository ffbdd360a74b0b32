"""Maximum classifier discrepancy against the formulas of Yu & Aizawa (ICCV 2019), by hand."""

from __future__ import annotations

import math

import pytest
import torch

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.hand_made_outputs import batch_of
from tests.training_steps import built, id_images, seen_images, trained


def objective(**settings):
    (found,) = registry.method("mcd")(**settings).networks
    return found


def test_loss_by_hand():
    # On the ID image, of class 1, the heads give 3/4 and 1/2; on the outlier they have entropies log 2 and that of 1/4.
    sure = torch.tensor([[0.0, math.log(3)]])
    undecided = torch.zeros(1, 2)
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    expected = -math.log(3 / 4) - math.log(1 / 2) + 0.5 * (1.2 - (math.log(2) - entropy))

    loss = objective(weight=0.5).loss_with_ood(
        {"logits": sure, "logits_2": undecided},
        torch.tensor([1]),
        {"logits": undecided, "logits_2": sure},
        torch.Generator(),
    )

    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_heads_that_are_far_enough_apart_cost_nothing():
    certain = {"logits": torch.tensor([[50.0, 0.0]]), "logits_2": torch.tensor([[50.0, 0.0]])}
    apart = {"logits": torch.zeros(1, 2), "logits_2": torch.tensor([[50.0, 0.0]])}

    loss = objective(margin=0.6).loss_with_ood(certain, torch.tensor([0]), apart, torch.Generator())

    assert loss.item() == pytest.approx(0, abs=1e-6)


def test_score_is_the_distance_of_the_two_softmaxes_and_the_class_that_of_their_mean():
    batch = batch_of(logits=[[0.0, math.log(3)], [0.0, 0.0]], logits_2=[[math.log(9), 0.0], [0.0, 0.0]])
    detector = registry.method("mcd")().fit(None)

    assert detector.score(batch).tolist() == pytest.approx([-(0.65 + 0.65), 0.0])
    assert detector.classify(batch).tolist()[0] == 0  # 1/4 and 9/10 against 3/4 and 1/10


def test_body_and_first_head_are_those_of_the_classifier_and_the_second_head_differs():
    found = objective()
    start, network = built(found.starts_from, seed=3), built(found, seed=4)

    found.begin(network, start)

    images, _ = id_images(5)
    outputs = network(images)
    assert outputs["logits"].equal(start(images))
    assert not outputs["logits_2"].allclose(outputs["logits"])


def test_discrepancy_grows_on_outliers_and_not_on_id_images():
    found = objective()
    network = built(found)
    found.begin(network, trained(found.starts_from))
    images, labels = id_images(30, seed=7)
    outliers = seen_images(30, seed=8).float() / 255

    def discrepancy(pictures):
        with torch.no_grad():
            first, second = (network(pictures)[name].softmax(1) for name in ("logits", "logits_2"))
        return (first - second).abs().sum(1).mean().item()

    trained(found, steps=60, network=network)

    assert discrepancy(outliers) > 0.8
    assert discrepancy(images) < 0.3
    assert (network(images)["logits"].argmax(1) == labels).all()


def test_defaults_are_those_of_the_paper():
    method = registry.method("mcd")()

    assert (method.margin, method.weight) == (1.2, 1.0)
    assert method.sees == {"seen_ood"}
    assert objective().starts_from == registry.method("msp")().networks[0]


@pytest.mark.parametrize("settings", [{"margin": 0.0}, {"weight": -1.0}, {"ood_ratio": 0.0}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        registry.method("mcd")(**settings)
