"""What a `RocCurve` and a `Samples` say, of several resamples of the test images at once.

A resample changes how often an image counts, never the order of the scores, so one sort serves all resamples and
every metric is read off running sums of counts. Both answer what their namesakes do: a metric
is one formula.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import numpy as np

from .axis import or_one
from .checked import Counts, Floats
from .roc import Prior, n_needed, weight_of_others
from .samples import Accepted, PerClass, Samples, place_of
from .threshold_curve import stretched


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
    def n_accepted(self) -> Floats:
        """Shape (n_resamples, n_thresholds)."""
        return self.n_accepted_id + self.n_accepted_ood

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

    def index_at_tpr(self, tpr: float) -> Counts:
        """See `RocCurve.index_at_tpr`; each resample has its own."""
        needed = n_needed(tpr, self.n_id)
        return np.array([np.searchsorted(row, needed) for row in self.n_accepted_id])

    def fpr_at_tpr(self, tpr: float) -> Floats:
        """See `fpr_at_tpr`."""
        return at(self.n_accepted_ood, self.index_at_tpr(tpr)) / self.n_ood

    def detection_error(self, tpr: float) -> Floats:
        """See `detection_error`."""
        n_missed = self.n_id - at(self.n_accepted_id, self.index_at_tpr(tpr))
        return 0.5 * (n_missed / self.n_id) + 0.5 * self.fpr_at_tpr(tpr)

    def detection_accuracy(self) -> Floats:
        """See `detection_accuracy`."""
        gaps = self.n_accepted_id * self.n_ood
        gaps -= self.n_accepted_ood * self.n_id
        best: Floats = gaps.max(axis=1)
        return 0.5 + best / (2 * self.n_id * self.n_ood)


class Ranked:
    """Samples that are sorted once for all resamples, with what needs computing once only.

    Args:
        samples: the images.
    """

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        self._kept: dict[object, Any] = {}

    @cached_property
    def falling_id(self) -> Counts:
        """The places of the ID images from the highest score down, shape (n_id,)."""
        return np.argsort(-self.samples.scores_id)

    @cached_property
    def falling_ood(self) -> Counts:
        """The same of the OOD images, shape (n_ood,)."""
        return np.argsort(-self.samples.scores_ood)

    @cached_property
    def correct(self) -> Floats:
        """1 for each ID image that is taken for its class, else 0, from the highest score down."""
        return self.samples.correct[self.falling_id].astype(np.float64)

    @cached_property
    def taken_id(self) -> Counts:
        """The class that each ID image is taken for, from the highest score down."""
        return self.samples.required("predicted_id")[self.falling_id]

    @cached_property
    def taken_ood(self) -> Counts:
        """The same of the OOD images."""
        return self.samples.required("predicted_ood")[self.falling_ood]

    @cached_property
    def stretched(self) -> tuple[Floats, Floats]:
        """The scores of both sets, stretched to [0, 1] over both."""
        return stretched(self.samples.scores_id, self.samples.scores_ood)

    def kept(self, function: Callable[..., Any], *arguments: int) -> Any:
        """Return what a function says of the samples, computed once."""
        if (function, arguments) not in self._kept:
            self._kept[function, arguments] = function(self.samples, *arguments)
        return self._kept[function, arguments]


@dataclass(frozen=True, eq=False)
class ResampledSamples:
    """What `Samples` say, of several resamples that draw each image as often as arrays say.

    Metrics of `SAMPLE_METRICS` read either: it answers what they ask, with an array of shape (n_resamples,) for each
    number. Methods are described there. Counts are whole numbers in float64.

    Attributes:
        ranked: the sample.
        drawn_id: shape (n_resamples, n_id).
        drawn_ood: shape (n_resamples, n_ood).
    """

    ranked: Ranked
    drawn_id: Floats
    drawn_ood: Floats
    _places: dict[tuple[float, float | None], Counts] = field(default_factory=dict, init=False, repr=False)

    @property
    def n_id(self) -> int:
        """Number of ID images in each resample."""
        return self.ranked.samples.n_id

    @property
    def n_ood(self) -> int:
        """Number of OOD images in each resample."""
        return self.ranked.samples.n_ood

    @property
    def n_classes(self) -> int:
        """Number of known classes."""
        return self.ranked.samples.n_classes

    @cached_property
    def curve(self) -> ResampledCurves:
        """The ROC curves."""
        whole = self.ranked.samples.curve
        return ResampledCurves(
            n_accepted_id=self._sums_id.take(whole.n_accepted_id, axis=1),
            n_accepted_ood=self._sums_ood.take(whole.n_accepted_ood, axis=1),
            n_id=whole.n_id,
            n_ood=whole.n_ood,
        )

    @cached_property
    def n_accepted_correct(self) -> Floats:
        """Shape (n_resamples, n_thresholds)."""
        return self._sums_correct.take(self.ranked.samples.curve.n_accepted_id, axis=1)

    @cached_property
    def n_accepted_errors(self) -> Floats:
        """Shape (n_resamples, n_thresholds)."""
        return self.curve.n_accepted - self.n_accepted_correct

    def accepted_at(self, place: Counts) -> Accepted:
        """See `Samples`; so for all methods below. Each resample has a place of its own."""
        first_id, first_ood = self._first(place)
        counts = at(self._sums_id, first_id), at(self._sums_ood, first_ood), at(self._sums_correct, first_id)
        return Accepted(*(cast("int", n) for n in counts))

    def n_accepted(self, *, tpr: float = 0.95, threshold: float | None = None) -> Accepted:
        """Thresholds for a true positive rate are chosen in each resample; one that is given is the same for all."""
        return self.accepted_at(self._place(tpr, threshold))

    def per_class(self, *, tpr: float = 0.95, threshold: float | None = None) -> PerClass:
        """Counts are of shape (n_resamples, n_classes)."""
        ends_id, ends_ood = self._first(self._place(tpr, threshold))
        taken_id, taken_ood = self.ranked.taken_id, self.ranked.taken_ood
        taken = self._by_class(taken_id, self._falling_id, ends_id)
        taken += self._by_class(taken_ood, self._falling_ood, ends_ood)
        true = self.ranked.samples.required("true_id")
        return PerClass(
            n_right=self._by_class(taken_id, self._falling_correct, ends_id),
            n_taken=taken,
            n_there=self._by_class(true, self.drawn_id, np.full(len(ends_id), self.n_id)),
        )

    def mean_over_id(self, loss: Callable[[Samples], Floats]) -> Floats:
        """The function is called once for all resamples."""
        return self.drawn_id @ self.ranked.kept(loss) / self.n_id  # type: ignore[no-any-return]

    def sums_in_bins(self, binned: Callable[[Samples, int], tuple[Counts, Floats]], n_bins: int) -> Floats:
        """The function is called once for all resamples; the sums are of shape (n_resamples, n_bins)."""
        bins, numbers = self.ranked.kept(binned, n_bins)
        return np.stack([np.bincount(bins, weights=row, minlength=n_bins) for row in self.drawn_id * numbers])

    def stretched_means(self) -> tuple[Floats, Floats]:
        """Each resample is stretched by the highest and the lowest score that it has drawn."""
        places_id, places_ood = self.ranked.stretched
        high_id, low_id = _first_and_last(self._sums_id, places_id[self.ranked.falling_id])
        high_ood, low_ood = _first_and_last(self._sums_ood, places_ood[self.ranked.falling_ood])
        low, high = np.minimum(low_id, low_ood), np.maximum(high_id, high_ood)
        means = self.drawn_id @ places_id / self.n_id, self.drawn_ood @ places_ood / self.n_ood
        mean_id, mean_ood = ((mean - low) / or_one(high - low) for mean in means)
        return mean_id, mean_ood

    @cached_property
    def _falling_id(self) -> Floats:
        return self.drawn_id.take(self.ranked.falling_id, axis=1)

    @cached_property
    def _falling_ood(self) -> Floats:
        return self.drawn_ood.take(self.ranked.falling_ood, axis=1)

    @cached_property
    def _falling_correct(self) -> Floats:
        return self._falling_id * self.ranked.correct

    # How many draws fall on the first k images from the highest score down, for k from 0: (n_resamples, n + 1).

    @cached_property
    def _sums_id(self) -> Floats:
        return _running_sum(self._falling_id)

    @cached_property
    def _sums_ood(self) -> Floats:
        return _running_sum(self._falling_ood)

    @cached_property
    def _sums_correct(self) -> Floats:
        return _running_sum(self._falling_correct)

    def _first(self, place: Counts) -> tuple[Counts, Counts]:
        """Return how many images of each sample, from the highest score down, the threshold at a place accepts."""
        whole = self.ranked.samples.curve
        return whole.n_accepted_id[place], whole.n_accepted_ood[place]

    def _place(self, tpr: float, threshold: float | None) -> Counts:
        """Return the place of a threshold in the curve, which most metrics ask for."""
        if (tpr, threshold) not in self._places:
            self._places[tpr, threshold] = self._found(tpr, threshold)
        return self._places[tpr, threshold]

    def _found(self, tpr: float, threshold: float | None) -> Counts:
        whole = self.ranked.samples.curve
        if threshold is not None:
            return np.full(len(self.drawn_id), place_of(threshold, whole))
        needed = n_needed(tpr, self.n_id)
        first = [np.searchsorted(row, needed) for row in self._sums_id]
        # With the last image that is needed come those of the same score.
        return np.searchsorted(whole.n_accepted_id, first)

    def _by_class(self, classes: Counts, drawn: Floats, ends: Counts) -> Floats:
        """Return how often images of each class were drawn among the first ones, as many as `ends` says."""
        return np.stack(
            [
                np.bincount(classes[:end], weights=row[:end], minlength=self.n_classes)
                for row, end in zip(drawn, ends, strict=True)
            ]
        )


def at(counts: Floats, places: Counts) -> Floats:
    """Return a number of each row, by its place, shape (n_resamples,)."""
    return counts[np.arange(len(counts)), places]


def _first_and_last(sums: Floats, numbers: Floats) -> tuple[Floats, Floats]:
    """Return the numbers of the first and the last image that each resample draws, by running sums of its draws."""
    first, last = zip(*(np.searchsorted(row, [1, row[-1]]) - 1 for row in sums), strict=True)
    return numbers[np.array(first)], numbers[np.array(last)]


def _running_sum(drawn: Floats) -> Floats:
    sums = np.zeros((len(drawn), drawn.shape[1] + 1))
    np.cumsum(drawn, axis=1, out=sums[:, 1:])
    return sums
