"""Counts along the last axis: of a single sample a plain number comes out, of several resamples an array of them.

The metrics over samples are written in these, so that one formula serves a `Samples` and a `ResampledSamples`. Types
are those of a single sample.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number")


def total(values: NDArray[Any]) -> float:
    """Return the sum; whole numbers stay whole.

    >>> total(np.array([1, 2])), total(np.array([[1.0, 2.0], [3.0, 4.0]]))
    (3, array([3., 7.]))
    """
    found: float = _plain(np.sum(values, axis=-1))
    return found


def dot(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Return the sum of products; of whole numbers it is whole."""
    # Of many rows without an array of the products.
    found: float = _plain(np.einsum("...t,...t->...", first, second) if first.ndim > 1 else np.sum(first * second))
    return found


def mean(values: NDArray[Any]) -> float:
    """Return the mean."""
    found: float = _plain(np.mean(values, axis=-1))
    return found


def first_reaching(rising: NDArray[Any], needed: float) -> int:
    """Return the place of the first number of at least `needed` among numbers that never fall, one of them being so.

    >>> first_reaching(np.array([0, 2, 2, 5]), 2)
    1
    """
    found: int = _plain(np.count_nonzero(rising < needed, axis=-1))
    return found


def or_one(number: Number) -> Number:
    """Return a count to divide by: 1 where it is 0, for then the numerator is 0 as well.

    >>> or_one(0), or_one(7)
    (1, 7)
    """
    return cast("Any", number) + (number == 0)  # type: ignore[no-any-return]


def _plain(found: Any) -> Any:
    return found if np.ndim(found) else np.asarray(found).item()
