"""Metrics over samples of many resamples at once: the same numbers as resamples that are made one after another."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from oodbench.errors import MetricError
from oodbench.metrics import (
    METRICS,
    SAMPLE_METRICS,
    Samples,
    macro_f,
    micro_f,
    open_set_accuracy,
    resampled_by_loop,
    resampled_metrics,
    resampled_sample_metrics,
    resampling,
    risk_at_coverage,
)
from oodbench.metrics.resampled import Ranked, ResampledSamples

from .conftest import random_samples

ALL = {**SAMPLE_METRICS, **METRICS}

CASES = {
    "ties": random_samples(0),
    "no ties": random_samples(1, ties=False),
    "many classes, few images": random_samples(2, n_id=12, n_ood=30, n_classes=9),
    "one class": random_samples(3, n_id=20, n_ood=25, n_classes=1),
    "one image each": random_samples(4, n_id=1, n_ood=1, n_classes=3),
    "two images each": random_samples(5, n_id=2, n_ood=2, n_classes=2),
    "constant": dataclasses.replace(random_samples(6), scores_id=np.ones(60), scores_ood=np.ones(45)),
    "nothing right": dataclasses.replace(
        random_samples(7, n_id=15, n_classes=2), predicted_id=np.zeros(15, dtype=int), true_id=np.ones(15, dtype=int)
    ),
    "far apart": dataclasses.replace(random_samples(8), scores_ood=np.arange(45) - 1e6),
}


@pytest.fixture(params=CASES.values(), ids=CASES)
def case(request) -> Samples:
    return request.param


def test_they_equal_a_loop_over_the_same_resamples(case):
    ours = resampled_sample_metrics(case, metrics=[*ALL], n_resamples=25, seed=4)
    drawn = resampling.drawn_images(case.n_id, case.n_ood, n_resamples=25, seed=4)
    resamples = [case.drawn(*images) for images in drawn]

    assert list(ours) == list(ALL)
    for name, metric in SAMPLE_METRICS.items():
        by_loop = [metric(resample) for resample in resamples]
        np.testing.assert_allclose(ours[name], by_loop, rtol=1e-9, atol=1e-12, err_msg=name)
    for name, curve_metric in METRICS.items():
        by_loop = [curve_metric(resample.scores_id, resample.scores_ood) for resample in resamples]
        np.testing.assert_allclose(ours[name], by_loop, rtol=1e-12, atol=1e-14, err_msg=name)


def test_some_resamples_lack_a_class():
    """What the comparison above is to have met."""
    case = CASES["many classes, few images"]
    drawn = resampling.drawn_images(case.n_id, case.n_ood, n_resamples=25, seed=4)

    assert any(np.unique(case.true_id[image_id]).size < np.unique(case.true_id).size for image_id, _ in drawn)


@pytest.mark.parametrize(
    "metric",
    [
        lambda samples: open_set_accuracy(samples, tpr=0.5, counting="one_vs_rest"),
        lambda samples: open_set_accuracy(samples, threshold=1.5),
        lambda samples: macro_f(samples, threshold=100.0),
        lambda samples: micro_f(samples, threshold=100.0),
        lambda samples: risk_at_coverage(samples, coverage=0.3, prior="equal", ood_cost=0.25),
    ],
    ids=["one against the rest", "a threshold", "macro, none accepted", "micro, none accepted", "equal prior"],
)
def test_options_of_the_functions_serve_resamples_too(metric):
    case = CASES["ties"]
    images = [*resampling.drawn_images(case.n_id, case.n_ood, n_resamples=8, seed=0)]
    counts = (
        np.stack([np.bincount(one, minlength=size) for one in drawn]).astype(float)
        for drawn, size in zip(zip(*images, strict=True), (case.n_id, case.n_ood), strict=True)
    )

    np.testing.assert_allclose(
        metric(ResampledSamples(Ranked(case), *counts)), resampled_by_loop(metric, case, n_resamples=8)
    )


def test_chunks_of_resamples_do_not_change_them(monkeypatch):
    case = CASES["ties"]
    at_once = resampled_sample_metrics(case, n_resamples=10)
    monkeypatch.setattr(resampling, "_CHUNK", 3 * 105)
    in_chunks = resampled_sample_metrics(case, n_resamples=10)

    for name, values in at_once.items():
        np.testing.assert_allclose(values, in_chunks[name], rtol=1e-14, err_msg=name)


def test_several_methods_share_the_images_that_are_drawn_with_metrics_of_scores():
    methods = [random_samples(seed) for seed in range(3)]
    together = resampled_sample_metrics(methods, metrics=["oscr", "auroc"], n_resamples=7)
    stacked = (np.stack([getattr(one, name) for one in methods]) for name in ("scores_id", "scores_ood"))

    np.testing.assert_array_equal(together["auroc"], resampled_metrics(*stacked, n_resamples=7)["auroc"])
    for values, one in zip(together["oscr"], methods, strict=True):
        np.testing.assert_array_equal(values, resampled_sample_metrics(one, metrics=["oscr"], n_resamples=7)["oscr"])


def test_what_not_all_samples_have_is_left_out_or_refused():
    whole = random_samples(0)
    poorer = dataclasses.replace(whole, predicted_ood=None, probabilities_id=None)

    assert set(SAMPLE_METRICS) - set(resampled_sample_metrics([whole, poorer], n_resamples=2)) == {
        *("macro_f", "ece", "brier", "nll")
    }
    with pytest.raises(MetricError, match="this metric needs predicted_ood, and the samples have none"):
        resampled_sample_metrics(poorer, metrics=["macro_f"])


def test_samples_that_cannot_be_resampled_together_are_refused():
    with pytest.raises(MetricError, match=r"samples have \[\(60, 30\), \(60, 45\)\] ID and OOD images"):
        resampled_sample_metrics([random_samples(0), random_samples(0, n_ood=30)])
    with pytest.raises(MetricError, match=r"samples have \[\] ID and OOD images; .* at least one"):
        resampled_sample_metrics([])
    with pytest.raises(MetricError, match="no metric 'mine' can be resampled; there is: open_set_accuracy, "):
        resampled_sample_metrics(random_samples(0), metrics=["mine"])


def test_any_function_of_samples_is_resampled_by_a_loop():
    case = CASES["ties"]
    values = resampled_by_loop(lambda samples: float(np.median(samples.scores_id)), case, n_resamples=5, seed=2)
    drawn = resampling.drawn_images(case.n_id, case.n_ood, n_resamples=5, seed=2)

    assert values.tolist() == [np.median(case.scores_id[image_id]) for image_id, _ in drawn]
    with pytest.raises(MetricError, match="n_resamples must be at least 1"):
        resampled_by_loop(lambda _: 0.0, case, n_resamples=0)


def test_drawn_samples_hold_all_that_is_known_of_these_images():
    case = CASES["ties"]
    drawn = case.drawn(np.array([3, 3, 0]), np.array([1]))

    assert drawn.true_id.tolist() == case.true_id[[3, 3, 0]].tolist()
    assert drawn.probabilities_id.tolist() == case.probabilities_id[[3, 3, 0]].tolist()
    assert (drawn.true_ood.tolist(), drawn.predicted_ood.tolist()) == ([case.true_ood[1]], [case.predicted_ood[1]])
    assert not dataclasses.replace(case, true_ood=None).drawn(np.array([0]), np.array([1])).has("true_ood")
