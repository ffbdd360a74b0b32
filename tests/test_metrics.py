"""Every metric against scikit-learn, plain loops, cases done by hand and mistakes known from elsewhere."""

import doctest
import importlib
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc_curve

from oodbench import metrics
from oodbench.engine.measures import all_metrics
from oodbench.errors import MetricError
from oodbench.metrics import (
    METRICS,
    aupr_in,
    aupr_in_trapezoid,
    aupr_out,
    aupr_out_trapezoid,
    auroc,
    detection_accuracy,
    detection_error,
    fpr_at_tpr,
    fpr_at_tpr_ood_positive,
    roc_curve,
    tnr_at_tpr,
)

Scores = NDArray[np.float64]
Pair = tuple[Scores, Scores]

PUBLIC_FUNCTIONS = (
    all_metrics,
    aupr_in,
    aupr_in_trapezoid,
    aupr_out,
    aupr_out_trapezoid,
    auroc,
    detection_accuracy,
    detection_error,
    fpr_at_tpr,
    fpr_at_tpr_ood_positive,
    roc_curve,
    tnr_at_tpr,
)


def normal(mean_id: float, mean_ood: float, n_id: int = 300, n_ood: int = 300, seed: int = 0) -> Pair:
    random = np.random.default_rng(seed)
    return random.normal(mean_id, 1, n_id), random.normal(mean_ood, 1, n_ood)


def integers(n_id: int = 300, n_ood: int = 400, seed: int = 0) -> Pair:
    random = np.random.default_rng(seed)
    return random.integers(2, 10, n_id).astype(float), random.integers(0, 8, n_ood).astype(float)


def saturated(n: int = 400, seed: int = 0) -> Pair:
    """Like a softmax in float32: most of the best scores are exactly 1.0."""
    scores_id, scores_ood = normal(1.1, 0.6, n, n, seed)
    return np.minimum(scores_id, 1.0), np.minimum(scores_ood, 1.0)


SETS: dict[str, Pair] = {
    "continuous": normal(1, 0),
    "ties": integers(),
    "ties, one to ten": integers(100, 1000),
    "one to ten": normal(1, 0, 100, 1000),
    "ten to one": normal(1, 0, 1000, 100),
    "reversed": normal(0, 2),
    "separated": normal(20, 0),
    "saturated": saturated(),
    "constant": (np.full(40, 0.7), np.full(60, 0.7)),
    "one sample each": (np.array([1.0]), np.array([0.0])),
}
every_set = pytest.mark.parametrize("pair", SETS.values(), ids=SETS)


# Against scikit-learn.


def labels_and_scores(pair: Pair, *, positive: str) -> tuple[NDArray[np.bool_], Scores]:
    scores_id, scores_ood = pair
    is_id = np.arange(scores_id.size + scores_ood.size) < scores_id.size
    scores = np.concatenate(pair)
    return (is_id, scores) if positive == "id" else (~is_id, -scores)


def sklearn_trapezoid(labels: NDArray[np.bool_], scores: Scores) -> float:
    precision, recall, _ = precision_recall_curve(labels, scores)
    return float(auc(recall, precision))


def sklearn_fpr95(labels: NDArray[np.bool_], scores: Scores) -> float:
    fpr, tpr, _ = sklearn_roc_curve(labels, scores, drop_intermediate=False)
    return float(fpr[tpr >= 0.95][0])


@pytest.mark.parametrize(
    ("ours", "theirs", "positive"),
    [
        (auroc, roc_auc_score, "id"),
        (auroc, roc_auc_score, "ood"),
        (aupr_in, average_precision_score, "id"),
        (aupr_out, average_precision_score, "ood"),
        (aupr_in_trapezoid, sklearn_trapezoid, "id"),
        (aupr_out_trapezoid, sklearn_trapezoid, "ood"),
        (fpr_at_tpr, sklearn_fpr95, "id"),
        (fpr_at_tpr_ood_positive, sklearn_fpr95, "ood"),
    ],
)
@every_set
def test_metric_equals_scikit_learn(
    ours: Callable[..., float], theirs: Callable[..., float], positive: str, pair: Pair
) -> None:
    expected = theirs(*labels_and_scores(pair, positive=positive))
    assert ours(*pair) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@every_set
def test_curve_equals_scikit_learn(pair: Pair) -> None:
    fpr, tpr, thresholds = sklearn_roc_curve(*labels_and_scores(pair, positive="id"), drop_intermediate=False)
    curve = roc_curve(*pair)
    np.testing.assert_array_equal(thresholds, curve.thresholds)
    np.testing.assert_allclose(curve.tpr, tpr, rtol=1e-15)
    np.testing.assert_allclose(curve.fpr, fpr, rtol=1e-15)


# Against a plain loop over all thresholds.


def average_precision_by_loop(
    positives: list[float], negatives: list[float], *, equal: bool, others: int = 1
) -> Fraction:
    n_positive, n_negative = len(positives), len(negatives)
    total, last_hits = Fraction(0), 0
    for threshold in sorted({*positives, *negatives}, reverse=True):
        hits = sum(score >= threshold for score in positives)
        false_alarms = sum(score >= threshold for score in negatives)
        weight = others * Fraction(n_positive, n_negative) if equal else Fraction(1)
        precision = hits / (hits + weight * false_alarms)
        total += Fraction(hits - last_hits, n_positive) * precision
        last_hits = hits
    return total


def rates_at_95_by_loop(positives: list[float], negatives: list[float]) -> tuple[Fraction, Fraction]:
    for threshold in sorted(positives, reverse=True):
        tpr = Fraction(sum(score >= threshold for score in positives), len(positives))
        if tpr >= Fraction(95, 100):
            return tpr, Fraction(sum(score >= threshold for score in negatives), len(negatives))
    raise AssertionError


def all_metrics_by_loop(scores_id: Scores, scores_ood: Scores) -> dict[str, float]:
    accept_id, accept_ood = scores_id.tolist(), scores_ood.tolist()
    call_id, call_ood = (-scores_id).tolist(), (-scores_ood).tolist()
    wins = sum(Fraction(2 * (a > b) + (a == b), 2) for a in accept_id for b in accept_ood)
    tpr, fpr = rates_at_95_by_loop(accept_id, accept_ood)
    errors = [
        Fraction(sum(a < t for a in accept_id), 2 * len(accept_id))
        + Fraction(sum(b >= t for b in accept_ood), 2 * len(accept_ood))
        for t in {*accept_id, *accept_ood, math.inf, -math.inf}
    ]
    exact = {
        "auroc": wins / (len(accept_id) * len(accept_ood)),
        "aupr_in": average_precision_by_loop(accept_id, accept_ood, equal=False),
        "aupr_out": average_precision_by_loop(call_ood, call_id, equal=False),
        "aupr_in_equal_prior": average_precision_by_loop(accept_id, accept_ood, equal=True),
        "aupr_out_equal_prior": average_precision_by_loop(call_ood, call_id, equal=True),
        "aupr_out_one_in_six": average_precision_by_loop(call_ood, call_id, equal=True, others=5),
        "fpr_at_95tpr": fpr,
        "tnr_at_95tpr": 1 - fpr,
        "detection_error": (1 - tpr + fpr) / 2,
        "detection_accuracy": 1 - min(errors),
        "fpr_at_95tpr_ood_positive": rates_at_95_by_loop(call_ood, call_id)[1],
    }
    return {name: float(value) for name, value in exact.items()}


@pytest.mark.parametrize(
    "pair",
    [
        normal(1, 0, 40, 50),
        integers(40, 50),
        integers(15, 150),
        normal(0, 2, 30, 30),
        normal(20, 0, 30, 20),
        saturated(40),
        (np.ones(3), np.ones(5)),
    ],
    ids=["continuous", "ties", "one to ten", "reversed", "separated", "saturated", "constant"],
)
def test_all_metrics_equal_a_plain_loop_over_thresholds(pair: Pair) -> None:
    assert all_metrics(*pair) == pytest.approx(all_metrics_by_loop(*pair), rel=1e-13, abs=1e-13)


# Tiny cases, by hand: accepting downwards gives ID, OOD, both (a tie at 1), OOD.

TINY_ID, TINY_OOD = [3.0, 1.0], [2.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("metric", "options", "expected"),
    [
        (auroc, {}, Fraction(9, 12)),
        (aupr_in, {}, Fraction(1, 2) + Fraction(1, 2) * Fraction(2, 4)),
        (aupr_in, {"prior": "equal"}, Fraction(1, 2) + Fraction(1, 2) * Fraction(3, 5)),
        (aupr_out, {}, Fraction(1, 3) + Fraction(1, 3) * Fraction(2, 3) + Fraction(1, 3) * Fraction(3, 4)),
        (
            aupr_out,
            {"prior": "equal"},
            Fraction(1, 3) + Fraction(1, 3) * Fraction(4, 7) + Fraction(1, 3) * Fraction(2, 3),
        ),
        (aupr_in_trapezoid, {}, Fraction(1, 2) + Fraction(1, 2) * Fraction(1, 2)),
        (aupr_in_trapezoid, {"prior": "equal"}, Fraction(1, 2) + Fraction(1, 2) * Fraction(3, 5)),
        (
            aupr_out_trapezoid,
            {},
            Fraction(1, 3) + Fraction(1, 3) * Fraction(5, 6) + Fraction(1, 3) * Fraction(17, 24),
        ),
        (
            aupr_out_trapezoid,
            {"prior": "equal"},
            Fraction(1, 3) + Fraction(1, 3) * Fraction(11, 14) + Fraction(1, 3) * Fraction(26, 42),
        ),
        (fpr_at_tpr, {}, Fraction(2, 3)),
        (fpr_at_tpr, {"tpr": 0.5}, Fraction(0)),
        (tnr_at_tpr, {}, Fraction(1, 3)),
        (tnr_at_tpr, {"tpr": 0.5}, Fraction(1)),
        (fpr_at_tpr_ood_positive, {}, Fraction(1, 2)),
        (fpr_at_tpr_ood_positive, {"tpr": 0.3}, Fraction(0)),
        (detection_error, {}, Fraction(1, 3)),
        (detection_error, {"tpr": 0.5}, Fraction(1, 4)),
        (detection_accuracy, {}, Fraction(3, 4)),
    ],
)
def test_tiny_case_equals_the_value_by_hand(
    metric: Callable[..., float], options: dict[str, object], expected: Fraction
) -> None:
    assert metric(TINY_ID, TINY_OOD, **options) == pytest.approx(float(expected), rel=1e-14, abs=0)


def test_curve_of_the_tiny_case_counts_by_hand() -> None:
    curve = roc_curve(TINY_ID, TINY_OOD)
    assert curve.thresholds.tolist() == [math.inf, 3, 2, 1, 0]
    assert curve.n_accepted_id.tolist() == [0, 1, 1, 2, 2]
    assert curve.n_accepted_ood.tolist() == [0, 0, 1, 2, 3]
    assert (curve.n_id, curve.n_ood) == (2, 3)
    assert curve.n_accepted_id.dtype == curve.n_accepted_ood.dtype == np.int64


# Where libraries and papers disagree (PEERS.md, section D and findings 4 to 9).


def test_fpr_depends_on_the_positive_class() -> None:
    random = np.random.default_rng(0)
    pair = random.normal(3, 1, 100_000), random.normal(0, 2, 100_000)
    assert fpr_at_tpr(*pair) == pytest.approx(0.249, abs=0.01)
    assert fpr_at_tpr_ood_positive(*pair) == pytest.approx(0.614, abs=0.01)


def test_more_than_5_percent_of_ood_at_the_saturated_top_ruins_only_the_ood_positive_fpr() -> None:
    pair = [1.0] * 60 + [0.5] * 40, [1.0] * 10 + [0.2] * 90
    assert fpr_at_tpr(*pair) == 0.1
    assert fpr_at_tpr_ood_positive(*pair) == 1.0


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (auroc, 0.5),
        (aupr_in, 0.5),
        (aupr_out, 0.5),
        (aupr_in_trapezoid, 0.75),
        (aupr_out_trapezoid, 0.75),
        (fpr_at_tpr, 1.0),
        (tnr_at_tpr, 0.0),
        (fpr_at_tpr_ood_positive, 1.0),
        (detection_error, 0.5),
        (detection_accuracy, 0.5),
    ],
)
def test_constant_scores_know_nothing(metric: Callable[..., float], expected: float) -> None:
    assert metric(np.full(50, 0.3), np.full(50, 0.3)) == expected


def test_constant_scores_get_the_share_of_the_positive_class_as_natural_aupr() -> None:
    pair = np.ones(10), np.ones(30)
    assert (aupr_in(*pair), aupr_out(*pair)) == (0.25, 0.75)
    assert (aupr_in(*pair, prior="equal"), aupr_out(*pair, prior="equal")) == (0.5, 0.5)


@pytest.mark.parametrize(("name", "metric"), METRICS.items(), ids=METRICS)
def test_separated_sets_get_the_best_value_and_reversed_sets_are_never_better(
    name: str, metric: metrics.CurveMetric
) -> None:
    good, bad = normal(20, 0, 300, 200), normal(0, 20, 300, 200)
    best = 0.025 if name == "detection_error" else float(metric.higher_is_better)
    assert all_metrics(*good)[name] == best
    assert all_metrics(*bad)[name] < best if metric.higher_is_better else all_metrics(*bad)[name] > best


def test_reversed_scores_get_the_complement_and_are_not_flipped() -> None:
    scores_id, scores_ood = SETS["reversed"]
    assert auroc(scores_id, scores_ood) < 0.1
    assert auroc(scores_id, scores_ood) == pytest.approx(1 - auroc(scores_ood, scores_id), rel=1e-14)
    assert fpr_at_tpr(scores_id, scores_ood) > 0.99
    assert detection_accuracy(np.arange(5), np.arange(10, 15)) == 0.5


def test_exactly_19_of_20_are_enough_for_95_percent() -> None:
    scores_id = np.arange(20)
    assert fpr_at_tpr(scores_id, [0.5]) == 0.0
    assert fpr_at_tpr(scores_id, [1.0]) == 1.0


def test_tpr_is_never_below_95_percent_although_a_threshold_below_is_closer() -> None:
    scores_id = [2.0] * 94 + [1.0] * 5 + [0.0]
    assert fpr_at_tpr(scores_id, [1.5, 1.0, 0.5, 0.5]) == 0.5
    assert detection_error(scores_id, [1.5, 1.0, 0.5, 0.5]) == pytest.approx(0.5 * 0.01 + 0.5 * 0.5)


def test_fpr_is_a_step_of_the_curve_and_not_interpolated() -> None:
    scores_id = [2.0] * 90 + [1.0] * 10
    # A line between (FPR 0, TPR .9) and (FPR 1, TPR 1) would say 0.5.
    assert fpr_at_tpr(scores_id, [1.0, 1.0]) == 1.0


@pytest.mark.parametrize("tpr", ["0.95", "0.07", "0.55", "0.56", "0.9", "0.99", "1.0"])
def test_the_least_sufficient_number_is_accepted_for_every_size(tpr: str) -> None:
    for n_id in range(1, 400):
        curve = roc_curve(np.arange(n_id), [-1.0])
        expected = -(-Fraction(tpr) * n_id // 1)
        assert expected == curve.n_accepted_id[curve.index_at_tpr(float(tpr))], n_id


def test_float_error_of_the_product_does_not_ask_for_one_more() -> None:
    assert math.ceil(0.55 * 100) == 56
    scores_id = np.arange(100)
    assert fpr_at_tpr(scores_id, [44.5], tpr=0.55) == 0.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_above_17_are_not_squashed(dtype: type) -> None:
    scores_id, scores_ood = np.array([30, 40, 50], dtype), np.array([18, 20, 35], dtype)
    assert auroc(scores_id, scores_ood) == 8 / 9
    assert auroc(scores_id * 1000, scores_ood * 1000) == 8 / 9


def test_close_float64_scores_are_not_merged() -> None:
    assert auroc([np.nextafter(1.0, 2.0)], [1.0]) == 1.0


def test_natural_aupr_depends_on_the_class_ratio_and_equal_prior_does_not() -> None:
    scores_id, scores_ood = SETS["ties, one to ten"]
    twice = np.concatenate([scores_ood, scores_ood])
    once, doubled = all_metrics(scores_id, scores_ood), all_metrics(scores_id, twice)
    changed = {name for name in METRICS if once[name] != doubled[name]}
    assert changed == {"aupr_in", "aupr_out"}


def test_equal_prior_at_one_to_ten_is_far_from_natural() -> None:
    pair = normal(1, 0, 1000, 10_000)
    balanced = normal(1, 0, 10_000, 10_000, seed=1)
    assert aupr_in(*pair) < 0.35
    assert aupr_in(*pair, prior="equal") == pytest.approx(aupr_in(*balanced), abs=0.02)


def test_prior_makes_no_difference_on_sets_of_one_size() -> None:
    pair = SETS["continuous"]
    for metric in (aupr_in, aupr_out, aupr_in_trapezoid, aupr_out_trapezoid):
        assert metric(*pair) == pytest.approx(metric(*pair, prior="equal"), rel=1e-13)


def test_detection_error_keeps_the_misses_and_detection_accuracy_takes_the_best_threshold() -> None:
    pair = np.arange(100, 200), np.arange(100)
    assert detection_error(*pair) == 0.025
    assert detection_accuracy(*pair) == 1.0


def test_detection_accuracy_does_not_count_ood_samples_at_the_threshold_as_detected() -> None:
    # With P_ood(s > t), the threshold 1.0 would seem to be without any error.
    assert detection_accuracy([1.0, 1.0], [1.0, 1.0, 0.0, 0.0]) == 0.75


# The replica of the CC-AG code.


def ccag_by_loop(scores_id: Scores, scores_ood: Scores) -> dict[str, float]:
    low, high = min(scores_id.min(), scores_ood.min()), max(scores_id.max(), scores_ood.max())
    gap = (high - low) / 200_000
    up, down = np.arange(low, high, gap), np.arange(high, low, -gap)

    def share(compare: np.ufunc, scores: Scores, thresholds: Scores) -> list[float]:
        return [count / scores.size for count in compare(scores[:, None], thresholds).sum(axis=0).tolist()]

    area, last_fpr, window, least_error = 0.0, 1.0, [], 1.0
    area_in, last_recall, recall, precision = 0.0, 1.0, 1.0, 0.0
    for from_id, from_ood, above_ood, below_id in zip(
        share(np.greater_equal, scores_id, up),
        share(np.greater_equal, scores_ood, up),
        share(np.greater, scores_ood, up),
        share(np.less, scores_id, up),
        strict=True,
    ):
        if 0.94 <= from_id <= 0.96:
            window.append(above_ood)
        area += (last_fpr - above_ood) * from_id
        last_fpr = above_ood
        least_error = min(least_error, (below_id + above_ood) / 2)
        if from_id + from_ood > 0:
            recall, precision = from_id, from_id / (from_id + from_ood)
            area_in += (last_recall - recall) * precision
            last_recall = recall
    area_in += recall * precision

    area_out, last_recall = 0.0, 1.0
    for below_ood, below_id in zip(share(np.less, scores_ood, down), share(np.less, scores_id, down), strict=True):
        if below_ood + below_id == 0:
            break
        recall, precision = below_ood, below_ood / (below_ood + below_id)
        area_out += (last_recall - recall) * precision
        last_recall = recall
    area_out += recall * precision

    return {
        "tnr": 1 - (sum(window) / len(window) if window else 1),
        "auroc": area,
        "aupr_in": area_in,
        "aupr_out": area_out,
        "detection_accuracy": 1 - least_error,
    }


@pytest.mark.parametrize(
    "pair",
    [
        normal(1, 0, 20, 25),
        integers(20, 25, seed=3),
        saturated(20),
        normal(1, 0, 5, 50),
        normal(0, 2, 20, 20),
        (np.array([3.0, 1.0]), np.array([2.0, 0.0])),
        # So far from 0, the rounded steps run past the largest score.
        tuple(1e8 + scores for scores in normal(1, 0, 20, 20)),
        # Steps of exactly 1, so scores lie on thresholds and between the last two.
        (np.array([5.5, 6, 1e5, 199_999.5, 2e5]), np.array([0, 6, 6, 99_999.5, 199_999.2, 2e5])),
    ],
    ids=[
        "continuous",
        "ties",
        "saturated",
        "one to ten",
        "reversed",
        "no TPR near .95",
        "large offset",
        "on the grid",
    ],
)
def test_ccag_replica_equals_a_plain_loop_over_its_thresholds(pair: Pair) -> None:
    ours = {
        "tnr": tnr_at_tpr(*pair, legacy="ccag"),
        "auroc": auroc(*pair, legacy="ccag"),
        "aupr_in": aupr_in(*pair, legacy="ccag"),
        "aupr_out": aupr_out(*pair, legacy="ccag"),
        "detection_accuracy": detection_accuracy(*pair, legacy="ccag"),
    }
    assert ours == pytest.approx(ccag_by_loop(*pair), rel=1e-9, abs=1e-12)


def test_ccag_replica_is_close_to_the_exact_metrics_without_ties() -> None:
    pair = normal(1, 0, 5000, 5000)
    for metric in (auroc, aupr_in, aupr_out, detection_accuracy):
        assert metric(*pair, legacy="ccag") == pytest.approx(metric(*pair), abs=0.002)
    assert tnr_at_tpr(*pair, legacy="ccag") == pytest.approx(tnr_at_tpr(*pair), abs=0.02)


def test_ccag_auroc_understates_scores_that_tie_at_the_top() -> None:
    pair = saturated(2000)
    assert auroc(*pair) - auroc(*pair, legacy="ccag") > 0.05
    assert auroc(*pair, legacy="ccag") < detection_accuracy(*pair, legacy="ccag") < auroc(*pair)


def test_ccag_loses_all_ood_samples_at_the_largest_score() -> None:
    # The last threshold lies below 1.0 at (FPR .5, TPR .75); the exact curve goes on from there to (0, 0).
    assert auroc([1.0, 1.0, 1.0, 0.5], [1.0, 0.2], legacy="ccag") == 0.5
    assert auroc([1.0, 1.0, 1.0, 0.5], [1.0, 0.2]) == 0.6875


def test_ccag_tnr_is_0_without_a_threshold_near_95_percent() -> None:
    assert tnr_at_tpr([3.0, 4.0], [0.0, 1.0]) == 1.0
    assert tnr_at_tpr([3.0, 4.0], [0.0, 1.0], legacy="ccag") == 0.0


def test_ccag_tnr_weighs_thresholds_by_the_distance_of_scores() -> None:
    # TPR is .96 from 3 to 4 and .95 from 4 to 6; the OOD sample at 5 is rejected from there on only.
    scores_id = [0.0, 1.0, 2.0, 3.0, 4.0, *[6.0] * 95]
    assert tnr_at_tpr(scores_id, [5.0]) == 1.0
    assert tnr_at_tpr(scores_id, [5.0], legacy="ccag") == pytest.approx(1 / 3, abs=1e-4)


def test_ccag_tnr_counts_thresholds_at_exactly_94_percent() -> None:
    scores_id = [0.0] * 6 + [2.0] * 94
    assert tnr_at_tpr(scores_id, [1.0], legacy="ccag") == pytest.approx(0.5, abs=1e-4)


def test_ccag_aupr_does_not_depend_on_the_class_ratio() -> None:
    scores_id, scores_ood = normal(1, 0, 50, 50)
    tenfold = np.tile(scores_ood, 10)
    assert aupr_in(scores_id, tenfold, legacy="ccag") == aupr_in(scores_id, scores_ood, legacy="ccag")


@pytest.mark.parametrize("metric", [auroc, aupr_in, aupr_out, tnr_at_tpr, detection_accuracy])
def test_ccag_refuses_constant_scores(metric: Callable[..., float]) -> None:
    with pytest.raises(MetricError, match=r"cannot cut the range of all scores, 0\.5 to 0\.5, into 200,000"):
        metric([0.5, 0.5], [0.5], legacy="ccag")


def test_ccag_refuses_a_range_that_overflows() -> None:
    with pytest.raises(MetricError, match="cannot cut the range"):
        auroc([1e308], [-1e308], legacy="ccag")


def test_ccag_tnr_refuses_another_tpr() -> None:
    with pytest.raises(MetricError, match=r"tpr=0\.95 only, got 0\.9"):
        tnr_at_tpr([1.0], [0.0], tpr=0.9, legacy="ccag")


# Properties that hold for all input.


@every_set
def test_ood_positive_metrics_are_the_id_positive_ones_of_swapped_and_negated_scores(pair: Pair) -> None:
    scores_id, scores_ood = pair
    for prior in ("natural", "equal"):
        assert aupr_out(*pair, prior=prior) == aupr_in(-scores_ood, -scores_id, prior=prior)
        assert aupr_out_trapezoid(*pair, prior=prior) == aupr_in_trapezoid(-scores_ood, -scores_id, prior=prior)
    assert fpr_at_tpr_ood_positive(*pair) == fpr_at_tpr(-scores_ood, -scores_id)


@every_set
def test_mirrored_curve_is_the_curve_of_swapped_and_negated_scores(pair: Pair) -> None:
    scores_id, scores_ood = pair
    mirrored, expected = roc_curve(*pair).mirrored, roc_curve(-scores_ood, -scores_id)
    np.testing.assert_array_equal(mirrored.thresholds, expected.thresholds)
    np.testing.assert_array_equal(mirrored.n_accepted_id, expected.n_accepted_id)
    np.testing.assert_array_equal(mirrored.n_accepted_ood, expected.n_accepted_ood)
    assert (mirrored.n_id, mirrored.n_ood) == (expected.n_id, expected.n_ood)


@pytest.mark.parametrize(
    "transform",
    [np.exp, np.cbrt, lambda s: 3 * s - 7, lambda s: s / 1e200],
    ids=["exp", "cbrt", "line", "tiny"],
)
@pytest.mark.parametrize("name", ["continuous", "ties, one to ten", "saturated"])
def test_strictly_rising_transforms_change_no_exact_metric(name: str, transform: Callable[[Scores], Scores]) -> None:
    scores_id, scores_ood = SETS[name]
    assert all_metrics(transform(scores_id), transform(scores_ood)) == all_metrics(scores_id, scores_ood)


@every_set
def test_order_of_the_samples_changes_nothing(pair: Pair) -> None:
    random = np.random.default_rng(1)
    assert all_metrics(*map(random.permutation, pair)) == all_metrics(*pair)


@every_set
def test_all_metrics_equal_the_single_functions_bit_for_bit(pair: Pair) -> None:
    expected = {
        "auroc": auroc(*pair),
        "aupr_in": aupr_in(*pair),
        "aupr_out": aupr_out(*pair),
        "aupr_in_equal_prior": aupr_in(*pair, prior="equal"),
        "aupr_out_equal_prior": aupr_out(*pair, prior="equal"),
        "aupr_out_one_in_six": aupr_out(*pair, prior="one_in_six"),
        "fpr_at_95tpr": fpr_at_tpr(*pair),
        "tnr_at_95tpr": tnr_at_tpr(*pair),
        "detection_error": detection_error(*pair),
        "detection_accuracy": detection_accuracy(*pair),
        "fpr_at_95tpr_ood_positive": fpr_at_tpr_ood_positive(*pair),
    }
    assert list(expected.items()) == list(all_metrics(*pair).items())


@every_set
def test_metrics_are_python_floats_between_0_and_1(pair: Pair) -> None:
    values = all_metrics(*pair).values()
    assert {type(value) for value in values} == {float}
    assert all(0 <= value <= 1 for value in values)


def test_inputs_are_left_unchanged() -> None:
    scores_id, scores_ood = np.array([3.0, 1.0, 2.0]), np.array([0.5, 2.5])
    all_metrics(scores_id, scores_ood)
    auroc(scores_id, scores_ood, legacy="ccag")
    assert scores_id.tolist() == [3.0, 1.0, 2.0]
    assert scores_ood.tolist() == [0.5, 2.5]


def test_lists_and_integers_are_taken_as_scores() -> None:
    assert all_metrics([3, 1], [2, 1, 0]) == all_metrics(np.array(TINY_ID), np.array(TINY_OOD))


def test_metrics_know_their_label_and_direction() -> None:
    assert len({metric.label for metric in METRICS.values()}) == len(METRICS)
    lower_is_better = {name for name, metric in METRICS.items() if not metric.higher_is_better}
    assert lower_is_better == {"fpr_at_95tpr", "detection_error", "fpr_at_95tpr_ood_positive"}


# Errors.


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([], "is empty; a metric needs at least one score"),
        (
            [1.0, math.nan, math.nan],
            "holds 2 NaN and 0 infinite values among 3; make the method return finite",
        ),
        ([math.inf, -math.inf, 0.0], "holds 0 NaN and 2 infinite values among 3"),
        ([[1.0, 2.0], [3.0, 4.0]], r"has shape \(2, 2\); pass one score per sample"),
        (1.0, r"has shape \(\); pass one score per sample"),
        (["a", "b"], "has dtype <U1; pass integers or floats"),
        ([1j], "has dtype complex128; pass integers or floats"),
        ([None, 1.0], "has dtype object; pass integers or floats"),
        ([[1.0, 2.0], [3.0]], "is not an array: .* pass one number per sample"),
    ],
    ids=["empty", "nan", "inf", "2-D", "0-D", "text", "complex", "object", "ragged"],
)
@pytest.mark.parametrize("function", PUBLIC_FUNCTIONS, ids=lambda function: function.__name__)
def test_unusable_scores_are_refused_by_name(function: Callable[..., object], scores: object, message: str) -> None:
    with pytest.raises(MetricError, match=f"scores_id {message}"):
        function(scores, [0.0])
    with pytest.raises(MetricError, match=f"scores_ood {message}"):
        function([0.0], scores)


@pytest.mark.parametrize("metric", [auroc, aupr_in, aupr_out, tnr_at_tpr, detection_accuracy])
def test_nan_is_refused_by_the_ccag_replica_too(metric: Callable[..., float]) -> None:
    with pytest.raises(MetricError, match="scores_ood holds 1 NaN"):
        metric([1.0], [math.nan], legacy="ccag")


@pytest.mark.parametrize("tpr", [0, -0.1, 1.0001, 95, math.nan])
@pytest.mark.parametrize("metric", [fpr_at_tpr, tnr_at_tpr, fpr_at_tpr_ood_positive, detection_error])
def test_tpr_outside_0_to_1_is_refused(metric: Callable[..., float], tpr: float) -> None:
    with pytest.raises(MetricError, match=r"tpr must be in \(0, 1\], got .*; write 0\.95 for 95%"):
        metric([1.0], [0.0], tpr=tpr)


@pytest.mark.parametrize("metric", [aupr_in, aupr_out, aupr_in_trapezoid, aupr_out_trapezoid])
def test_unknown_prior_is_refused_with_the_allowed_ones(metric: Callable[..., float]) -> None:
    with pytest.raises(MetricError, match="prior must be one of 'natural', 'equal', 'one_in_six', got 'rates'"):
        metric([1.0], [0.0], prior="rates")


@pytest.mark.parametrize("metric", [auroc, aupr_in, aupr_out, tnr_at_tpr, detection_accuracy])
def test_unknown_legacy_is_refused_with_the_allowed_ones(metric: Callable[..., float]) -> None:
    with pytest.raises(MetricError, match="legacy must be one of None, 'ccag', got 'odin'"):
        metric([1.0], [0.0], legacy="odin")


def test_functions_of_two_arrays_show_examples_that_are_true() -> None:
    result = doctest.testmod(importlib.import_module("oodbench.metrics.scores"))
    assert result.failed == 0
    assert result.attempted >= 9
