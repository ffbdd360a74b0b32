"""Wilcoxon's test against SciPy's and against all signs one by one; Holm's correction by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import wilcoxon

from oodbench.errors import MetricError
from oodbench.statistics import holm, signed_rank


def p_of_all_signs(differences):
    """Return the share of all signs of the ranks that are as far from the middle."""
    from scipy.stats import rankdata

    ranks = rankdata(np.abs(differences))
    middle = ranks.sum() / 2
    away = abs(ranks[np.array(differences) > 0].sum() - middle)
    sums = [sum(ranks[i] for i, up in enumerate(signs) if up) for signs in itertools.product([0, 1], repeat=len(ranks))]
    return np.mean([abs(one - middle) >= away - 1e-9 for one in sums])


@pytest.mark.parametrize("n", [6, 12, 60])
def test_p_value_is_scipys(n):
    differences = np.random.default_rng(n).normal(0.3, 1, n)
    known = wilcoxon(differences) if n < 50 else wilcoxon(differences, correction=True, method="approx")

    assert signed_rank(differences).p == pytest.approx(known.pvalue)


@pytest.mark.parametrize("differences", [[1, 1, 1, 1, 1], [1, 1, -1, 2, 2, 3, -3], [0.5, -0.5]])
def test_ties_are_counted_out(differences):
    assert signed_rank(differences).p == pytest.approx(p_of_all_signs(differences))


def test_pairs_that_do_not_differ_are_left_out_but_counted():
    found = signed_rank([0, 0, 1, 2, 3, 4, 5, -6])

    assert (found.n, found.n_above, found.n_below) == (8, 5, 1)
    assert found.p == signed_rank([1, 2, 3, 4, 5, -6]).p
    assert (found.mean, found.median) == (9 / 8, 1.5)


def test_nothing_but_equal_pairs_is_no_difference():
    assert signed_rank([0.0, 0.0]).p == 1


@pytest.mark.parametrize(("n", "least"), [(1, 1), (5, 0.0625), (6, 0.03125)])
def test_what_so_many_pairs_can_tell_at_best_is_said(n, least):
    found = signed_rank(np.arange(n) + 1.0)

    assert found.least_p == least
    assert found.p == pytest.approx(least)


@pytest.mark.parametrize("differences", [[], [math.nan], [[1.0]]])
def test_what_cannot_be_tested_is_refused(differences):
    with pytest.raises(MetricError, match="pass finite numbers, at least one"):
        signed_rank(differences)


def test_holm_by_hand():
    # The smallest of four times 4, the next times 3, ...; never falling, never above 1.
    assert holm([0.02, 0.005, 0.9, 0.03]) == pytest.approx([0.06, 0.02, 0.9, 0.06])


def test_tests_that_were_not_made_do_not_count():
    corrected = holm([math.nan, 0.02, 0.5])

    assert math.isnan(corrected[0])
    assert corrected[1:] == [0.04, 0.5]


def test_holm_refuses_what_is_no_probability():
    with pytest.raises(MetricError, match="1.5 is no p-value"):
        holm([0.1, 1.5])
