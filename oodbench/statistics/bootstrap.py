"""Any metric of several methods when other images of the same kind had been drawn: a paired bootstrap.

Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7, 1979. The same images are drawn for
all methods, so that what they find hard together does not count as a difference between them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oodbench.errors import MetricError
from oodbench.metrics import CurveMetric, RocCurve, roc_curve

from .delong import TwoSets
from .difference import Difference, check_level

if TYPE_CHECKING:
    from oodbench.api import Metric

Floats = NDArray[np.float64]
Draws = NDArray[np.int64]
RESAMPLES = 1000
"""Enough for an interval of 95%, whose ends are then the 25th values from outside."""


def resampled(scores: Sequence[TwoSets], metric: Metric, *, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """Return a metric of several methods on images that are drawn again and again, the same ones for all.

    Args:
        scores: of each method on the same images in the same order.
        metric: such as one of `oodbench.metrics.METRICS`; these need no new sort for each draw.
        resamples: how often images are drawn; as many of each set as it has, with replacement.
        seed: of the draws.

    Returns:
        Shape (resamples, k).

    Raises:
        MetricError: the scores are no pairs of usable arrays, or methods differ in their number.
    """
    if resamples < 100:
        raise MetricError(f"resamples must be at least 100, got {resamples}; 1000 are usual")
    pairs = [(np.asarray(of_id, dtype=np.float64), np.asarray(of_ood, dtype=np.float64)) for of_id, of_ood in scores]
    sizes = {(of_id.shape, of_ood.shape) for of_id, of_ood in pairs}
    if len(sizes) != 1:
        raise MetricError(f"scores have the shapes {sorted(sizes)}; pass scores of the same images for all methods")
    evaluate = [_evaluator(of_id, of_ood, metric) for of_id, of_ood in pairs]
    n_id, n_ood = pairs[0][0].size, pairs[0][1].size
    random = np.random.default_rng(seed)
    values = np.empty((resamples, len(pairs)))
    for i in range(resamples):
        draw_id, draw_ood = random.integers(0, n_id, n_id), random.integers(0, n_ood, n_ood)
        values[i] = [of_draw(draw_id, draw_ood) for of_draw in evaluate]
    return values


def compare_by_bootstrap(
    first: TwoSets, second: TwoSets, metric: Metric, *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Difference:
    """Return how much a metric of the second method exceeds that of the first on the same images.

    Args:
        first: scores of the first method.
        second: scores of the second method on the same images in the same order.
        metric: such as one of `oodbench.metrics.METRICS`.
        level: of the interval.
        resamples: how often images are drawn.
        seed: of the draws.

    Returns:
        With a percentile interval. The p-value is twice the share of draws on the other side of zero, and never less
        than 2 / (resamples + 1), which is as far as so many draws can see.

    Raises:
        MetricError: as for `resampled`, or the level is no share.
    """
    check_level("level", level)
    draws = resampled([first, second], metric, resamples=resamples, seed=seed)
    return judged_by(draws, metric(*_floats(first)), metric(*_floats(second)), level=level)


def judged_by(draws: Floats, first: float, second: float, *, level: float = 0.95) -> Difference:
    """Return a difference with the interval and p-value that resampled values of both methods give it.

    Args:
        draws: as `resampled` returns them for the two methods, shape (resamples, 2).
        first: value of the first method on the images as they are.
        second: value of the second method.
        level: of the interval.
    """
    differences = draws[:, 1] - draws[:, 0]
    low, high = np.quantile(differences, [(1 - level) / 2, (1 + level) / 2])
    beyond = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return Difference(
        first=float(first),
        second=float(second),
        low=float(low),
        high=float(high),
        p=min(1.0, 2 * (beyond + 1) / (len(differences) + 1)),
        level=level,
        test="paired bootstrap",
    )


def _floats(pair: TwoSets) -> tuple[Floats, Floats]:
    return np.asarray(pair[0], dtype=np.float64), np.asarray(pair[1], dtype=np.float64)


def _evaluator(scores_id: Floats, scores_ood: Floats, metric: Metric) -> Callable[[Draws, Draws], float]:
    """Return a function of the images that are drawn."""
    # Also says what is wrong with the scores.
    curve = roc_curve(scores_id, scores_ood)
    if not isinstance(metric, CurveMetric):
        return lambda draw_id, draw_ood: float(metric(scores_id[draw_id], scores_ood[draw_ood]))
    ascending = curve.thresholds[:0:-1]
    n = ascending.size
    # The place of each image among the falling thresholds.
    place_id = n - 1 - np.searchsorted(ascending, scores_id)
    place_ood = n - 1 - np.searchsorted(ascending, scores_ood)

    def of_draw(draw_id: Draws, draw_ood: Draws) -> float:
        at_id = np.bincount(place_id[draw_id], minlength=n)
        at_ood = np.bincount(place_ood[draw_ood], minlength=n)
        drawn = np.flatnonzero(at_id + at_ood)
        return metric.of_curve(
            RocCurve(
                thresholds=np.append(np.inf, ascending[n - 1 - drawn]),
                n_accepted_id=np.append(0, np.cumsum(at_id[drawn])),
                n_accepted_ood=np.append(0, np.cumsum(at_ood[drawn])),
                n_id=scores_id.size,
                n_ood=scores_ood.size,
            )
        )

    return of_draw


def covariance_of(draws_first: ArrayLike, draws_second: ArrayLike) -> Floats:
    """Return the covariance of the differences of several seeds, shape (n_seeds, n_seeds), for `over_seeds`.

    Args:
        draws_first: resampled values of the first method, a column a seed, shape (resamples, n_seeds).
        draws_second: of the second method in the same draws.
    """
    return np.atleast_2d(np.cov(np.asarray(draws_second) - np.asarray(draws_first), rowvar=False))
