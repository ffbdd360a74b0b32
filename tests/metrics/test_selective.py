"""Selective classification with OOD images against plain loops, pytorch-ood and counts by hand."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from oodbench.errors import MetricError
from oodbench.metrics import Samples, accepted_accuracy, accepted_id_accuracy, augrc, aurc, risk_at_coverage


def points(samples: Samples, prior: str = "natural") -> list[tuple[Fraction, Fraction]]:
    """Return coverage and the share of all that is an accepted error at each threshold, by a loop over images."""
    n_id, n_ood = samples.scores_id.size, samples.scores_ood.size
    weight_id, weight_ood = (
        (Fraction(1, n_id + n_ood),) * 2
        if prior == "natural"
        else (
            Fraction(1, 2 * n_id),
            Fraction(1, 2 * n_ood),
        )
    )
    found = [(Fraction(0), Fraction(0))]
    for threshold in sorted({*samples.scores_id.tolist(), *samples.scores_ood.tolist()}, reverse=True):
        accepted = errors = Fraction(0)
        for score, taken_for, true in zip(samples.scores_id, samples.predicted_id, samples.true_id, strict=True):
            accepted += weight_id * bool(score >= threshold)
            errors += weight_id * bool(score >= threshold and taken_for != true)
        n_let_in = sum(bool(score >= threshold) for score in samples.scores_ood)
        found.append((accepted + weight_ood * n_let_in, errors + weight_ood * n_let_in))
    return found


@pytest.mark.parametrize("prior", ["natural", "equal"])
def test_areas_equal_a_loop_over_thresholds(samples, prior):
    curve = points(samples, prior)
    steps = list(pairwise(curve))
    area = sum((to - start) * errors / to for (start, _), (to, errors) in steps)
    generalised = sum((to - start) * (before + after) / 2 for (start, before), (to, after) in steps)

    assert aurc(samples, prior=prior) == pytest.approx(float(area), rel=1e-12)
    assert augrc(samples, prior=prior) == pytest.approx(float(generalised), rel=1e-12)


@pytest.mark.parametrize("prior", ["natural", "equal"])
@pytest.mark.parametrize("coverage", [0.05, 0.5, 0.8, 1.0])
def test_risk_at_a_coverage_equals_a_loop_over_thresholds(samples, prior, coverage):
    covered, errors = next(point for point in points(samples, prior) if point[0] >= Fraction(str(coverage)))

    assert risk_at_coverage(samples, coverage=coverage, prior=prior) == pytest.approx(float(errors / covered))


def test_tiny_case_equals_the_counts_by_hand(tiny):
    # Errors among the accepted from the highest score down: 0/1, 1/2, 1/3, 2/4, then two at once 3/6, 4/7.
    assert aurc(tiny) == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4 + 2 * 3 / 6 + 4 / 7) / 7)
    assert augrc(tiny) == pytest.approx((0 + (0 + 1) + (1 + 1) + (1 + 2) + 2 * (2 + 3) + (3 + 4)) / 2 / 49)
    # 80% of 7 images are 6 of them.
    assert risk_at_coverage(tiny) == pytest.approx(3 / 6)
    assert risk_at_coverage(tiny, ood_cost=0.5) == pytest.approx((1 + 0.5 * 2) / 6)
    assert risk_at_coverage(tiny, ood_cost=0) == pytest.approx(1 / 6)
    assert accepted_accuracy(tiny) == pytest.approx(3 / 6)
    assert accepted_id_accuracy(tiny) == pytest.approx(3 / 4)
    assert accepted_accuracy(tiny, threshold=4) == pytest.approx(2 / 3)
    assert accepted_id_accuracy(tiny, tpr=0.5) == 1


def test_aurc_is_what_pytorch_ood_lacks_to_1_where_scores_are_distinct(untied):
    torch = pytest.importorskip("torch")
    peers = pytest.importorskip("pytorch_ood.metrics.functional", exc_type=ImportError)
    scores = torch.from_numpy(np.concatenate([untied.scores_id, untied.scores_ood]))
    right = torch.tensor([*untied.correct, *[False] * untied.scores_ood.size])

    assert aurc(untied) == pytest.approx(1 - peers.aurra(scores, right), rel=1e-12)


def test_augrc_is_the_mean_over_random_orders_of_ties(tiny):
    # The tie of a right ID image and an OOD image at 2, broken either way.
    apart = [Samples(scores_id=[6, 4, 3, 2 + shift], scores_ood=[5, 2, 1], n_classes=3, predicted_id=[0, 1, 1, 2],
                     true_id=[0, 1, 0, 2]) for shift in (0.5, -0.5)]  # fmt: skip

    assert augrc(tiny) == pytest.approx(np.mean([augrc(one) for one in apart]), rel=1e-14)


def test_constant_scores_have_the_risk_of_all_images():
    known = {"n_classes": 2, "predicted_id": [0, 1], "true_id": [0, 0]}
    constant = Samples(scores_id=[1, 1], scores_ood=[1, 1], **known)

    assert aurc(constant) == risk_at_coverage(constant, coverage=0.1) == 0.75
    assert augrc(constant) == 0.375


def test_equal_prior_does_not_depend_on_how_many_ood_images_there_are(samples):
    known = {name: getattr(samples, name) for name in ("scores_id", "n_classes", "predicted_id", "true_id")}
    twice = Samples(scores_ood=np.tile(samples.scores_ood, 2), **known)
    for metric in (aurc, augrc, risk_at_coverage):
        assert metric(twice, prior="equal") == pytest.approx(metric(samples, prior="equal"), rel=1e-12)
        assert metric(twice) > metric(samples)


def test_float_error_of_the_product_does_not_ask_for_one_more_image():
    known = {"n_classes": 1, "predicted_id": [0] * 50, "true_id": [0] * 50}
    samples = Samples(scores_id=range(50, 100), scores_ood=range(50), **known)

    # 0.55 * 100 is 55.00000000000001 in floats; 50 ID and 5 OOD images are enough.
    assert risk_at_coverage(samples, coverage=0.55) == 5 / 55


@pytest.mark.parametrize("coverage", [0, 1.1, 80, np.nan])
def test_coverage_outside_0_to_1_is_refused(tiny, coverage):
    with pytest.raises(MetricError, match=r"coverage must be in \(0, 1\], got .*; write 0\.8 for 80%"):
        risk_at_coverage(tiny, coverage=coverage)


@pytest.mark.parametrize("cost", [-1, np.inf, np.nan])
def test_cost_that_is_none_is_refused(tiny, cost):
    with pytest.raises(MetricError, match="ood_cost must be a finite number of at least 0"):
        risk_at_coverage(tiny, ood_cost=cost)


@pytest.mark.parametrize("metric", [aurc, augrc, risk_at_coverage])
def test_unknown_prior_is_refused(tiny, metric):
    with pytest.raises(MetricError, match="prior must be one of 'natural', 'equal', got 'rates'"):
        metric(tiny, prior="rates")


def test_accuracy_of_nothing_is_refused(tiny):
    with pytest.raises(MetricError, match="the threshold accepts nothing"):
        accepted_accuracy(tiny, threshold=100)
    with pytest.raises(MetricError, match="the threshold accepts nothing"):
        accepted_id_accuracy(tiny, threshold=100)
