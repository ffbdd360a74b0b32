"""Calibration of probabilities against scikit-learn, torchmetrics, a loop over bins and values by hand."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from sklearn.metrics import log_loss

from oodbench.errors import MetricError
from oodbench.metrics import (
    Samples,
    brier_score,
    certainty_of,
    expected_calibration_error,
    negative_log_likelihood,
)


def of(probabilities, true) -> Samples:
    """Return samples of which only probabilities and classes matter."""
    n_classes = len(probabilities[0])
    return Samples(
        scores_id=[0.0] * len(true), scores_ood=[0.0], n_classes=n_classes, true_id=true, probabilities_id=probabilities
    )


def test_tiny_case_equals_the_values_by_hand(tiny):
    # Confidences 0.9, 0.6, 0.7, 0.5 lie in four bins of ten; the third is wrong.
    assert expected_calibration_error(tiny, n_bins=10) == pytest.approx((0.1 + 0.4 + 0.7 + 0.5) / 4)
    # In one bin: mean confidence 0.675, accuracy 0.75.
    assert expected_calibration_error(tiny, n_bins=1) == pytest.approx(0.075)
    by_hand = [0.01 + 0.01, 0.04 + 0.16 + 0.04, 0.49 + 0.49, 0.0625 + 0.0625 + 0.25]
    assert brier_score(tiny) == pytest.approx(sum(by_hand) / 4)
    assert negative_log_likelihood(tiny) == pytest.approx(-math.log(0.9 * 0.6 * 0.3 * 0.5) / 4)


def test_what_is_kept_of_probabilities_says_the_same(tiny, samples):
    for case in (tiny, samples):
        kept = certainty_of(case.probabilities_id, case.true_id)
        poorer = dataclasses.replace(case, probabilities_id=None, certainty_id=kept)
        for metric in (brier_score, expected_calibration_error, negative_log_likelihood):
            assert metric(poorer) == metric(case)
    # Where both are there, what was kept counts.
    wrong = dataclasses.replace(tiny, certainty_id=np.tile([0.5, 1, 0, 0], (tiny.n_id, 1)))
    assert (brier_score(wrong), expected_calibration_error(wrong)) == (0, 0.5)


@pytest.mark.parametrize("n_bins", [1, 7, 15])
def test_ece_equals_a_loop_over_bins(samples, n_bins):
    confidence, predicted = samples.probabilities_id.max(axis=1), samples.probabilities_id.argmax(axis=1)
    error = 0.0
    for i in range(n_bins):
        inside = (confidence > i / n_bins) & (confidence <= (i + 1) / n_bins)
        if inside.any():
            gap = confidence[inside].mean() - (predicted == samples.true_id)[inside].mean()
            error += inside.mean() * abs(gap)

    assert expected_calibration_error(samples, n_bins=n_bins) == pytest.approx(error, rel=1e-12)


def test_ece_equals_torchmetrics(samples):
    torchmetrics = pytest.importorskip("torchmetrics.functional.classification")
    torch = pytest.importorskip("torch")
    theirs = torchmetrics.multiclass_calibration_error(
        torch.from_numpy(samples.probabilities_id), torch.from_numpy(samples.true_id), samples.n_classes, n_bins=15
    )

    assert expected_calibration_error(samples) == pytest.approx(float(theirs), rel=1e-5)


def test_bins_hold_their_upper_end():
    # 0.6 stands for (0.4, 0.6] beside 0.5: the gaps +0.6 and -0.5 of one bin partly cancel.
    assert expected_calibration_error(of([[0.6, 0.4], [0.5, 0.5]], [1, 0]), n_bins=5) == pytest.approx(0.05)


def test_brier_score_equals_a_sum_over_classes(samples):
    truth = np.eye(samples.n_classes)[samples.true_id]

    assert brier_score(samples) == pytest.approx(((samples.probabilities_id - truth) ** 2).sum(axis=1).mean())


def test_negative_log_likelihood_equals_scikit_learn(samples):
    theirs = log_loss(samples.true_id, samples.probabilities_id, labels=range(samples.n_classes))

    assert negative_log_likelihood(samples) == pytest.approx(theirs, rel=1e-12)


def test_sure_and_right_is_perfect_and_sure_and_wrong_stays_finite():
    right, wrong = of(np.eye(3), [0, 1, 2]), of(np.eye(3), [1, 2, 0])

    assert expected_calibration_error(right) == brier_score(right) == negative_log_likelihood(right) == 0
    assert (expected_calibration_error(wrong), brier_score(wrong)) == (1, 2)
    assert negative_log_likelihood(wrong) == pytest.approx(52 * math.log(2))


def test_rows_that_sum_to_a_little_more_than_1_give_no_negative_value():
    samples = of([[1.0001, 0.0]], [0])

    assert negative_log_likelihood(samples) == 0
    assert 0 <= brier_score(samples) < 1e-6


def test_number_of_bins_below_1_is_refused(tiny):
    with pytest.raises(MetricError, match="n_bins must be at least 1, got 0"):
        expected_calibration_error(tiny, n_bins=0)
