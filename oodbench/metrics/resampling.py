"""The metrics of many resamples of the test images at once, by counting how often each image was drawn.

A resample changes how often an image counts, never the order of the scores, so one sort serves all resamples and
every metric is read off running sums of counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from oodbench.errors import MetricError

from .checked import Counts, Floats, checked_scores
from .columns import METRICS
from .roc import Prior, RocCurve, n_needed, roc_curve, weight_of_others

_CHUNK = 2**16
"""Numbers in one array of a chunk of resamples, so that a few of them fit into a processor's cache."""


@dataclass(frozen=True, eq=False)
class ResampledCurves:
    """What a `RocCurve` says, of several resamples at the thresholds of the sample.

    It answers what `RocCurve` does, with an array of shape (n_resamples,) for each number, so that metrics of
    `METRICS` read either. Counts are whole numbers in float64, which is exact up to 2^53.

    Attributes:
        n_accepted_id: shape (n_resamples, n_thresholds), from 0 to `n_id`.
        n_accepted_ood: shape (n_resamples, n_thresholds), from 0 to `n_ood`.
        n_id: number of ID samples in each resample.
        n_ood: number of OOD samples in each resample.
    """

    n_accepted_id: Floats
    n_accepted_ood: Floats
    n_id: int
    n_ood: int

    @cached_property
    def mirrored(self) -> ResampledCurves:
        """The curves with OOD as the positive class."""
        return ResampledCurves(
            n_accepted_id=self.n_ood - self.n_accepted_ood[:, ::-1],
            n_accepted_ood=self.n_id - self.n_accepted_id[:, ::-1],
            n_id=self.n_ood,
            n_ood=self.n_id,
        )

    @cached_property
    def _steps_id(self) -> Floats:
        return np.diff(self.n_accepted_id)

    def auroc(self) -> Floats:
        """See the function `auroc`; so for all methods below."""
        # Over the steps of ID, which `aupr` reads too: the area to the left of the curve, taken from the whole.
        widths = self.n_accepted_ood[:, 1:] + self.n_accepted_ood[:, :-1]
        left = cast("Floats", np.einsum("rt,rt->r", self._steps_id, widths))
        return 1 - left / (2 * self.n_id * self.n_ood)

    def aupr(self, prior: Prior) -> Floats:
        """See `aupr_in`."""
        accepted_id = self.n_accepted_id[:, 1:]
        precision = self.n_accepted_ood[:, 1:] * weight_of_others(prior, self.n_id, self.n_ood)
        precision += accepted_id
        # Below 1 where no ID sample is accepted, which has precision 0 then.
        np.divide(accepted_id, np.maximum(precision, 1, out=precision), out=precision)
        return cast("Floats", np.einsum("rt,rt->r", self._steps_id, precision)) / self.n_id

    def fpr_at_tpr(self, tpr: float) -> Floats:
        """See `fpr_at_tpr`."""
        return self._at(self.n_accepted_ood, tpr) / self.n_ood

    def detection_error(self, tpr: float) -> Floats:
        """See `detection_error`."""
        n_missed = self.n_id - self._at(self.n_accepted_id, tpr)
        return 0.5 * (n_missed / self.n_id) + 0.5 * self.fpr_at_tpr(tpr)

    def detection_accuracy(self) -> Floats:
        """See `detection_accuracy`."""
        gaps = self.n_accepted_id * self.n_ood
        gaps -= self.n_accepted_ood * self.n_id
        best: Floats = gaps.max(axis=1)
        return 0.5 + best / (2 * self.n_id * self.n_ood)

    def _at(self, counts: Floats, tpr: float) -> Floats:
        needed = n_needed(tpr, self.n_id)
        at = [np.searchsorted(row, needed) for row in self.n_accepted_id]
        return counts[np.arange(len(at)), at]


@dataclass(frozen=True, eq=False)
class _Ranked:
    """A sample that is sorted once.

    Attributes:
        curve: its ROC curve.
        falling_id: shape (n_id,), the ID samples from the highest score down.
        falling_ood: shape (n_ood,), the same of the OOD samples.
    """

    curve: RocCurve
    falling_id: Counts
    falling_ood: Counts

    def resampled(self, drawn_id: Floats, drawn_ood: Floats) -> ResampledCurves:
        """Return the curves of resamples that draw each image as often as (n_resamples, n) arrays say."""
        return ResampledCurves(
            # The samples that a threshold accepts are the first ones from the highest score down.
            n_accepted_id=_running_sum(drawn_id, self.falling_id).take(self.curve.n_accepted_id, axis=1),
            n_accepted_ood=_running_sum(drawn_ood, self.falling_ood).take(self.curve.n_accepted_ood, axis=1),
            n_id=self.curve.n_id,
            n_ood=self.curve.n_ood,
        )


def resampled_metrics(
    scores_id: ArrayLike,
    scores_ood: ArrayLike,
    *,
    metrics: tuple[str, ...] = tuple(METRICS),
    n_resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Floats]:
    """Return the metrics of bootstrap resamples: images drawn with replacement, ID and OOD images apart.

    Equal seeds and equal numbers of images draw the same images, in all methods and in all calls, so resamples of two
    methods pair up, and their difference is one of methods rather than of images. Numbers of resamples do not change
    the first ones.

    Args:
        scores_id: shape (n_id,), or (n_methods, n_id) for several methods on the same images, which share the drawing;
            finite, higher means more in-distribution.
        scores_ood: shape (n_ood,) or (n_methods, n_ood), on the same scales.
        metrics: names in `METRICS`.
        n_resamples: at least 1.
        seed: at least 0.

    Returns:
        For each name the values, shape (n_resamples,) or (n_methods, n_resamples).

    Raises:
        MetricError: unusable scores, see `roc_curve`; an unknown name; a number that is too small.

    >>> resampled_metrics([3.0, 2.0], [1.0], metrics=("auroc",), n_resamples=3)
    {'auroc': array([1., 1., 1.])}
    """
    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise MetricError(f"no metric {unknown[0]!r} can be resampled; there is: {', '.join(METRICS)}")
    if n_resamples < 1 or seed < 0:
        raise MetricError(f"n_resamples must be at least 1 and seed at least 0, got {n_resamples} and {seed}")
    ranked = [_ranked(*pair) for pair in _pairs(scores_id, scores_ood)]
    values = {name: np.empty((len(ranked), n_resamples)) for name in metrics}
    for rows, drawn_id, drawn_ood in _drawn(ranked[0].curve.n_id, ranked[0].curve.n_ood, n_resamples, seed):
        for i, sample in enumerate(ranked):
            curves = sample.resampled(drawn_id, drawn_ood)
            for name in metrics:
                # It answers all that the metrics of METRICS ask of one curve, and with arrays.
                values[name][i, rows] = METRICS[name].of_curve(cast("RocCurve", curves))
    return values if np.ndim(scores_id) > 1 else {name: of_methods[0] for name, of_methods in values.items()}


def drawn_images(n_id: int, n_ood: int, *, n_resamples: int, seed: int) -> Iterator[tuple[Counts, Counts]]:
    """Yield the images of each resample that `resampled_metrics` draws, shapes (n_id,) and (n_ood,)."""
    # Two streams, so that the number of ID images does not change which OOD images are drawn.
    of_id, of_ood = (np.random.default_rng([seed, stream]) for stream in (0, 1))
    for _ in range(n_resamples):
        yield of_id.integers(n_id, size=n_id), of_ood.integers(n_ood, size=n_ood)


def _drawn(n_id: int, n_ood: int, n_resamples: int, seed: int) -> Iterator[tuple[slice, Floats, Floats]]:
    """Yield how often each image is drawn, in chunks of resamples with their places."""
    images = drawn_images(n_id, n_ood, n_resamples=n_resamples, seed=seed)
    size = max(1, _CHUNK // (n_id + n_ood))
    for start in range(0, n_resamples, size):
        rows = range(start, min(start + size, n_resamples))
        counts_id, counts_ood = np.empty((len(rows), n_id)), np.empty((len(rows), n_ood))
        for i, (image_id, image_ood) in zip(range(len(rows)), images, strict=False):
            counts_id[i] = np.bincount(image_id, minlength=n_id)
            counts_ood[i] = np.bincount(image_ood, minlength=n_ood)
        yield slice(rows.start, rows.stop), counts_id, counts_ood


def _pairs(scores_id: ArrayLike, scores_ood: ArrayLike) -> list[tuple[ArrayLike, ArrayLike]]:
    n_dims = np.ndim(scores_id), np.ndim(scores_ood)
    if n_dims != (2, 2):
        return [(scores_id, scores_ood)]
    rows_id, rows_ood = np.asarray(scores_id), np.asarray(scores_ood)
    if len(rows_id) != len(rows_ood) or not len(rows_id):
        raise MetricError(
            f"scores_id has {len(rows_id)} methods and scores_ood {len(rows_ood)}; give one row each per method"
        )
    return list(zip(rows_id, rows_ood, strict=True))


def _ranked(scores_id: ArrayLike, scores_ood: ArrayLike) -> _Ranked:
    valid_id, valid_ood = checked_scores("scores_id", scores_id), checked_scores("scores_ood", scores_ood)
    return _Ranked(roc_curve(valid_id, valid_ood), np.argsort(-valid_id), np.argsort(-valid_ood))


def _running_sum(drawn: Floats, order: Counts) -> Floats:
    """Return how many draws fall on the first k images of an order, for k from 0, shape (n_resamples, n + 1)."""
    sums = np.zeros((len(drawn), order.size + 1))
    np.cumsum(drawn.take(order, axis=1), axis=1, out=sums[:, 1:])
    return sums
