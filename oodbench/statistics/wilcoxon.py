"""Whether one method is better than another over OOD sets and seeds: Wilcoxon's signed-rank test.

Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1, 1945; for classifiers over data sets:
Demšar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7, 2006.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oodbench.errors import MetricError

_EXACT = 50
"""Up to so many pairs the distribution is counted out; beyond, the normal one is as good (SciPy's choice as well)."""


@dataclass(frozen=True, kw_only=True)
class SignedRank:
    """How the differences of pairs lie about zero.

    Attributes:
        n: number of pairs.
        n_above: pairs in which the second is higher.
        n_below: pairs in which the first is higher.
        mean: difference, second minus first.
        median: difference.
        p: two-sided; 1 where no pair differs.
        least_p: the smallest p-value that as many pairs could give: where it is above the level of a test, no result
            whatever would be told from noise.
    """

    n: int
    n_above: int
    n_below: int
    mean: float
    median: float
    p: float
    least_p: float


def signed_rank(differences: ArrayLike) -> SignedRank:
    """Return Wilcoxon's signed-rank test of paired differences; pairs that do not differ are left out of it.

    It takes pairs as independent. OOD sets that one network scores are not quite, so that p is rather too small.

    Args:
        differences: second minus first, one a set and seed, shape (n,), finite.

    Raises:
        MetricError: there are none, or one is not finite.

    >>> signed_rank([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]).p
    0.03125
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise MetricError(f"differences of shape {values.shape} cannot be tested; pass finite numbers, at least one")
    moved = values[values != 0]
    return SignedRank(
        n=values.size,
        n_above=int((values > 0).sum()),
        n_below=int((values < 0).sum()),
        mean=float(values.mean()),
        median=float(np.median(values)),
        p=_p_value(moved) if moved.size else 1.0,
        least_p=min(1.0, 2.0 ** (1 - values.size)),
    )


def _p_value(moved: NDArray[np.float64]) -> float:
    from scipy.stats import rankdata, wilcoxon

    sizes = np.abs(moved)
    if moved.size > _EXACT:
        return float(wilcoxon(moved, correction=True, method="approx").pvalue)
    if np.unique(sizes).size == moved.size:
        return float(wilcoxon(moved, method="exact").pvalue)
    # SciPy turns to the normal distribution where sizes tie, which calls 5 pairs of one size significant.
    return _counted_out(np.rint(2 * rankdata(sizes)).astype(np.int64), moved > 0)


def _counted_out(ranks: NDArray[np.int64], above: NDArray[np.bool_]) -> float:
    """Return the share of all ways to give signs to (doubled) ranks whose sum is as far from the middle, or farther."""
    total = int(ranks.sum())
    ways = np.zeros(total + 1)
    ways[0] = 1
    for rank in ranks:
        ways[rank:] += ways[: total + 1 - rank].copy()
    smaller = int(min(ranks[above].sum(), ranks[~above].sum()))
    return min(1.0, float(2 * ways[: smaller + 1].sum() / ways.sum()))
