"""A metric of two methods on one OOD set, seed by seed, with what noise does to the difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from oodbench.errors import PluginError, UnknownName, did_you_mean, reported_as
from oodbench.metrics import METRICS, SAMPLE_METRICS, Samples, resampled_sample_metrics
from oodbench.plugins import registry
from oodbench.statistics import (
    Difference,
    aurocs,
    compare_aurocs,
    covariance_of,
    judged_by,
    over_seeds,
    resampled,
)
from oodbench.store.samples import samples_of

if TYPE_CHECKING:
    from oodbench.api import Metric
    from oodbench.store.records import Record, Scores

Floats = NDArray[np.float64]
TwoSets = tuple[Floats, Floats]
"""Scores of the ID images and of the OOD images of one cell."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pair:
    """One OOD set with one seed.

    Attributes:
        seed: of both.
        images: hashes of the ID and OOD test images.
        first: stored value of the metric of the first method.
        second: of the second one.
        scores: of both methods.
        samples: what metrics over samples read, of both methods; None where the metric is none of them.
    """

    seed: int
    images: tuple[str, str]
    first: float
    second: float
    scores: tuple[TwoSets, TwoSets]
    samples: tuple[Samples, Samples] | None = None


def samples_for(metric: str, sides: Sequence[tuple[Record, Scores]], out_dist: str) -> tuple[Samples, Samples] | None:
    """Return the samples of two methods on an OOD set if a metric reads them, else None.

    Raises:
        StoreError: what is stored does not fit together.
    """
    if metric not in SAMPLE_METRICS:
        return None
    first, second = (samples_of(record, scores, out_dist) for record, scores in sides)
    return first, second


def find_metric(name: str) -> Metric:
    """Return a metric by the name of its column.

    Raises:
        UnknownName: there is none.
    """
    known: dict[str, Any] = {**METRICS, **SAMPLE_METRICS, **registry.usable("metrics")}
    if name not in known:
        raise UnknownName(f"no metric {name!r}{did_you_mean(name, known)}")
    return known[name]  # type: ignore[no-any-return]


def measure(
    name: str, pairs: Sequence[Pair], *, level: float, resamples: int
) -> tuple[Difference, tuple[Difference, ...]]:
    """Return the difference over all seeds, and that of each seed.

    The AUROC is tested by DeLong's method, and other metrics by a paired bootstrap. Metrics of plugins that need more
    than scores, and those that need what is not stored, are not tested, and have NaN for an interval and p-value.

    Args:
        name: of the metric.
        pairs: one a seed.
        level: of intervals.
        resamples: of the bootstrap.
    """
    if name in SAMPLE_METRICS:
        needs = SAMPLE_METRICS[name].needs
        whole = all(pair.samples and all(one.has(*needs) for one in pair.samples) for pair in pairs)
        return _by_bootstrap(_OverSamples(name), pairs, level, resamples) if whole else _untested(pairs, level)
    metric = find_metric(name)
    if getattr(metric, "takes", "scores") != "scores":
        return _untested(pairs, level)
    if name == "auroc":
        return _by_delong(pairs, level)
    # Which is a plugin's.
    with reported_as(PluginError, f"the metric {name}"):
        return _by_bootstrap(_OfScores(metric), pairs, level, resamples)


@dataclass(frozen=True)
class _OfScores:
    """A metric of scores, with what the bootstrap asks of it."""

    metric: Metric

    def values(self, pair: Pair) -> tuple[float, float]:
        """Return the values of both methods."""
        return self.metric(*pair.scores[0]), self.metric(*pair.scores[1])

    def resampled(self, pairs: Sequence[Pair], resamples: int) -> Floats:
        """Return the values of both methods of each pair in turn, shape (resamples, 2 * n_pairs)."""
        return resampled([scores for pair in pairs for scores in pair.scores], self.metric, resamples=resamples)


@dataclass(frozen=True)
class _OverSamples:
    """The same of a metric over samples."""

    name: str

    def values(self, pair: Pair) -> tuple[float, float]:
        first, second = (SAMPLE_METRICS[self.name](one) for one in pair.samples or ())
        return first, second

    def resampled(self, pairs: Sequence[Pair], resamples: int) -> Floats:
        samples = [one for pair in pairs for one in pair.samples or ()]
        return resampled_sample_metrics(samples, metrics=[self.name], n_resamples=resamples)[self.name].T


def _by_delong(pairs: Sequence[Pair], level: float) -> tuple[Difference, tuple[Difference, ...]]:
    single = tuple(compare_aurocs(*pair.scores, level=level) for pair in pairs)
    if len(pairs) == 1:
        return single[0], single
    covariance, least = np.zeros((len(pairs), len(pairs))), 0.0
    for members in _of_same_images(pairs):
        found = aurocs([scores for i in members for scores in pairs[i].scores])
        # Of the differences: each seed has two rows, first and second.
        signs = np.kron(np.eye(len(members)), [-1.0, 1.0])
        covariance[np.ix_(members, members)] = signs @ found.covariance @ signs.T
        least = max(least, found.least_variance)
    over = over_seeds(
        [one.first for one in single],
        [one.second for one in single],
        covariance,
        level=level,
        least_variance=least,
        test="DeLong",
    )
    return over, single


def _by_bootstrap(
    metric: _OfScores | _OverSamples, pairs: Sequence[Pair], level: float, resamples: int
) -> tuple[Difference, tuple[Difference, ...]]:
    single: dict[int, Difference] = {}
    covariance = np.zeros((len(pairs), len(pairs)))
    for members in _of_same_images(pairs):
        draws = metric.resampled([pairs[i] for i in members], resamples)
        covariance[np.ix_(members, members)] = covariance_of(draws[:, ::2], draws[:, 1::2])
        for place, i in enumerate(members):
            single[i] = judged_by(draws[:, 2 * place : 2 * place + 2], *metric.values(pairs[i]), level=level)
    ordered = tuple(single[i] for i in range(len(pairs)))
    if len(pairs) == 1:
        return ordered[0], ordered
    least = max(1 / len(of_id) ** 2 + 1 / len(of_ood) ** 2 for pair in pairs for of_id, of_ood in pair.scores)
    over = over_seeds(
        [one.first for one in ordered],
        [one.second for one in ordered],
        covariance,
        level=level,
        least_variance=least,
        test="paired bootstrap",
    )
    return over, ordered


def _untested(pairs: Sequence[Pair], level: float) -> tuple[Difference, tuple[Difference, ...]]:
    def difference(first: float, second: float) -> Difference:
        nan = math.nan
        return Difference(first=first, second=second, low=nan, high=nan, p=nan, level=level, test="")

    single = tuple(difference(pair.first, pair.second) for pair in pairs)
    means = [sum(values) / len(pairs) for values in zip(*((one.first, one.second) for one in single), strict=True)]
    return difference(means[0], means[1]), single


def _of_same_images(pairs: Sequence[Pair]) -> list[list[int]]:
    """Return which pairs are of the same images; only those have noise of images in common."""
    groups: dict[tuple[str, str], list[int]] = {}
    for i, pair in enumerate(pairs):
        groups.setdefault(pair.images, []).append(i)
    return [*groups.values()]
