"""Mean ranks of several methods over OOD sets and seeds, and which of them cannot be told apart.

Friedman's test, and then Nemenyi's: Demšar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7,
2006, Section 3.2.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oodbench.errors import MetricError

from .difference import check_level


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """Methods from the best to the worst.

    Attributes:
        names: of the methods, the best mean rank first.
        mean_ranks: 1 is best; of ties each has the mean.
        n_blocks: number of sets and seeds that were ranked.
        friedman_p: that all methods are alike.
        critical_difference: mean ranks that are nearer than this cannot be told apart by Nemenyi's test.
        alpha: level of both tests.
    """

    names: tuple[str, ...]
    mean_ranks: tuple[float, ...]
    n_blocks: int
    friedman_p: float
    critical_difference: float
    alpha: float

    @property
    def differ(self) -> bool:
        """Whether Friedman's test finds any difference; where it does not, no pair may be looked at."""
        return self.friedman_p < self.alpha

    def told_apart(self, first: str, second: str) -> bool:
        """Return whether two methods differ by more than noise.

        Raises:
            MetricError: there is no such method.
        """
        for name in (first, second):
            if name not in self.names:
                raise MetricError(f"{name} has no rank; there are: {', '.join(self.names)}")
        ranks = dict(zip(self.names, self.mean_ranks, strict=True))
        return self.differ and abs(ranks[first] - ranks[second]) >= self.critical_difference

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Methods that cannot be told apart, two or more together, as long as they can be; the best group first."""
        found: list[tuple[int, int]] = []
        for start in range(len(self.names)):
            stop = start + 1
            while stop < len(self.names) and not self.told_apart(self.names[start], self.names[stop]):
                stop += 1
            if stop - start > 1 and (not found or stop > found[-1][1]):
                found.append((start, stop))
        return tuple(self.names[start:stop] for start, stop in found)

    @property
    def as_good_as_best(self) -> tuple[str, ...]:
        """The best method and those that cannot be told from it."""
        best = self.names[0]
        return tuple(name for name in self.names if name == best or not self.told_apart(best, name))


def rank_methods(
    values: ArrayLike, names: Sequence[str], *, higher_is_better: bool = True, alpha: float = 0.05
) -> Ranks:
    """Return mean ranks with Friedman's test and the critical difference of Nemenyi's.

    Both take blocks as independent; several seeds of one set are not quite, which makes them find rather too much.

    Args:
        values: of a metric, a row a block (a set and seed) and a column a method, shape (n_blocks, k), finite.
        names: of the methods, shape (k,), all different.
        higher_is_better: direction of the metric.
        alpha: level of both tests.

    Raises:
        MetricError: there are fewer than 3 methods or 2 blocks, or values are missing.
    """
    check_level("alpha", alpha)
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != len(names) or len(set(names)) != len(names):
        raise MetricError(
            f"values of shape {table.shape} do not fit {len(set(names))} names; pass a row a block, a column a method"
        )
    n_blocks, k = table.shape
    if k < 3:
        raise MetricError(
            f"there {'is 1 method' if k == 1 else f'are {k} methods'} to rank; take 3 or more, or compare two of them: "
            "oodbench compare"
        )
    if n_blocks < 2:
        raise MetricError(
            f"ranks need at least 2 sets or seeds that all methods have, there is {n_blocks}; run more seeds or sets"
        )
    if not np.isfinite(table).all():
        raise MetricError("values hold NaN or infinite ones; leave out blocks that a method does not have")
    from scipy.stats import rankdata, studentized_range

    ranks = rankdata(-table if higher_is_better else table, axis=1)
    means = ranks.mean(axis=0)
    order = sorted(range(k), key=lambda i: (means[i], i))
    return Ranks(
        names=tuple(names[i] for i in order),
        mean_ranks=tuple(float(means[i]) for i in order),
        n_blocks=n_blocks,
        friedman_p=_friedman(ranks),
        critical_difference=float(studentized_range.isf(alpha, k, np.inf)) * math.sqrt(k * (k + 1) / (12 * n_blocks)),
        alpha=alpha,
    )


def _friedman(ranks: NDArray[np.float64]) -> float:
    from scipy.stats import friedmanchisquare

    if (ranks == ranks[:, :1]).all():
        return 1.0
    return float(friedmanchisquare(*ranks.T).pvalue)
