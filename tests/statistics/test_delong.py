"""DeLong's test by hand, against all pairs of images one by one, and where it has nothing to go by."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from oodbench.errors import MetricError
from oodbench.metrics import auroc
from oodbench.statistics import aurocs, compare_aurocs


def placements_one_by_one(scores_id, scores_ood):
    """Return ψ of all pairs of images, shape (n_id, n_ood): 1 if right, ½ if tied, 0 if wrong."""
    return np.array([[float(x > y) + 0.5 * float(x == y) for y in scores_ood] for x in scores_id])


def random_scores(seed, n_methods, n_id=30, n_ood=20):
    """Return scores of several methods that agree in part, rounded so that many tie."""
    random = np.random.default_rng(seed)
    hard_id, hard_ood = random.normal(1, 1, n_id), random.normal(0, 1, n_ood)
    return [
        (np.round(hard_id + random.normal(0, 1, n_id), 1), np.round(hard_ood + random.normal(0, 1, n_ood), 1))
        for _ in range(n_methods)
    ]


def test_example_by_hand():
    # First: 2 beats both, 1 beats one of two. ψ = [[1, 1], [0, 1]]; second: ψ = [[1, 1], [1, 1]].
    found = compare_aurocs(([2.0, 1.0], [1.5, 0.0]), ([2.0, 3.0], [1.0, 0.0]))

    # Placements of the first: ID (1, ½), OOD (½, 1): variance ½·(½)²/2 + the same = 1/8; the second never varies.
    assert found.first == 0.75
    assert found.second == 1.0
    assert found.estimate == 0.25
    assert found.p == pytest.approx(2 * norm.sf(0.25 / math.sqrt(1 / 8)))
    assert found.low == pytest.approx(0.25 - 1.959964 * math.sqrt(1 / 8), abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_covariance_is_that_of_all_pairs_one_by_one(seed):
    scores = random_scores(seed, 3)
    psi = [placements_one_by_one(*pair) for pair in scores]
    by_id = np.cov([one.mean(axis=1) for one in psi]) / 30
    by_ood = np.cov([one.mean(axis=0) for one in psi]) / 20

    found = aurocs(scores)

    assert found.values == pytest.approx([one.mean() for one in psi])
    assert found.values == pytest.approx([auroc(*pair) for pair in scores])
    assert found.covariance == pytest.approx(by_id + by_ood)


def test_methods_that_agree_on_hard_images_are_told_apart_more_easily_than_those_that_do_not():
    random = np.random.default_rng(0)
    hard_id, hard_ood = random.normal(1, 1, 300), random.normal(0, 1, 300)
    better = (hard_id + 0.1, hard_ood)
    other = (random.normal(1.1, 1, 300), random.normal(0, 1, 300))

    assert compare_aurocs((hard_id, hard_ood), better).p < 0.001
    assert compare_aurocs((hard_id, hard_ood), other).p > 0.05


def test_same_scores_have_no_difference_and_a_p_value_of_one():
    scores = random_scores(0, 1)[0]
    found = compare_aurocs(scores, scores)

    assert (found.estimate, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_other_scale_of_the_same_order_is_no_difference():
    scores_id, scores_ood = random_scores(0, 1)[0]

    assert compare_aurocs((scores_id, scores_ood), (np.exp(scores_id), np.exp(scores_ood))).p == 1


@pytest.mark.parametrize(("n", "is_found"), [(2, False), (50, True)])
def test_perfect_and_useless_methods_are_told_apart_where_there_are_images_enough(n, is_found):
    high, low = np.arange(n) + 1000.0, np.arange(n) * 1.0
    found = compare_aurocs((high, low), (low, high))

    assert found.estimate == -1
    assert (found.p < 0.05) == is_found


def test_false_alarms_are_as_rare_as_promised():
    p_values = [compare_aurocs(*random_scores(seed, 2, 60, 60)).p for seed in range(400)]

    assert 0.02 < np.mean(np.array(p_values) < 0.05) < 0.09


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (([1.0, 2.0], [0.0, 1.0]), ([1.0, 2.0, 3.0], [0.0, 1.0]), r"ID scores have the shapes \[\(2,\), \(3,\)\]"),
        (([1.0], [0.0, 1.0]), ([1.0], [0.0, 1.0]), "there is 1 ID image; a test needs at least 2"),
        (([1.0, 2.0], [0.0, np.nan]), ([1.0, 2.0], [0.0, 1.0]), "OOD scores hold NaN or infinite"),
    ],
)
def test_unusable_scores_are_refused(first, second, message):
    with pytest.raises(MetricError, match=message):
        compare_aurocs(first, second)


def test_a_level_that_is_no_share_is_refused():
    with pytest.raises(MetricError, match="level must be between 0 and 1, got 95; write 0.05 for 5%"):
        compare_aurocs(([1, 2], [0, 1]), ([1, 2], [0, 1]), level=95)
