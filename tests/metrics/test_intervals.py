"""Confidence intervals: the same numbers as slow loops, and the coverage that they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from oodbench.errors import MetricError
from oodbench.metrics import (
    METRICS,
    auroc,
    bootstrap_interval,
    delong_covariance,
    delong_difference,
    delong_interval,
    percentile_interval,
    resampled_metrics,
    resampling,
)


def pair(seed: int, *, n_id: int = 40, n_ood: int = 30, ties: bool = False):
    """Return scores of two normal distributions one standard deviation apart."""
    random = np.random.default_rng(seed)
    scores = random.normal(1, 1, n_id), random.normal(0, 1, n_ood)
    return tuple(np.round(2 * one) for one in scores) if ties else scores


# DeLong.


def covariance_by_loop(methods):
    """Return the covariance of DeLong et al. (1988), equations 3 and 4, pair by pair."""
    placements = []
    for scores_id, scores_ood in methods:
        wins = np.array([[(a > b) + 0.5 * (a == b) for b in scores_ood] for a in scores_id])
        placements.append((wins.mean(axis=1), wins.mean(axis=0)))
    result = np.zeros((len(methods), len(methods)))
    for i, one in enumerate(placements):
        for j, other in enumerate(placements):
            for a, b in zip(one, other, strict=True):
                result[i, j] += ((a - a.mean()) * (b - b.mean())).sum() / (a.size - 1) / a.size
    return result


@pytest.mark.parametrize("ties", [False, True])
def test_delong_covariance_equals_a_loop_over_pairs(ties):
    methods = [pair(seed, ties=ties) for seed in range(3)]
    ours = delong_covariance(*(np.stack(rows) for rows in zip(*methods, strict=True)))

    np.testing.assert_allclose(ours, covariance_by_loop(methods), rtol=1e-10)


def test_delong_interval_is_the_auroc_and_its_standard_error():
    scores = pair(0, ties=True)
    interval = delong_interval(*scores, confidence=0.9)
    half = 1.6448536269514722 * math.sqrt(covariance_by_loop([scores])[0, 0])

    assert interval.value == auroc(*scores)
    assert (interval.low, interval.high) == pytest.approx((interval.value - half, interval.value + half), rel=1e-12)
    assert interval.confidence == 0.9


def test_delong_interval_stays_within_0_and_1():
    interval = delong_interval([3.0, 1.0, 4.0], [2.0, 0.0, 0.0])

    assert 0 < interval.low < interval.value < interval.high == 1


def test_sets_that_are_apart_have_an_interval_without_width():
    assert (delong_interval([3, 4], [1, 2]).low, bootstrap_interval([3, 4], [1, 2], n_resamples=50).low) == (1, 1)


def test_delong_intervals_cover_the_true_auroc_about_as_often_as_they_say():
    # Two normal distributions one deviation apart: the AUROC is Φ(1 / √2).
    truth = 0.5 * (1 + math.erf(0.5))
    intervals = [delong_interval(*pair(seed, n_id=80, n_ood=80)) for seed in range(400)]
    covered = np.mean([interval.low <= truth <= interval.high for interval in intervals])

    assert 0.92 <= covered <= 0.98


def test_difference_of_a_method_with_itself_is_exactly_0():
    scores = pair(0)
    interval = delong_difference(scores, scores)

    assert (interval.value, interval.low, interval.high) == pytest.approx((0, 0, 0), abs=1e-9)


def test_difference_of_two_methods_takes_account_of_the_images_they_share():
    first, second = pair(0), tuple(scores + 0.1 * noise for scores, noise in zip(pair(0), pair(9), strict=True))
    interval = delong_difference(first, second)
    (a, c), (_, b) = covariance_by_loop([first, second])

    assert interval.value == auroc(*first) - auroc(*second)
    assert interval.high - interval.low == pytest.approx(2 * 1.959963984540054 * math.sqrt(a + b - 2 * c), rel=1e-9)
    assert interval.high - interval.low < delong_interval(*first).high - delong_interval(*first).low


# The bootstrap.


@pytest.mark.parametrize(
    "scores",
    [pair(0), pair(1, ties=True), pair(2, n_id=5, n_ood=60, ties=True), ([1.0], [0.0]), ([1.0, 1.0], [1.0, 1.0])],
    ids=["continuous", "ties", "few ID", "one each", "constant"],
)
def test_resampled_metrics_equal_a_loop_over_the_same_resamples(scores):
    scores_id, scores_ood = map(np.asarray, scores)
    ours = resampled_metrics(scores_id, scores_ood, n_resamples=25, seed=4)
    drawn = resampling.drawn_images(scores_id.size, scores_ood.size, n_resamples=25, seed=4)
    resamples = [(scores_id[image_id], scores_ood[image_ood]) for image_id, image_ood in drawn]

    assert list(ours) == list(METRICS)
    for name, values in ours.items():
        by_loop = [METRICS[name](*resample) for resample in resamples]
        np.testing.assert_allclose(values, by_loop, rtol=1e-12, atol=1e-14, err_msg=name)


def test_chunks_of_resamples_do_not_change_them(monkeypatch):
    scores = pair(0)
    at_once = resampled_metrics(*scores, n_resamples=10)
    monkeypatch.setattr(resampling, "_CHUNK", 3 * 70)
    in_chunks = resampled_metrics(*scores, n_resamples=10)

    for name, values in at_once.items():
        np.testing.assert_array_equal(values, in_chunks[name])


def test_more_resamples_go_on_where_fewer_end_and_other_seeds_draw_others():
    scores = pair(0)
    some, more, other = (
        resampled_metrics(*scores, metrics=("auroc",), n_resamples=n, seed=seed)["auroc"]
        for n, seed in ((5, 0), (8, 0), (5, 1))
    )

    assert some.tolist() == more[:5].tolist()
    assert some.tolist() != other.tolist()


def test_several_methods_share_the_images_that_are_drawn():
    methods = [pair(seed) for seed in range(3)]
    stacked = (np.stack(rows) for rows in zip(*methods, strict=True))
    together = resampled_metrics(*stacked, metrics=("auroc", "fpr_at_95tpr"), n_resamples=7)

    for name, values in together.items():
        assert values.shape == (3, 7)
        alone = [resampled_metrics(*scores, metrics=(name,), n_resamples=7)[name] for scores in methods]
        np.testing.assert_array_equal(values, alone)


def test_bootstrap_interval_holds_the_middle_of_the_resampled_values():
    scores = pair(0)
    values = resampled_metrics(*scores, metrics=("fpr_at_95tpr",), n_resamples=200, seed=3)["fpr_at_95tpr"]
    interval = bootstrap_interval(*scores, metric="fpr_at_95tpr", n_resamples=200, seed=3, confidence=0.8)

    assert interval.value == METRICS["fpr_at_95tpr"](*scores)
    assert (interval.low, interval.high) == pytest.approx(np.quantile(values, [0.1, 0.9]), rel=1e-14)
    assert interval.confidence == 0.8


def test_bootstrap_and_delong_agree_on_many_images():
    scores = pair(0, n_id=1000, n_ood=1000)
    by_delong, by_bootstrap = delong_interval(*scores), bootstrap_interval(*scores, n_resamples=600)

    assert (by_bootstrap.low, by_bootstrap.high) == pytest.approx((by_delong.low, by_delong.high), abs=0.004)


def test_bootstrap_intervals_cover_the_true_auroc_about_as_often_as_they_say():
    truth = 0.5 * (1 + math.erf(0.5))
    intervals = [bootstrap_interval(*pair(seed, n_id=60, n_ood=60), n_resamples=200) for seed in range(150)]
    covered = np.mean([interval.low <= truth <= interval.high for interval in intervals])

    assert 0.89 <= covered <= 0.99


# Errors.


def test_one_image_has_no_variance():
    with pytest.raises(MetricError, match="a variance needs at least two images of each set, got 1 ID and 2 OOD"):
        delong_interval([1.0], [0.0, 2.0])


@pytest.mark.parametrize("function", [delong_interval, bootstrap_interval, resampled_metrics, delong_covariance])
def test_unusable_scores_are_refused_by_name(function):
    with pytest.raises(MetricError, match="scores_id holds 1 NaN"):
        function([1.0, math.nan], [0.0, 1.0])
    with pytest.raises(MetricError, match="scores_ood is empty"):
        function([1.0, 2.0], [])


@pytest.mark.parametrize("confidence", [0, 1, 95, math.nan])
def test_confidence_outside_0_to_1_is_refused(confidence):
    with pytest.raises(MetricError, match=r"confidence must be in \(0, 1\), got .*; write 0\.95 for 95%"):
        delong_interval(*pair(0), confidence=confidence)
    with pytest.raises(MetricError, match=r"confidence must be in \(0, 1\)"):
        percentile_interval(0.5, [0.1, 0.9], confidence=confidence)


def test_unknown_metric_is_refused_with_those_there_are():
    with pytest.raises(MetricError, match="no metric 'aupr' can be resampled; there is: auroc, aupr_in"):
        bootstrap_interval([1.0], [0.0], metric="aupr")


@pytest.mark.parametrize("options", [{"n_resamples": 0}, {"seed": -1}])
def test_numbers_that_are_too_small_are_refused(options):
    with pytest.raises(MetricError, match="n_resamples must be at least 1 and seed at least 0"):
        resampled_metrics([1.0], [0.0], **options)


@pytest.mark.parametrize("function", [delong_covariance, resampled_metrics])
def test_different_numbers_of_methods_are_refused(function):
    with pytest.raises(MetricError, match="scores_id has 2 methods and scores_ood 1; give one row each per method"):
        function([[1.0, 2.0], [1.0, 2.0]], [[0.0, 1.0]])


def test_methods_on_different_images_have_no_difference():
    with pytest.raises(MetricError, match="scores_ood has 30 and 20 scores; give both methods the same images"):
        delong_difference(pair(0), pair(0, n_ood=20))
