"""Samples: what they take, what they refuse, and the metrics that read them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from oodbench import metrics
from oodbench.errors import MetricError
from oodbench.metrics import METRICS, SAMPLE_METRICS, Samples, sample_metrics

ONE_OF_EACH = {"scores_id": [1.0, 2.0], "scores_ood": [0.0], "n_classes": 2}


def test_lists_become_float64_and_int64():
    samples = Samples(**ONE_OF_EACH, predicted_id=np.array([0, 1], dtype=np.uint8), true_id=[1, 1])

    assert samples.scores_id.dtype == samples.scores_ood.dtype == np.float64
    assert samples.predicted_id.dtype == samples.true_id.dtype == np.int64
    assert samples.correct.tolist() == [False, True]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"scores_id": []}, "scores_id is empty"),
        ({"scores_id": [1.0, np.nan]}, "scores_id holds 1 NaN and 0 infinite values among 2"),
        ({"scores_ood": [-np.inf]}, "scores_ood holds 0 NaN and 1 infinite values among 1"),
        ({"n_classes": 0}, "n_classes must be a whole number of at least 1, got 0"),
        ({"n_classes": 2.0}, "n_classes must be a whole number of at least 1, got 2.0"),
        ({"predicted_id": [0.0, 1.0]}, "predicted_id has dtype float64; pass one whole number per image"),
        ({"true_id": [0]}, r"true_id has shape \(1,\) for 2 scores; pass one class per score"),
        ({"true_id": [0, 2]}, "true_id goes from 0 to 2; with n_classes=2 it must stay within 0 to 1"),
        ({"predicted_ood": [-1]}, "predicted_ood goes from -1 to -1"),
        ({"true_ood": [[3]]}, r"true_ood has shape \(1, 1\) for 1 scores"),
        ({"probabilities_id": [[0.5, 0.5]]}, r"probabilities_id has shape \(1, 2\); it must have shape \(2, 2\)"),
        ({"probabilities_id": [[1, 0], [3, -2]]}, "probabilities_id must be finite, at least 0 and sum to 1"),
        ({"probabilities_id": [[1, 0], [0.5, 0.4]]}, "apply a softmax first"),
        ({"probabilities_id": [[1, 0], [np.nan, 1]]}, "probabilities_id must be finite"),
        ({"certainty_id": [[1, 0, 0]]}, r"certainty_id has shape \(1, 3\); it must have shape \(2, 4\)"),
        ({"certainty_id": [[1, 0, 0, np.inf]] * 2}, "certainty_id must be finite"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(given, message):
    with pytest.raises(MetricError, match=message):
        Samples(**(ONE_OF_EACH | given))


def test_ood_images_may_have_any_class_of_their_own():
    assert Samples(**ONE_OF_EACH, true_ood=[77]).true_ood.tolist() == [77]


def test_correct_images_at_each_threshold_are_counted(tiny):
    assert tiny.curve.thresholds.tolist() == [np.inf, 6, 5, 4, 3, 2, 1]
    assert tiny.n_accepted_correct.tolist() == [0, 1, 1, 2, 2, 3, 3]


def test_correct_images_at_each_threshold_equal_a_loop(samples):
    pairs = list(zip(samples.scores_id, samples.correct, strict=True))
    by_loop = [sum(score >= t and right for score, right in pairs) for t in samples.curve.thresholds]

    assert samples.n_accepted_correct.tolist() == by_loop


def test_threshold_is_that_of_the_fpr_at_95_tpr(samples):
    accepted_id, accepted_ood = samples.accepted()

    assert accepted_id.mean() >= 0.95
    assert accepted_ood.mean() == metrics.fpr_at_tpr(samples.scores_id, samples.scores_ood)
    assert (samples.scores_id > samples.threshold()).mean() < 0.95


@pytest.mark.parametrize("threshold", [np.nan, np.inf])
def test_threshold_that_is_no_score_is_refused(tiny, threshold):
    with pytest.raises(MetricError, match="threshold must be a finite score"):
        tiny.accepted(threshold=threshold)


# The table.


def test_all_metrics_over_samples_are_those_of_the_table_in_its_order(tiny):
    assert list(sample_metrics(tiny)) == list(SAMPLE_METRICS)


def test_metrics_over_samples_say_what_tables_need_to_know():
    assert {metric.takes for metric in SAMPLE_METRICS.values()} == {"samples"}
    assert {metric.takes for metric in METRICS.values()} == {"scores"}
    assert not set(SAMPLE_METRICS) & set(METRICS)
    labels = [metric.label for metric in (*METRICS.values(), *SAMPLE_METRICS.values())]
    assert len(set(labels)) == len(labels)
    lower_is_better = {name for name, metric in SAMPLE_METRICS.items() if not metric.higher_is_better}
    assert lower_is_better == {"autc", "aurc", "augrc", "risk_at_80coverage", "ece", "brier", "nll"}


@pytest.mark.parametrize("name", SAMPLE_METRICS)
def test_metric_is_left_out_exactly_where_it_would_be_refused(tiny, name):
    metric = SAMPLE_METRICS[name]
    for missing in ("predicted_id", "true_id", "predicted_ood", "true_ood", "probabilities_id"):
        poorer = dataclasses.replace(tiny, **{missing: None})
        needs = (*metric.needs, "true_id", "probabilities_id") if "certainty" in metric.needs else metric.needs
        assert (name in sample_metrics(poorer)) == (missing not in needs)
        if missing in needs:
            with pytest.raises(MetricError, match=f"this metric needs {missing}, and the samples have none"):
                metric(poorer)


@pytest.mark.parametrize("name", SAMPLE_METRICS)
def test_metric_is_a_float_and_a_fraction_if_it_says_so(samples, name):
    value = SAMPLE_METRICS[name](samples)

    assert type(value) is float
    assert 0 <= value <= 1 or not SAMPLE_METRICS[name].is_fraction


@pytest.mark.parametrize("name", SAMPLE_METRICS)
def test_order_of_the_images_does_not_count(samples, name):
    random = np.random.default_rng(0)
    at = {"id": random.permutation(samples.scores_id.size), "ood": random.permutation(samples.scores_ood.size)}
    arrays = [f.name for f in dataclasses.fields(samples) if f.name not in ("n_classes", "certainty_id")]
    shuffled = dataclasses.replace(samples, **{a: getattr(samples, a)[at[a.rpartition("_")[2]]] for a in arrays})

    assert SAMPLE_METRICS[name](shuffled) == pytest.approx(SAMPLE_METRICS[name](samples), rel=1e-12)


@pytest.mark.parametrize("name", SAMPLE_METRICS)
def test_right_classes_and_scores_get_a_better_value_than_wrong_ones(name):
    classes = np.arange(40) % 4
    shared = {"n_classes": 4, "true_id": classes, "predicted_ood": classes}
    sure, unsure = np.eye(4)[classes], np.eye(4)[(classes + 1) % 4]
    good = Samples(scores_id=classes + 10, scores_ood=classes, predicted_id=classes, probabilities_id=sure, **shared)
    bad = Samples(
        scores_id=classes, scores_ood=classes + 10, predicted_id=(classes + 1) % 4, probabilities_id=unsure, **shared
    )
    metric = SAMPLE_METRICS[name]

    assert (metric(good) > metric(bad)) == metric.higher_is_better
    assert metric(good) != metric(bad)


# AUTC.


def test_autc_is_the_area_under_both_rates_over_thresholds(samples):
    pooled = np.concatenate([samples.scores_id, samples.scores_ood])
    steps = np.linspace(pooled.min(), pooled.max(), 20_001)
    middle = (steps[1:] + steps[:-1]) / 2
    missed = np.mean([(samples.scores_id < t).mean() for t in middle])
    let_in = np.mean([(samples.scores_ood >= t).mean() for t in middle])

    assert metrics.autc(samples.scores_id, samples.scores_ood) == pytest.approx((missed + let_in) / 2, abs=1e-4)


def test_autc_equals_pytorch_ood(samples):
    torch = pytest.importorskip("torch")
    peers = pytest.importorskip("pytorch_ood.metrics.functional", exc_type=ImportError)
    labels = torch.tensor([0] * samples.scores_id.size + [-1] * samples.scores_ood.size)
    theirs = peers.autc(-torch.from_numpy(np.concatenate([samples.scores_id, samples.scores_ood])), labels)

    assert metrics.autc(samples.scores_id, samples.scores_ood) == pytest.approx(float(theirs), rel=1e-12)


def test_autc_of_constant_scores_knows_nothing_and_a_range_that_fills_float64_is_no_trouble():
    largest = np.finfo(np.float64).max

    assert metrics.autc([0.7, 0.7], [0.7]) == 0.5
    assert metrics.autc([largest], [-largest]) == 0.0
    assert metrics.autc([-largest], [largest, largest]) == 1.0


def test_autc_refuses_nan():
    with pytest.raises(MetricError, match="scores_ood holds 1 NaN"):
        metrics.autc([1.0], [np.nan])
