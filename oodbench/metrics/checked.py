"""Refuses what no metric can be computed from, in one sentence each."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oodbench.errors import MetricError

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


def checked_scores(name: str, scores: ArrayLike) -> Floats:
    """Return `scores` as finite float64 of shape (n,) with n >= 1, or raise a MetricError that names it."""
    try:
        array = np.asarray(scores)
    except (TypeError, ValueError, RuntimeError) as error:
        raise MetricError(f"{name} is not an array: {error}; pass one number per sample") from error
    if array.dtype.kind not in "biuf":
        raise MetricError(f"{name} has dtype {array.dtype}; pass integers or floats")
    if array.ndim != 1:
        raise MetricError(f"{name} has shape {array.shape}; pass one score per sample, shape (n,)")
    if array.size == 0:
        raise MetricError(f"{name} is empty; a metric needs at least one score of each set")
    array = array.astype(np.float64, copy=False)
    if not np.isfinite(array).all():
        n_nan, n_infinite = int(np.isnan(array).sum()), int(np.isinf(array).sum())
        raise MetricError(
            f"{name} holds {n_nan} NaN and {n_infinite} infinite values among {array.size}; "
            "make the method return finite scores"
        )
    return array


def check_option(name: str, value: object, allowed: tuple[object, ...]) -> None:
    """Raise a MetricError that lists what an option may be, unless `value` is one of these."""
    if value not in allowed:
        raise MetricError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
