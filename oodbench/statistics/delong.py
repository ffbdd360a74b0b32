"""The AUROC of several methods on the same images, with how their errors go together.

DeLong, DeLong & Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating characteristic
curves: a nonparametric approach", Biometrics 44, 1988. Ranks instead of all pairs of images, as in Sun & Xu, IEEE
Signal Processing Letters 21, 2014.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oodbench.errors import MetricError

from .difference import Difference, check_level

Floats = NDArray[np.float64]
Order = NDArray[np.intp]
TwoSets = tuple[ArrayLike, ArrayLike]
"""Scores of the ID images and of the OOD images of one method, shapes (n_id,) and (n_ood,)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Aurocs:
    """AUROCs of k methods on the same images.

    Attributes:
        values: shape (k,), fractions in [0, 1].
        covariance: shape (k, k), of these values when other images had been drawn.
        n_id: number of ID images.
        n_ood: number of OOD images.
    """

    values: Floats
    covariance: Floats
    n_id: int
    n_ood: int

    @property
    def least_variance(self) -> float:
        """Variance that a difference has if each set had one image more on which the methods disagree.

        DeLong's variance is zero where every method tells the sets apart wholly, or not at all, however few images
        there are. A difference between such methods is judged by this one.
        """
        return 1 / self.n_id**2 + 1 / self.n_ood**2


def aurocs(scores: Sequence[TwoSets]) -> Aurocs:
    """Return the AUROCs of several methods and their covariance.

    Args:
        scores: of each method on the same images in the same order; finite, higher means more in-distribution.

    Raises:
        MetricError: there are fewer than 2 images in a set, the methods differ in how many, or a score is not finite.
    """
    sets_id, sets_ood = _stacked("ID", [pair[0] for pair in scores]), _stacked("OOD", [pair[1] for pair in scores])
    placed = [placements(of_id, of_ood) for of_id, of_ood in zip(sets_id, sets_ood, strict=True)]
    by_id, by_ood = np.stack([first for first, _ in placed]), np.stack([second for _, second in placed])
    n_id, n_ood = by_id.shape[1], by_ood.shape[1]
    return Aurocs(
        values=by_id.mean(axis=1),
        covariance=np.atleast_2d(np.cov(by_id)) / n_id + np.atleast_2d(np.cov(by_ood)) / n_ood,
        n_id=n_id,
        n_ood=n_ood,
    )


def compare_aurocs(first: TwoSets, second: TwoSets, *, level: float = 0.95) -> Difference:
    """Return how much the AUROC of the second method exceeds that of the first on the same images: DeLong's test.

    It says whether other images of the same kind would show the same, not whether another training would.

    Args:
        first: scores of the first method.
        second: scores of the second method on the same images in the same order.
        level: of the interval.

    Raises:
        MetricError: as for `aurocs`, or the level is no share.
    """
    check_level("level", level)
    # As in scipy.stats, which takes longer to import than most tables to make.
    from scipy.special import ndtri

    both = aurocs([first, second])
    estimate = float(both.values[1] - both.values[0])
    variance = float(both.covariance[0, 0] + both.covariance[1, 1] - 2 * both.covariance[0, 1])
    error = standard_error(estimate, variance, both.least_variance)
    half = -float(ndtri((1 - level) / 2)) * error
    return Difference(
        first=float(both.values[0]),
        second=float(both.values[1]),
        low=max(estimate - half, -1.0),
        high=min(estimate + half, 1.0),
        p=two_sided(estimate, error),
        level=level,
        test="DeLong",
    )


def standard_error(estimate: float, variance: float, least: float) -> float:
    """Return the standard error of a difference: of the least variance where it seems to have none."""
    # Rounding leaves some 1e-17 of a variance that is zero.
    if variance > 1e-15:
        return math.sqrt(variance)
    return math.sqrt(least) if abs(estimate) > 1e-12 else 0.0


def two_sided(estimate: float, error: float, df: float = math.inf) -> float:
    """Return the p-value of a difference by Student's t with `df` degrees of freedom; 1 where there is no error."""
    if error == 0:
        return 1.0
    distance = abs(estimate) / error
    if math.isinf(df):
        # SciPy's normal distribution says the same, a hundred times slower.
        return math.erfc(distance / math.sqrt(2))
    from scipy.special import stdtr

    return float(2 * stdtr(df, -distance))


def placements(scores_id: Floats, scores_ood: Floats, order_id: Order | None = None) -> tuple[Floats, Floats]:
    """Return the share of OOD images below each ID image and of ID images above each OOD image, ties counted half.

    The mean of either is the AUROC; how they vary over images is what its error is made of.

    Args:
        scores_id: shape (n_id,), finite.
        scores_ood: shape (n_ood,), finite.
        order_id: which sorts the ID scores, where it is known; one ID set meets several OOD sets.

    Returns:
        Shapes (n_id,) and (n_ood,).
    """
    order_id = np.argsort(scores_id) if order_id is None else order_id
    order_ood = np.argsort(scores_ood)
    sorted_id, sorted_ood = scores_id[order_id], scores_ood[order_ood]
    by_id, by_ood = np.empty(scores_id.size), np.empty(scores_ood.size)
    # Sorted values are found several times faster than others: each is near the one before it.
    n_below = np.searchsorted(sorted_id, sorted_ood, "left")
    n_not_above = np.searchsorted(sorted_id, sorted_ood, "right")
    # An OOD score is below the i-th ID score where at most i ID scores are not above it; so with "not above".
    below = sum(np.bincount(n, minlength=scores_id.size + 1)[:-1].cumsum() for n in (n_below, n_not_above))
    by_id[order_id] = below / (2 * scores_ood.size)
    by_ood[order_ood] = 1 - (n_below + n_not_above) / (2 * scores_id.size)
    return by_id, by_ood


def _stacked(kind: str, sets: Sequence[ArrayLike]) -> Floats:
    """Return the scores of several methods on one set, shape (k, n), or say what is wrong with them."""
    arrays = [np.asarray(scores, dtype=np.float64) for scores in sets]
    if not arrays:
        raise MetricError("there are no scores to compare; pass those of at least one method")
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1 or arrays[0].ndim != 1:
        raise MetricError(
            f"{kind} scores have the shapes {sorted(shapes)}; pass one score an image, of the same images for all"
        )
    if arrays[0].size < 2:
        raise MetricError(f"there is {arrays[0].size} {kind} image; a test needs at least 2 of each set")
    stacked = np.stack(arrays)
    if not np.isfinite(stacked).all():
        raise MetricError(f"{kind} scores hold NaN or infinite values; make the method return finite scores")
    return stacked
