"""Outlier exposure and energy fine-tuning against the formulas of their papers, by hand."""

from __future__ import annotations

import importlib
import math

import pytest
import torch

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.linear_head import batch_of
from tests.training_steps import built, id_images, seen_images, setting_of, trained

HOME = registry.method("outlier_exposure").__module__.rpartition(".")[0]
margins = importlib.import_module(f"{HOME}._energy_margins")


def objective(method="outlier_exposure", **settings):
    (found,) = registry.method(method)(**settings).networks
    return found


def score(name, logits, **settings):
    return registry.method(name)(**settings).fit(None).score(batch_of(logits))


def energies(network):
    with torch.no_grad():
        return (
            -network(id_images(30, seed=7)[0]).logsumexp(1).mean(),
            -network(seen_images(30, seed=8).float() / 255).logsumexp(1).mean(),
        )


def test_loss_of_outlier_exposure_by_hand():
    # Probabilities 1/4 and 3/4 of two ID images of class 1 and 0, and of an outlier.
    logits = torch.tensor([[0.0, math.log(3)], [0.0, math.log(3)], [0.0, math.log(3)]])
    classification = -(math.log(3 / 4) + math.log(1 / 4)) / 2
    exposure = -(math.log(3 / 4) + math.log(1 / 4)) / 2

    loss = objective(weight=0.5).loss_with_ood(logits[:2], torch.tensor([1, 0]), logits[2:], torch.Generator())

    assert loss.item() == pytest.approx(classification + 0.5 * exposure, rel=1e-6)


def test_undecided_outliers_cost_the_logarithm_of_the_number_of_classes():
    logits = torch.tensor([[50.0, 0.0, 0.0]])

    loss = objective(weight=1.0).loss_with_ood(logits, torch.tensor([0]), torch.zeros(4, 3), torch.Generator())

    assert loss.item() == pytest.approx(math.log(3), rel=1e-6)


def test_defaults_of_outlier_exposure_are_those_of_the_paper():
    method = registry.method("outlier_exposure")()

    assert (method.weight, method.ood_ratio, method.start) == (0.5, 2.0, "scratch")
    assert method.sees == {"seen_ood"}
    assert objective().uses_seen_ood


def test_score_of_outlier_exposure_is_the_largest_probability_or_logit():
    logits = [[0.0, math.log(3)], [2.0, 2.0]]

    assert score("outlier_exposure", logits).tolist() == pytest.approx([0.75, 0.5])
    assert score("outlier_exposure", logits, score="max_logit").tolist() == pytest.approx([math.log(3), 2.0])


def test_both_scores_share_one_network_and_the_start_makes_another():
    assert objective(score="msp") == objective(score="max_logit")
    assert objective(start="scratch").starts_from is None
    assert objective(start="ce").starts_from == registry.method("msp")().networks[0]


@pytest.mark.parametrize("start", ["scratch", "ce"])
def test_exposure_makes_the_classifier_undecided_about_outliers_and_leaves_it_sure_of_id_images(start):
    confidence = {}
    for weight in (0.0, 1.0):
        network = trained(objective(weight=weight, start=start))
        images, labels = id_images(30, seed=7)
        confidence[weight] = network(seen_images(30, seed=8).float() / 255).softmax(1).amax(1).mean().item()
        assert (network(images).argmax(1) == labels).all()

    assert confidence[1.0] < 0.45
    assert confidence[0.0] > 0.7


def test_loss_of_energy_finetuning_by_hand():
    # Energies −log(2 + 2) and −log(1 + 1) of ID images, and −log(4 + 4) of an outlier.
    logits_id = torch.tensor([[2.0, 2.0], [1.0, 1.0]]).log()
    logits_ood = torch.tensor([[4.0, 4.0]]).log()
    e_in, e_out = [-math.log(4), -math.log(2)], -math.log(8)
    m_in, m_out = -1.0, -0.5
    bounds = (max(0, e_in[0] - m_in) ** 2 + max(0, e_in[1] - m_in) ** 2) / 2 + max(0, m_out - e_out) ** 2
    finetune = objective("energy_finetune", m_in=m_in, m_out=m_out, weight=0.3)

    loss = finetune.loss_with_ood(logits_id, torch.tensor([0, 1]), logits_ood, torch.Generator())

    assert loss.item() == pytest.approx(math.log(2) + 0.3 * bounds, rel=1e-6)


def test_energies_beyond_the_margins_cost_nothing():
    finetune = objective("energy_finetune", m_in=-23.0, m_out=-5.0)

    loss = finetune.loss_with_ood(
        torch.tensor([[60.0, 0.0]]), torch.tensor([0]), torch.tensor([[1.0, 1.0]]), torch.Generator()
    )

    assert loss.item() == pytest.approx(0, abs=1e-6)


def test_defaults_of_energy_finetuning_are_those_of_the_paper():
    method = registry.method("energy_finetune")()

    assert (method.m_in, method.m_out, method.weight, method.temperature) == (-23.0, -5.0, 0.1, 1.0)
    assert objective("energy_finetune").starts_from == registry.method("msp")().networks[0]
    assert method.sees == {"seen_ood"}


def test_score_of_energy_finetuning_is_the_energy():
    assert score("energy_finetune", [[0.0, math.log(3)]]).item() == pytest.approx(math.log(4))


@pytest.mark.parametrize("settings", [{}, {"margins": "data"}])
def test_finetuning_widens_the_energy_gap(settings):
    before = energies(trained(registry.method("msp")().networks[0]))
    after = energies(trained(objective("energy_finetune", weight=0.5, **settings)))

    assert after[1] - after[0] > before[1] - before[0] + 1


def test_margins_from_the_data_are_the_mean_energies():
    assert margins.margins_of(torch.tensor([-9.0, -7.0]), torch.tensor([-1.0, 1.0]), 3) == (-8.0, 0.0)


def test_margins_from_a_classifier_that_takes_outliers_for_classes_still_leave_a_gap():
    assert margins.margins_of(torch.tensor([-9.0]), torch.tensor([-9.5]), 3) == (-9.0, pytest.approx(-math.log(3)))
    assert margins.margins_of(torch.tensor([2.0]), torch.tensor([1.0]), 3) == (2.0, 3.0)


def test_margins_from_the_data_are_kept_in_checkpoints():
    finetune = objective("energy_finetune", margins="data")
    first, second = (finetune.learner(built(finetune).train(), setting_of()) for _ in range(2))
    images, labels = id_images()
    first.step(images, labels)

    second.load_state_dict(first.state_dict())

    assert second.state_dict()["margins"] == first.state_dict()["margins"]
    assert second.parts()["after"].parts()["schedule"].last_epoch == 1


@pytest.mark.parametrize(
    ("method", "settings", "named"),
    [
        ("outlier_exposure", {"weight": -1.0}, "weight"),
        ("outlier_exposure", {"weight": math.nan}, "weight"),
        ("outlier_exposure", {"ood_ratio": 0.0}, "ood_ratio"),
        ("energy_finetune", {"m_in": -5.0, "m_out": -23.0}, "m_in must be below m_out"),
        ("energy_finetune", {"weight": -1.0}, "weight"),
        ("energy_finetune", {"ood_ratio": -1.0}, "ood_ratio"),
        ("energy_finetune", {"temperature": 0.0}, "temperature"),
    ],
)
def test_impossible_settings_are_refused(method, settings, named):
    with pytest.raises(ConfigError, match=named):
        registry.method(method)(**settings)
