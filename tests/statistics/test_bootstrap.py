"""The paired bootstrap: the same images for all methods, the same numbers with and without a sort."""

from __future__ import annotations

import numpy as np
import pytest

from oodbench.errors import MetricError
from oodbench.metrics import METRICS
from oodbench.statistics import aurocs, compare_aurocs, compare_by_bootstrap, covariance_of, resampled

from .test_delong import random_scores


class Plain:
    """A metric as a plugin brings it, which has to be computed anew."""

    label = "plain"
    higher_is_better = True

    def __init__(self, name):
        self.metric = METRICS[name]

    def __call__(self, scores_id, scores_ood):
        return self.metric(scores_id, scores_ood)


@pytest.mark.parametrize("name", METRICS)
def test_each_metric_of_drawn_images_is_that_of_the_images_themselves(name):
    scores = random_scores(0, 2)
    fast = resampled(scores, METRICS[name], resamples=100)

    assert fast == pytest.approx(resampled(scores, Plain(name), resamples=100))


def test_variance_of_the_auroc_is_near_delongs():
    scores = random_scores(1, 2, 200, 150)
    found = np.cov(resampled(scores, METRICS["auroc"], resamples=2000), rowvar=False)

    assert found == pytest.approx(aurocs(scores).covariance, rel=0.15)


def test_difference_is_near_delongs():
    first, second = random_scores(2, 2, 200, 150)
    known, found = compare_aurocs(first, second), compare_by_bootstrap(first, second, METRICS["auroc"])

    assert found.estimate == pytest.approx(known.estimate)
    assert (found.low, found.high) == pytest.approx((known.low, known.high), abs=0.01)


def test_same_images_are_drawn_for_all_methods():
    scores = random_scores(0, 1)[0]
    found = compare_by_bootstrap(scores, scores, METRICS["fpr_at_95tpr"])

    assert (found.estimate, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_same_seed_same_numbers():
    first, second = random_scores(0, 2)

    def compare(seed):
        return compare_by_bootstrap(first, second, METRICS["aupr_in"], resamples=100, seed=seed)

    assert compare(1) == compare(1)
    assert compare(1) != compare(2)


def test_a_p_value_is_never_smaller_than_the_draws_can_tell():
    found = compare_by_bootstrap(([0.0, 1] * 9, [2.0, 3] * 9), ([2.0, 3] * 9, [0.0, 1] * 9), METRICS["auroc"])

    assert found.p == pytest.approx(2 / 1001)


def test_covariance_of_seeds_is_that_of_their_differences():
    first, second = np.zeros((100, 2)), np.random.default_rng(0).normal(size=(100, 2))

    assert covariance_of(first, second) == pytest.approx(np.cov(second, rowvar=False))
    assert covariance_of(first[:, :1], second[:, :1]).shape == (1, 1)


def test_scores_of_other_images_are_refused():
    with pytest.raises(MetricError, match="pass scores of the same images for all methods"):
        resampled([([1.0, 2.0], [0.0]), ([1.0], [0.0])], METRICS["auroc"])


def test_too_few_draws_are_refused():
    with pytest.raises(MetricError, match="resamples must be at least 100, got 5"):
        resampled(random_scores(0, 1), METRICS["auroc"], resamples=5)
