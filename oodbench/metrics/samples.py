"""What is known of every test image after a run: its score, its predicted class and its true one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oodbench.errors import MetricError

from .certainty import Certainty, certainty_of
from .checked import Counts, Floats, checked_scores
from .roc import RocCurve, roc_curve
from .threshold_curve import stretched

Bools = NDArray[np.bool_]


class Accepted(NamedTuple):
    """How many images one threshold accepts; each an array where there are several resamples.

    Attributes:
        n_id: ID images.
        n_ood: OOD images.
        n_correct: ID images that are taken for their class.
    """

    n_id: int
    n_ood: int
    n_correct: int


class PerClass(NamedTuple):
    """How many images of each class there are: shape (n_classes,), or (n_resamples, n_classes) of resamples.

    Attributes:
        n_right: ID images that are accepted and taken for their class.
        n_taken: images of both sets that are accepted and taken for the class.
        n_there: ID images of the class.
    """

    n_right: NDArray[Any]
    n_taken: NDArray[Any]
    n_there: NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """The test images of one in-distribution (ID) and one out-of-distribution (OOD) set, as one method sees them.

    Arrays are kept as float64 and int64; lists and other numbers are converted.

    Attributes:
        scores_id: shape (n_id,), finite; higher means more in-distribution.
        scores_ood: shape (n_ood,), finite, on the same scale.
        n_classes: number of known classes, at least 1.
        predicted_id: shape (n_id,), the class of each ID image in the eyes of the method, from 0 to n_classes - 1, also
            of images that it rejects; None where it tells no classes apart.
        true_id: shape (n_id,), the class of each ID image, from 0 to n_classes - 1; None where there are no labels.
        predicted_ood: shape (n_ood,), the known class that each OOD image is taken for, or None.
        true_ood: shape (n_ood,), the class of each OOD image in its own set, which is no known class, or None.
        probabilities_id: shape (n_id, n_classes), the classifier's probabilities, each row summing to 1, or None.
        certainty_id: what was kept of them, shape (n_id, 4), with the columns of `oodbench.metrics.Certainty`, or None;
            it counts where both are given.

    Raises:
        MetricError: scores that are empty, NaN or infinite; arrays whose shapes or classes do not fit.

    >>> samples = Samples(scores_id=[3, 1], scores_ood=[2], n_classes=2, predicted_id=[0, 1], true_id=[0, 0])
    >>> samples.correct
    array([ True, False])
    """

    scores_id: Floats
    scores_ood: Floats
    n_classes: int
    predicted_id: Counts | None = None
    true_id: Counts | None = None
    predicted_ood: Counts | None = None
    true_ood: Counts | None = None
    probabilities_id: Floats | None = None
    certainty_id: NDArray[np.floating[Any]] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.n_classes, bool) or not isinstance(self.n_classes, int | np.integer) or self.n_classes < 1:
            raise MetricError(f"n_classes must be a whole number of at least 1, got {self.n_classes!r}")
        self._keep("scores_id", checked_scores("scores_id", self.scores_id))
        self._keep("scores_ood", checked_scores("scores_ood", self.scores_ood))
        n_id, n_ood, known = self.scores_id.size, self.scores_ood.size, self.n_classes
        self._keep("predicted_id", _classes("predicted_id", self.predicted_id, n_id, known))
        self._keep("true_id", _classes("true_id", self.true_id, n_id, known))
        self._keep("predicted_ood", _classes("predicted_ood", self.predicted_ood, n_ood, known))
        self._keep("true_ood", _classes("true_ood", self.true_ood, n_ood, None))
        self._keep("probabilities_id", _probabilities(self.probabilities_id, n_id, known))
        self._keep("certainty_id", _certainty(self.certainty_id, n_id))

    def _keep(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    @property
    def n_id(self) -> int:
        """Number of ID images."""
        return self.scores_id.size

    @property
    def n_ood(self) -> int:
        """Number of OOD images."""
        return self.scores_ood.size

    def has(self, *names: str) -> bool:
        """Return whether all attributes of these names are there."""
        return all(getattr(self, name) is not None for name in names)

    @cached_property
    def curve(self) -> RocCurve:
        """The ROC curve of the scores: the one sort that all metrics share."""
        return roc_curve(self.scores_id, self.scores_ood)

    @cached_property
    def correct(self) -> Bools:
        """Whether each ID image is taken for its class, rejected or not, shape (n_id,).

        Raises:
            MetricError: predicted or true classes of the ID images are missing.
        """
        correct: Bools = self.required("predicted_id") == self.required("true_id")
        return correct

    @cached_property
    def certainty(self) -> Certainty | None:
        """What the classifier's probabilities say of each ID image; None where they or true classes are missing."""
        columns: NDArray[np.floating[Any]] | None = self.certainty_id
        if columns is None and self.probabilities_id is not None and self.true_id is not None:
            columns = certainty_of(self.probabilities_id, self.true_id)
        return None if columns is None else Certainty(*columns.T)

    @cached_property
    def n_accepted_correct(self) -> Counts:
        """How many ID images that are taken for their class each threshold of `curve` accepts, (n_thresholds,)."""
        rising = self.curve.thresholds[:0:-1]
        at = np.searchsorted(rising, np.sort(self.scores_id[self.correct]))
        return np.append(0, np.cumsum(np.bincount(at, minlength=rising.size)[::-1]))

    @cached_property
    def n_accepted_errors(self) -> Counts:
        """How many OOD images, and ID images taken for another class, each threshold accepts, (n_thresholds,)."""
        return self.curve.n_accepted - self.n_accepted_correct

    def required(self, name: str) -> NDArray[np.int64]:
        """Return the classes of this name, or raise a MetricError that says that they are missing."""
        classes: NDArray[np.int64] | None = getattr(self, name)
        if classes is None:
            raise MetricError(f"this metric needs {name}, and the samples have none; give Samples({name}=...)")
        return classes

    def threshold(self, tpr: float = 0.95) -> float:
        """Return the highest threshold that accepts `tpr` of the ID images or more, as `fpr_at_tpr` takes it.

        Raises:
            MetricError: `tpr` outside (0, 1].
        """
        return float(self.curve.thresholds[self.curve.index_at_tpr(tpr)])

    def accepted(self, *, tpr: float = 0.95, threshold: float | None = None) -> tuple[Bools, Bools]:
        """Return which ID and which OOD images score at least the threshold, shapes (n_id,) and (n_ood,).

        Args:
            tpr: target true positive rate, in (0, 1], that the threshold is chosen for on these very ID images.
            threshold: a threshold chosen elsewhere, as on validation images; `tpr` does not count then.

        Raises:
            MetricError: `tpr` outside (0, 1], or `threshold` is NaN or infinite.
        """
        threshold = self.threshold(tpr) if threshold is None else _finite(threshold)
        return self.scores_id >= threshold, self.scores_ood >= threshold

    def drawn(self, images_id: Counts, images_ood: Counts) -> Samples:
        """Return the samples of some images, by their places in each set; one may come several times."""
        places = {"id": images_id, "ood": images_ood}
        arrays = {name: getattr(self, name) for name in _ARRAYS if self.has(name)}
        return replace(self, **{name: array[places[name.rpartition("_")[2]]] for name, array in arrays.items()})

    # What the metrics ask, in the form in which several resamples can answer it at once; see `ResampledSamples`.

    def accepted_at(self, place: int) -> Accepted:
        """Return how many images the threshold at a place in `curve` accepts.

        Raises:
            MetricError: predicted or true classes of the ID images are missing.
        """
        curve = self.curve
        return Accepted(*(int(n[place]) for n in (curve.n_accepted_id, curve.n_accepted_ood, self.n_accepted_correct)))

    def n_accepted(self, *, tpr: float = 0.95, threshold: float | None = None) -> Accepted:
        """Return how many images are accepted; arguments and errors are as for `accepted` and `accepted_at`."""
        if threshold is None:
            return self.accepted_at(self.curve.index_at_tpr(tpr))
        return self.accepted_at(place_of(_finite(threshold), self.curve))

    def per_class(self, *, tpr: float = 0.95, threshold: float | None = None) -> PerClass:
        """Return how many images of each class are there and accepted; arguments are as for `accepted`.

        Raises:
            MetricError: true or predicted classes are missing, also of the OOD images; see `accepted`.
        """
        predicted, true = self.required("predicted_id"), self.required("true_id")
        accepted_id, accepted_ood = self.accepted(tpr=tpr, threshold=threshold)
        taken_id, taken_ood = predicted[accepted_id], self.required("predicted_ood")[accepted_ood]
        return PerClass(
            n_right=self._by_class(true[self.correct & accepted_id]),
            n_taken=self._by_class(taken_id) + self._by_class(taken_ood),
            n_there=self._by_class(true),
        )

    def _by_class(self, classes: Counts) -> Counts:
        return np.bincount(classes, minlength=self.n_classes)

    def mean_over_id(self, loss: Callable[[Samples], Floats]) -> float:
        """Return the mean over ID images of what a function says of each, shape (n_id,)."""
        return float(np.mean(loss(self)))

    def sums_in_bins(self, binned: Callable[[Samples, int], tuple[Counts, Floats]], n_bins: int) -> Floats:
        """Return the sum in each bin, shape (n_bins,), of numbers of ID images.

        Args:
            binned: returns the bin of each image and its number, both of shape (n_id,).
            n_bins: number of bins, which it is told.
        """
        bins, numbers = binned(self, n_bins)
        return np.bincount(bins, weights=numbers, minlength=n_bins).astype(np.float64, copy=False)

    def stretched_means(self) -> tuple[float, float]:
        """Return the means of ID and of OOD scores after both were stretched to [0, 1]; see `autc`."""
        stretched_id, stretched_ood = stretched(self.scores_id, self.scores_ood)
        return float(np.mean(stretched_id)), float(np.mean(stretched_ood))


_ARRAYS = (
    *("scores_id", "scores_ood", "predicted_id", "true_id", "predicted_ood", "true_ood"),
    *("probabilities_id", "certainty_id"),
)
"""The fields that hold something of each image, named after the set."""


def place_of(threshold: float, curve: RocCurve) -> int:
    """Return the place of the lowest threshold of a curve that accepts what a given one accepts."""
    return int(np.count_nonzero(curve.thresholds >= threshold)) - 1


def _finite(threshold: float) -> float:
    if not isfinite(threshold):
        raise MetricError(f"threshold must be a finite score, got {threshold}")
    return threshold


def _classes(name: str, classes: ArrayLike | None, size: int, n_classes: int | None) -> NDArray[np.int64] | None:
    if classes is None:
        return None
    array = np.asarray(classes)
    if array.dtype.kind not in "iu":
        raise MetricError(f"{name} has dtype {array.dtype}; pass one whole number per image")
    if array.shape != (size,):
        raise MetricError(f"{name} has shape {array.shape} for {size} scores; pass one class per score")
    array = array.astype(np.int64, copy=False)
    if n_classes is not None and not 0 <= array.min() <= array.max() < n_classes:
        raise MetricError(
            f"{name} goes from {array.min()} to {array.max()}; with n_classes={n_classes} it must stay within "
            f"0 to {n_classes - 1}"
        )
    return array


def _probabilities(probabilities: ArrayLike | None, n_id: int, n_classes: int) -> Floats | None:
    if probabilities is None:
        return None
    array = np.asarray(probabilities, dtype=np.float64)
    if array.shape != (n_id, n_classes):
        raise MetricError(f"probabilities_id has shape {array.shape}; it must have shape ({n_id}, {n_classes})")
    # Float32 softmax over many classes is off by about 1e-6; the rest is not meant as probabilities.
    if not (np.isfinite(array).all() and (array >= 0).all() and np.allclose(array.sum(axis=1), 1, atol=1e-3)):
        raise MetricError("probabilities_id must be finite, at least 0 and sum to 1 in each row; apply a softmax first")
    return array


def _certainty(columns: ArrayLike | None, n_id: int) -> Floats | None:
    if columns is None:
        return None
    array = np.asarray(columns, dtype=np.float64)
    if array.shape != (n_id, len(Certainty._fields)):
        raise MetricError(
            f"certainty_id has shape {array.shape}; it must have shape ({n_id}, {len(Certainty._fields)})"
        )
    if not np.isfinite(array).all():
        raise MetricError("certainty_id must be finite")
    return array
