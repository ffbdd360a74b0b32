"""How sure a metric is, given the test images: confidence intervals by DeLong and by the bootstrap.

Both answer what would change with other test images of the same kind. They say nothing of another training: seeds do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from oodbench.errors import MetricError

from .checked import Floats, checked_scores
from .columns import METRICS
from .resampling import resampled_metrics, resampled_sample_metrics, value_of
from .roc import roc_curve
from .samples import Samples


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A value with its confidence interval.

    Attributes:
        value: of the sample itself.
        low: lower end.
        high: upper end.
        confidence: nominal share of samples whose interval holds the true value, such as 0.95.
    """

    value: float
    low: float
    high: float
    confidence: float


def delong_covariance(scores_id: ArrayLike, scores_ood: ArrayLike) -> Floats:
    """Return the covariance of the AUROCs of several methods on the same images (DeLong et al., Biometrics 1988).

    The share of OOD scores below an ID score, ties counted half, is that ID image's placement; that of an OOD image is
    the share of ID scores above it. The result is cov(placements of ID) / n_id + cov(placements of OOD) / n_ood, with
    n - 1 in each, from one sort for each method as in Sun & Xu (IEEE Signal Processing Letters 2014).

    Args:
        scores_id: shape (n_methods, n_id), n_id at least 2; finite, higher means more in-distribution.
        scores_ood: shape (n_methods, n_ood), n_ood at least 2; row by row on the same scales.

    Returns:
        Shape (n_methods, n_methods); the variances lie on the diagonal.

    Raises:
        MetricError: unusable scores, see `roc_curve`; fewer than two images; different numbers of methods.

    >>> delong_covariance([[3.0, 1.0]], [[2.0, 0.0]])
    array([[0.125]])
    """
    rows_id, rows_ood = np.atleast_2d(np.asarray(scores_id)), np.atleast_2d(np.asarray(scores_ood))
    if len(rows_id) != len(rows_ood):
        raise MetricError(
            f"scores_id has {len(rows_id)} methods and scores_ood {len(rows_ood)}; give one row each per method"
        )
    placements = [_placements(*pair) for pair in zip(rows_id, rows_ood, strict=True)]
    of_id, of_ood = (np.stack(rows) for rows in zip(*placements, strict=True))
    covariance: Floats = np.cov(of_id) / of_id.shape[1] + np.cov(of_ood) / of_ood.shape[1]
    return np.atleast_2d(covariance)


def delong_interval(scores_id: ArrayLike, scores_ood: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Return the AUROC with its interval by DeLong: value ± z times the standard error, cut to [0, 1].

    Near 0 and 1 it is too narrow for few images; of sets that are perfectly apart it is a single point. Use
    `bootstrap_interval` for other metrics, and more images for such sets.

    Args:
        scores_id: shape (n_id,), at least 2; finite, higher means more in-distribution.
        scores_ood: shape (n_ood,), at least 2; on the same scale.
        confidence: in (0, 1).

    Raises:
        MetricError: unusable scores, see `roc_curve`; fewer than two images in a set; `confidence` outside (0, 1).

    >>> interval = delong_interval([3.0, 1.0, 4.0, 5.0], [2.0, 0.0, 1.5, 0.5])
    >>> round(interval.value, 4), round(interval.low, 4), round(interval.high, 4)
    (0.875, 0.5921, 1.0)
    """
    half = _half_width(float(delong_covariance(scores_id, scores_ood)[0, 0]), confidence)
    value = roc_curve(scores_id, scores_ood).auroc()
    return Interval(value=value, low=max(0.0, value - half), high=min(1.0, value + half), confidence=confidence)


def delong_difference(
    first: tuple[ArrayLike, ArrayLike], second: tuple[ArrayLike, ArrayLike], *, confidence: float = 0.95
) -> Interval:
    """Return by how much the AUROC of the first method exceeds that of the second on the same images.

    An interval without 0 is DeLong's test: the difference is significant at 1 - `confidence`.

    Args:
        first: (scores_id, scores_ood) of one method, shapes (n_id,) and (n_ood,), at least two images each.
        second: those of the other one, image by image the same; its scale may be another.
        confidence: in (0, 1).

    Raises:
        MetricError: unusable scores, see `roc_curve`; different numbers of images; fewer than two images in a set;
            `confidence` outside (0, 1).
    """
    pairs = [[checked_scores(name, scores) for scores in both] for name, both in _named(first, second)]
    for name, (one, other) in zip(("scores_id", "scores_ood"), pairs, strict=True):
        if one.size != other.size:
            raise MetricError(f"{name} has {one.size} and {other.size} scores; give both methods the same images")
    covariance = delong_covariance(*(np.stack(both) for both in pairs))
    half = _half_width(float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]), confidence)
    value = roc_curve(*first).auroc() - roc_curve(*second).auroc()
    return Interval(value=value, low=max(-1.0, value - half), high=min(1.0, value + half), confidence=confidence)


def bootstrap_interval(
    scores_id: ArrayLike,
    scores_ood: ArrayLike,
    *,
    metric: str = "auroc",
    n_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return a metric with its percentile interval over bootstrap resamples of the images, ID and OOD apart.

    For several metrics or methods, and for metrics that need classes, ask `intervals_of`.

    Args:
        scores_id: shape (n_id,), finite; higher means more in-distribution.
        scores_ood: shape (n_ood,), finite, on the same scale.
        metric: a name in `METRICS`.
        n_resamples: at least 1; a thousand or more for ends that two seeds agree on.
        confidence: in (0, 1).
        seed: at least 0; the same one draws the same images.

    Raises:
        MetricError: unusable scores, see `roc_curve`; an unknown metric; a number outside of its range.

    >>> bootstrap_interval([3.0, 2.0], [1.0, 0.0], n_resamples=100)
    Interval(value=1.0, low=1.0, high=1.0, confidence=0.95)
    """
    values = resampled_metrics(scores_id, scores_ood, metrics=(metric,), n_resamples=n_resamples, seed=seed)
    return percentile_interval(METRICS[metric](scores_id, scores_ood), values[metric], confidence=confidence)


def intervals_of(
    samples: Sequence[Samples],
    metrics: Sequence[str],
    *,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> list[dict[str, Interval]]:
    """Return metrics of several methods on the same images with their intervals: AUROC by DeLong, others by bootstrap.

    Args:
        samples: of each method, at least one.
        metrics: names in `METRICS` and `SAMPLE_METRICS`.
        n_resamples: at least 1.
        confidence: in (0, 1).
        seed: at least 0; the same one draws the same images.

    Returns:
        For each method an interval by the name of each metric.

    Raises:
        MetricError: see `resampled_sample_metrics`; with the AUROC, fewer than two images in a set.

    >>> samples = Samples(scores_id=[3, 2], scores_ood=[1], n_classes=1, predicted_id=[0, 0], true_id=[0, 0])
    >>> intervals_of([samples], ["oscr"])
    [{'oscr': Interval(value=1.0, low=1.0, high=1.0, confidence=0.95)}]
    """
    drawn = [name for name in metrics if name != "auroc"]
    values = resampled_sample_metrics(samples, metrics=drawn, n_resamples=n_resamples, seed=seed) if drawn else {}
    return [
        {
            name: delong_interval(one.scores_id, one.scores_ood, confidence=confidence)
            if name == "auroc"
            else percentile_interval(value_of(name, one), values[name][i], confidence=confidence)
            for name in metrics
        }
        for i, one in enumerate(samples)
    ]


def percentile_interval(value: float, resampled: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Return a value with the interval that the middle of its resampled values spans.

    Args:
        value: of the sample itself.
        resampled: shape (n_resamples,), the same number of each resample, such as a difference of two methods.
        confidence: share of the resampled values inside, in (0, 1).

    Raises:
        MetricError: unusable values, or `confidence` outside (0, 1).

    >>> percentile_interval(0.5, [0.0, 0.25, 0.5, 0.75, 1.0], confidence=0.5)
    Interval(value=0.5, low=0.25, high=0.75, confidence=0.5)
    """
    _check_confidence(confidence)
    outside = (1 - confidence) / 2
    low, high = np.quantile(checked_scores("resampled", resampled), [outside, 1 - outside])
    return Interval(value=value, low=float(low), high=float(high), confidence=confidence)


def _placements(scores_id: ArrayLike, scores_ood: ArrayLike) -> tuple[Floats, Floats]:
    """Return the share of the other set that each image is rightly ordered against, shapes (n_id,) and (n_ood,)."""
    valid_id, valid_ood = checked_scores("scores_id", scores_id), checked_scores("scores_ood", scores_ood)
    if min(valid_id.size, valid_ood.size) < 2:
        raise MetricError(
            f"a variance needs at least two images of each set, got {valid_id.size} ID and {valid_ood.size} OOD"
        )
    curve = roc_curve(valid_id, valid_ood)
    rising = curve.thresholds[:0:-1]
    # Halfway between the counts with and without the ties; from the lowest threshold up, as searchsorted wants it.
    below = 1 - (curve.fpr[1:] + curve.fpr[:-1])[::-1] / 2
    above = (curve.tpr[1:] + curve.tpr[:-1])[::-1] / 2
    return below[np.searchsorted(rising, valid_id)], above[np.searchsorted(rising, valid_ood)]


def _named(
    first: tuple[ArrayLike, ArrayLike], second: tuple[ArrayLike, ArrayLike]
) -> list[tuple[str, tuple[ArrayLike, ArrayLike]]]:
    return [("scores_id", (first[0], second[0])), ("scores_ood", (first[1], second[1]))]


def _half_width(variance: float, confidence: float) -> float:
    _check_confidence(confidence)
    # Rounding may leave the variance of a difference just below 0.
    return NormalDist().inv_cdf(0.5 + confidence / 2) * sqrt(max(0.0, variance))


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise MetricError(f"confidence must be in (0, 1), got {confidence}; write 0.95 for 95%")
