"""The metrics of many resamples of the test images at once, by counting how often each image was drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from oodbench.errors import MetricError

from .checked import Counts, Floats, checked_scores
from .columns import METRICS, SAMPLE_METRICS
from .resampled import Ranked, ResampledSamples
from .samples import Samples

_CHUNK = 2**16
"""Numbers in one array of a chunk of resamples, so that a few of them fit into a processor's cache."""


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
    _check(metrics, METRICS, n_resamples, seed)
    # Classes do not matter here.
    samples = [
        Samples(
            scores_id=checked_scores("scores_id", first), scores_ood=checked_scores("scores_ood", second), n_classes=1
        )
        for first, second in _pairs(scores_id, scores_ood)
    ]
    values = _resampled(samples, metrics, n_resamples, seed)
    return values if np.ndim(scores_id) > 1 else {name: of_methods[0] for name, of_methods in values.items()}


def resampled_sample_metrics(
    samples: Samples | Sequence[Samples],
    *,
    metrics: Sequence[str] | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Floats]:
    """Return the metrics of bootstrap resamples as `resampled_metrics` does, also those that need classes.

    The same images are drawn as there.

    Args:
        samples: of one method, or of several on the same images, which share the drawing.
        metrics: names in `SAMPLE_METRICS` or `METRICS`; None for all of the former that all samples have what is
            needed for.
        n_resamples: at least 1.
        seed: at least 0.

    Returns:
        For each name the values, shape (n_resamples,), or (n_methods, n_resamples) of several methods.

    Raises:
        MetricError: an unknown name; samples that lack what a metric needs, or have different numbers of images; a
            number that is too small.

    >>> samples = Samples(scores_id=[3, 2], scores_ood=[1], n_classes=1, predicted_id=[0, 0], true_id=[0, 0])
    >>> resampled_sample_metrics(samples, metrics=["oscr"], n_resamples=3)
    {'oscr': array([1., 1., 1.])}
    """
    several = [samples] if isinstance(samples, Samples) else [*samples]
    sizes = {(one.n_id, one.n_ood) for one in several}
    if len(sizes) != 1:
        raise MetricError(
            f"samples have {sorted(sizes)} ID and OOD images; give those of the same images, at least one"
        )
    if metrics is None:
        metrics = [name for name, metric in SAMPLE_METRICS.items() if all(one.has(*metric.needs) for one in several)]
    _check(metrics, {**SAMPLE_METRICS, **METRICS}, n_resamples, seed)
    values = _resampled(several, metrics, n_resamples, seed)
    return {name: of_methods[0] for name, of_methods in values.items()} if isinstance(samples, Samples) else values


def resampled_by_loop(
    metric: Callable[[Samples], float], samples: Samples, *, n_resamples: int = 200, seed: int = 0
) -> Floats:
    """Return any metric of bootstrap resamples, one after another: for those that are not written for many at once.

    Each resample is made, sorted and measured for itself, which takes a few milliseconds for 10,000 images. So there
    are fewer of them, and the ends of an interval of 95% are the fifth values from outside. The images drawn are the
    first ones that `resampled_metrics` draws.

    Args:
        metric: what to compute; what it raises is raised.
        samples: the images.
        n_resamples: at least 1.
        seed: at least 0.

    Returns:
        Shape (n_resamples,).
    """
    _check((), {}, n_resamples, seed)
    drawn = drawn_images(samples.n_id, samples.n_ood, n_resamples=n_resamples, seed=seed)
    return np.array([metric(samples.drawn(*images)) for images in drawn], dtype=np.float64)


def _check(metrics: Sequence[str], known: Mapping[str, object], n_resamples: int, seed: int) -> None:
    """Raise a MetricError that says what cannot be resampled."""
    unknown = [name for name in metrics if name not in known]
    if unknown:
        raise MetricError(f"no metric {unknown[0]!r} can be resampled; there is: {', '.join(known)}")
    if n_resamples < 1 or seed < 0:
        raise MetricError(f"n_resamples must be at least 1 and seed at least 0, got {n_resamples} and {seed}")


def _resampled(samples: Sequence[Samples], metrics: Sequence[str], n_resamples: int, seed: int) -> dict[str, Floats]:
    """Return the values of each metric, shape (n_methods, n_resamples)."""
    # Frees 31 MiB that were never touched: the C library then keeps what is freed for the next array, where it else
    # returns pages of this size to the system, and gets and clears them anew for each array of each resample.
    np.empty(31 * 2**17)
    ranked = [Ranked(one) for one in samples]
    values = {name: np.empty((len(ranked), n_resamples)) for name in metrics}
    for rows, drawn_id, drawn_ood in _drawn(samples[0].n_id, samples[0].n_ood, n_resamples, seed):
        for i, one in enumerate(ranked):
            # They answer all that metrics ask of one sample, and with arrays.
            resampled = cast("Samples", ResampledSamples(one, drawn_id, drawn_ood))
            for name in metrics:
                values[name][i, rows] = value_of(name, resampled)
    return values


def value_of(name: str, samples: Samples) -> float:
    """Return a metric of samples by its name in `METRICS` or `SAMPLE_METRICS`."""
    return METRICS[name].of_curve(samples.curve) if name in METRICS else SAMPLE_METRICS[name].of_samples(samples)


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
