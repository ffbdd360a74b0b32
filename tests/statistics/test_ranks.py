"""Ranks, Friedman's and Nemenyi's test: an example of the literature, peers as oracles, and what cannot be ranked."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from oodbench.errors import MetricError
from oodbench.statistics import Difference, find_best, rank_methods

# Table 6 of Demšar (JMLR 2006): AUC of C4.5, with its m, its cf and both tuned, on 14 data sets.
DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9751, 0.975],
        [0.957, 0.978, 0.946, 0.970],
    ]
)
NAMES = ("C4.5", "+m", "+cf", "+m+cf")


def random_values(n_blocks=12, k=5, seed=0):
    random = np.random.default_rng(seed)
    return np.round(random.normal(np.linspace(0, 1.5, k), 1, (n_blocks, k)), 1)


def test_example_of_demsar():
    found = rank_methods(DEMSAR, NAMES)

    assert found.names == ("+m+cf", "+m", "+cf", "C4.5")
    assert found.mean_ranks == pytest.approx((1.964, 2.000, 2.893, 3.143), abs=5e-4)
    # The paper's 9.28 knows no ties: one of all four methods, and three of two.
    assert found.friedman_p == pytest.approx(chi2.sf(9.28 / (1 - (60 + 3 * 6) / (14 * 60)), 3), rel=5e-3)
    assert rank_methods(DEMSAR, NAMES, alpha=0.10).critical_difference == pytest.approx(1.12, abs=5e-3)


def test_methods_that_cannot_be_told_apart_are_grouped():
    found = rank_methods(DEMSAR, NAMES, alpha=0.10)

    assert found.told_apart("C4.5", "+m+cf")
    assert found.told_apart("C4.5", "+m")
    assert not found.told_apart("C4.5", "+cf")
    assert found.groups == (("+m+cf", "+m", "+cf"), ("+cf", "C4.5"))
    assert found.as_good_as_best == ("+m+cf", "+m", "+cf")


def test_lower_ranks_are_given_to_lower_values_where_those_are_better():
    values = [[0.1, 0.2, 0.3], [0.1, 0.3, 0.2]]

    assert rank_methods(values, "abc", higher_is_better=False).mean_ranks == (1, 2.5, 2.5)
    assert rank_methods(values, "abc").names[-1] == "a"


def test_where_friedman_finds_nothing_no_pair_is_told_apart():
    found = rank_methods(np.tile([[1.0, 2, 3], [3.0, 2, 1]], (50, 1)), "abc")

    assert not found.differ
    assert found.groups == (("a", "b", "c"),)


def test_methods_that_never_differ_are_one_group():
    found = rank_methods(np.ones((4, 3)), "abc")

    assert found.friedman_p == 1
    assert found.as_good_as_best == ("a", "b", "c")


def test_scikit_posthocs_tells_the_same_apart():
    peer = pytest.importorskip("scikit_posthocs", reason="needs the extra peers")
    values = random_values()
    found = rank_methods(values, "abcde")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        p_values = peer.posthoc_nemenyi_friedman(values)

    assert found.differ
    for i, first in enumerate("abcde"):
        for j, second in enumerate("abcde"):
            assert found.told_apart(first, second) == (p_values.iloc[i, j] < 0.05)


def test_autorank_has_the_same_ranks_and_critical_difference():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = pytest.importorskip("autorank", reason="needs the extra peers")
        frame = pd.DataFrame(random_values(), columns=list("abcde"))
        known = peer.autorank(frame, alpha=0.05, force_mode="nonparametric", order="descending")
    found = rank_methods(random_values(), "abcde")

    assert found.mean_ranks == pytest.approx(known.rankdf.loc[list(found.names), "meanrank"])
    assert found.critical_difference == pytest.approx(known.cd, rel=1e-3)
    assert found.friedman_p == pytest.approx(known.pvalue)


@pytest.mark.parametrize(
    ("values", "names", "message"),
    [
        (np.ones((4, 2)), "ab", "there are 2 methods to rank; take 3 or more"),
        (np.ones((1, 3)), "abc", "ranks need at least 2 sets or seeds"),
        (np.full((2, 3), np.nan), "abc", "values hold NaN"),
        (np.ones((2, 3)), "aab", "do not fit 2 names"),
    ],
)
def test_what_cannot_be_ranked_is_refused(values, names, message):
    with pytest.raises(MetricError, match=message):
        rank_methods(values, names)


def a_difference(p):
    return Difference(first=0.9, second=0.8, low=-0.2, high=0.0, p=p, level=0.95, test="DeLong")


def test_methods_that_may_be_as_good_as_the_best_are_named_with_the_test():
    p_values = {"msp": 0.001, "odin": 0.03, "ml": 0.02}
    found = find_best({"msp": 0.7, "odin": 0.8, "odm": 0.9, "ml": 0.8}, lambda _, other: a_difference(p_values[other]))

    # 0.02 and 0.03 are both 0.04 after Holm's correction, 0.001 is 0.003.
    assert found.name == "odm"
    assert found.as_good == ("odm",)
    assert found.test == "DeLong"
    at_one_percent = find_best(
        {"msp": 0.7, "odin": 0.8, "odm": 0.9}, lambda _, o: a_difference(p_values[o]), alpha=0.01
    )
    assert at_one_percent.as_good == ("odm", "odin")


def test_best_of_a_metric_that_is_better_low():
    found = find_best({"msp": 0.7, "odm": 0.9}, lambda *_: a_difference(0.5), higher_is_better=False)

    assert found.as_good == ("msp", "odm")


def test_one_method_alone_is_the_best():
    assert find_best({"msp": 0.5}, lambda *_: a_difference(0.0)).as_good == ("msp",)
