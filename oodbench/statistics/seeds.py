"""One difference from several seeds that are tested on the same images: other seeds and other images would differ.

The analysis of several readers and several cases (Obuchowski & Rockette, Communications in Statistics 24, 1995, with
the degrees of freedom of Hillis, Statistics in Medicine 26, 2007), where a seed is a reader and an image a case. For
two methods it has a short form: the variance of the mean difference is that of the seeds' differences over their
number, plus the covariance that they have from being measured on the same images.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from oodbench.errors import MetricError

from .delong import standard_error, two_sided
from .difference import Difference, check_level


def over_seeds(
    first: ArrayLike,
    second: ArrayLike,
    covariance: ArrayLike,
    *,
    level: float = 0.95,
    least_variance: float = 0.0,
    test: str = "DeLong",
) -> Difference:
    """Return the mean difference of two methods over seeds, judged by the noise of seeds and of images together.

    Args:
        first: values of the first method, one a seed, shape (n_seeds,).
        second: values of the second method with the same seeds.
        covariance: of the differences if other images had been drawn, shape (n_seeds, n_seeds): DeLong's, or of a
            bootstrap that draws the same images for all seeds.
        level: of the interval.
        least_variance: to be used where all variances are zero and the difference is not.
        test: how the covariance was found, in words.

    Returns:
        Of one seed, a difference that knows the noise of images only.

    Raises:
        MetricError: shapes do not fit, or the level is no share.
    """
    check_level("level", level)
    values_first, values_second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    between = np.asarray(covariance, dtype=np.float64)
    n = values_first.size
    if n == 0 or values_first.shape != (n,) or values_second.shape != (n,) or between.shape != (n, n):
        raise MetricError(
            f"values of shapes {values_first.shape} and {values_second.shape} do not fit a covariance of shape "
            f"{between.shape}; pass one value a seed, of the same seeds"
        )
    differences = values_second - values_first
    estimate = float(differences.mean())
    if n == 1:
        variance, df = float(between[0, 0]), math.inf
    else:
        seeds = float(differences.var(ddof=1)) / n
        images = max(0.0, float((between.sum() - np.trace(between)) / (n * (n - 1))))
        variance = seeds + images
        df = (n - 1) * (variance / seeds) ** 2 if seeds > 1e-15 else math.inf
    error = standard_error(estimate, variance, least_variance)
    return Difference(
        first=float(values_first.mean()),
        second=float(values_second.mean()),
        low=estimate - _quantile(level, df) * error,
        high=estimate + _quantile(level, df) * error,
        p=two_sided(estimate, error, df),
        level=level,
        test=test if n == 1 else f"{test} over {n} seeds",
    )


def _quantile(level: float, df: float) -> float:
    """Return half the width, in standard errors, of an interval."""
    if math.isinf(df):
        return NormalDist().inv_cdf((1 + level) / 2)
    # Student's t as in scipy.stats, which takes longer to import than most tables to make.
    from scipy.special import stdtrit

    return -float(stdtrit(df, (1 - level) / 2))
