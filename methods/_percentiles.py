"""Percentiles of features, exact, a part at a time, so that memory does not grow with the number of images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from oodbench.batch import Batch

from ._moments import VALUES_AT_ONCE, parts_of

_BITS = 16
"""Half of those of a float32: the first half is counted for all values, the second where a percentile is."""


def shared_percentiles(batch: Batch, percents: Sequence[float]) -> NDArray[np.float64]:
    """Return percentiles of all features of all images, as numpy.percentile does, shape (len(percents),).

    Args:
        batch: its features are float32.
        percents: each from 0 to 100.
    """
    firsts = np.zeros(2**_BITS, dtype=np.int64)
    count = 0
    for keys in _keys(batch):
        firsts += np.bincount(keys >> _BITS, minlength=2**_BITS)
        count += len(keys)
    places = np.asarray(percents, dtype=np.float64) / 100 * (count - 1)
    below = np.floor(places).astype(np.int64)
    above = np.minimum(below + 1, count - 1)
    known = _values_at(batch, np.union1d(below, above), firsts)
    low, high = (np.array([known[int(rank)] for rank in ranks]) for ranks in (below, above))
    found: NDArray[np.float64] = low + (high - low) * (places - below)
    return found


def percentiles_of_units(batch: Batch, percents: Sequence[float]) -> NDArray[np.float64]:
    """Return percentiles of each feature over all images, shape (len(percents), n_features)."""
    width = batch.at(slice(1)).features.shape[1]
    size = max(1, VALUES_AT_ONCE // len(batch))
    found = []
    for start in range(0, width, size):
        units = [part.features[:, start : start + size].cpu().numpy() for part in parts_of(batch)]
        found.append(np.percentile(np.concatenate(units), percents, axis=0))
    return np.concatenate(found, axis=1)


def _keys(batch: Batch) -> Iterator[NDArray[np.uint32]]:
    """Yield whole numbers that are in the order of the features."""
    for part in parts_of(batch):
        bits = part.features.float().cpu().numpy().reshape(-1).view(np.uint32)
        # Of negative numbers all bits are turned, of others the sign.
        yield np.where(bits >> 31 == 1, ~bits, bits | np.uint32(1 << 31))


def _values_at(batch: Batch, ranks: NDArray[np.int64], firsts: NDArray[np.int64]) -> dict[int, float]:
    """Return the values that come at these places in order, counted from 0.

    Args:
        batch: its features are looked at once more.
        ranks: the places, sorted.
        firsts: how many features there are with each first half of their bits.
    """
    ends = firsts.cumsum()
    halves = np.searchsorted(ends, ranks, side="right")
    seconds = {int(half): np.zeros(2**_BITS, dtype=np.int64) for half in halves}
    for keys in _keys(batch):
        first = keys >> _BITS
        for half in seconds:
            seconds[half] += np.bincount(keys[first == half] & (2**_BITS - 1), minlength=2**_BITS)
    found = {}
    for rank, half in zip(ranks.tolist(), halves.tolist(), strict=True):
        within = rank - (ends[half] - firsts[half])
        second = int(np.searchsorted(seconds[half].cumsum(), within, side="right"))
        key = half << _BITS | second
        bits = key & (2**31 - 1) if key >> 31 else ~key & (2**32 - 1)
        found[rank] = float(np.array([bits], dtype=np.uint32).view(np.float32)[0])
    return found
