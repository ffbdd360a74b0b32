"""How well two sets of scores are told apart: pure functions of `(scores_id, scores_ood)`.

Higher scores mean more in-distribution (ID). A threshold t accepts a sample as ID when its score is >= t, so
samples with equal scores are accepted or rejected together. ID is the positive class unless a name says
otherwise. Results are fractions in [0, 1], never percent and never rounded. All exact metrics read one
`RocCurve`.

`legacy="ccag"` instead reproduces the numbers of the evaluation code published with CC-AG (Lee et al., ICLR
2018), to stand beside tables of that time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import ceil
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import MetricError

Prior = Literal["natural", "equal"]
Legacy = Literal["ccag"]
Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class RocCurve:
    """How many samples of each set every possible threshold accepts; built by `roc_curve`.

    Attributes:
        thresholds: shape (n_thresholds,), +inf, which accepts none, then the distinct scores, falling.
        n_accepted_id: shape (n_thresholds,), ID samples with score >= threshold, from 0 to `n_id`.
        n_accepted_ood: shape (n_thresholds,), OOD samples with score >= threshold, from 0 to `n_ood`.
        n_id: number of ID samples.
        n_ood: number of OOD samples.
    """

    thresholds: Floats
    n_accepted_id: Counts
    n_accepted_ood: Counts
    n_id: int
    n_ood: int

    @property
    def tpr(self) -> Floats:
        """Share of ID samples accepted at each threshold, shape (n_thresholds,)."""
        return self.n_accepted_id / self.n_id

    @property
    def fpr(self) -> Floats:
        """Share of OOD samples accepted at each threshold, shape (n_thresholds,)."""
        return self.n_accepted_ood / self.n_ood

    @cached_property
    def mirrored(self) -> "RocCurve":
        """The curve with OOD as the positive class: `roc_curve(-scores_ood, -scores_id)` without its sort."""
        return RocCurve(
            thresholds=np.append(np.inf, -self.thresholds[:0:-1]),
            n_accepted_id=self.n_ood - self.n_accepted_ood[::-1],
            n_accepted_ood=self.n_id - self.n_accepted_id[::-1],
            n_id=self.n_ood,
            n_ood=self.n_id,
        )

    def precision(self, prior: Prior) -> Floats:
        """Share of ID among the accepted, shape (n_thresholds,); 1 where none is accepted."""
        return np.append(1.0, self._precision(prior))

    def _precision(self, prior: Prior) -> Floats:
        """Return `precision` without the first threshold, which accepts none."""
        _check_option("prior", prior, get_args(Prior))
        weight_ood = 1.0 if prior == "natural" else self.n_id / self.n_ood
        accepted_id = self.n_accepted_id[1:].astype(np.float64)
        # In place: a long curve takes as long to write as to compute.
        precision = self.n_accepted_ood[1:].astype(np.float64)
        precision *= weight_ood
        precision += accepted_id
        np.divide(accepted_id, precision, out=precision)
        return precision

    def index_at_tpr(self, tpr: float) -> int:
        """Index of the highest threshold whose true positive rate is at least `tpr`."""
        if not 0 < tpr <= 1:
            raise MetricError(f"tpr must be in (0, 1], got {tpr}; write 0.95 for 95%")
        # In floats, tpr * n_id can land just above a whole number and then ask for one sample too many.
        n_needed = ceil(Fraction(str(tpr)) * self.n_id)
        return int(np.searchsorted(self.n_accepted_id, n_needed))

    def auroc(self) -> float:
        """See the function `auroc`; so for all methods below."""
        double_heights = self.n_accepted_id[1:] + self.n_accepted_id[:-1]
        double_area = np.sum(np.diff(self.n_accepted_ood) * double_heights)
        return int(double_area) / (2 * self.n_id * self.n_ood)

    def aupr(self, prior: Prior) -> float:
        """See `aupr_in`."""
        return float(np.sum(np.diff(self.n_accepted_id) * self._precision(prior))) / self.n_id

    def aupr_trapezoid(self, prior: Prior) -> float:
        """See `aupr_in_trapezoid`."""
        precision = self.precision(prior)
        double_heights = precision[1:] + precision[:-1]
        return float(np.sum(np.diff(self.n_accepted_id) * double_heights)) / (2 * self.n_id)

    def fpr_at_tpr(self, tpr: float) -> float:
        """See `fpr_at_tpr`."""
        return int(self.n_accepted_ood[self.index_at_tpr(tpr)]) / self.n_ood

    def detection_error(self, tpr: float) -> float:
        """See `detection_error`."""
        n_missed = self.n_id - int(self.n_accepted_id[self.index_at_tpr(tpr)])
        return 0.5 * (n_missed / self.n_id) + 0.5 * self.fpr_at_tpr(tpr)

    def detection_accuracy(self) -> float:
        """See `detection_accuracy`."""
        # TPR - FPR with both sides multiplied by n_id * n_ood, to stay in integers.
        gaps = self.n_accepted_id * self.n_ood - self.n_accepted_ood * self.n_id
        return 0.5 + int(gaps.max()) / (2 * self.n_id * self.n_ood)


def roc_curve(scores_id: ArrayLike, scores_ood: ArrayLike) -> RocCurve:
    """Return the counts at every distinct threshold, from one sort of all scores.

    Args:
        scores_id: shape (n_id,), finite; higher means more in-distribution.
        scores_ood: shape (n_ood,), finite, on the same scale.

    Raises:
        MetricError: an array is empty, not 1-D, not numeric, or holds NaN or infinity.

    >>> roc_curve([2, 3, 3], [1, 2]).n_accepted_id
    array([0, 2, 3, 3])
    """
    valid_id, valid_ood = _validated("scores_id", scores_id), _validated("scores_ood", scores_ood)
    ascending = np.sort(np.concatenate([valid_id, valid_ood]))
    first_of_ties = np.flatnonzero(np.append(True, ascending[1:] != ascending[:-1]))
    thresholds = ascending[first_of_ties]
    # Values sort several times as fast as indices do, and scores that rise are looked up fast.
    n_id_at = np.bincount(np.searchsorted(thresholds, np.sort(valid_id)), minlength=thresholds.size)
    n_accepted = np.append(0, ascending.size - first_of_ties[::-1])
    n_accepted_id = np.append(0, np.cumsum(n_id_at[::-1]))
    return RocCurve(
        thresholds=np.append(np.inf, thresholds[::-1]),
        n_accepted_id=n_accepted_id,
        n_accepted_ood=n_accepted - n_accepted_id,
        n_id=valid_id.size,
        n_ood=valid_ood.size,
    )


def auroc(scores_id: ArrayLike, scores_ood: ArrayLike, *, legacy: Legacy | None = None) -> float:
    """Return the area under the ROC curve: P(an ID score exceeds an OOD score), with ties counted half.

    The choice of the positive class does not change it (Hendrycks & Gimpel, ICLR 2017). With "ccag" the curve
    lacks the part above the largest threshold, so scores that tie at the top, as saturated softmax does, are
    understated.

    Args:
        scores_id: shape (n_id,), finite; higher means more in-distribution.
        scores_ood: shape (n_ood,), finite, on the same scale.
        legacy: None for the exact value, "ccag" for that of the CC-AG code.

    Returns:
        A fraction in [0, 1]; higher is better, 0.5 is chance.

    Raises:
        MetricError: unusable scores, see `roc_curve`; unknown `legacy`; constant scores with "ccag".

    >>> auroc([1.0, 1.0, 1.0, 0.5], [1.0, 0.2])
    0.6875
    >>> auroc([1.0, 1.0, 1.0, 0.5], [1.0, 0.2], legacy="ccag")
    0.5
    """
    if _is_ccag(legacy):
        return _ccag_sweep(scores_id, scores_ood).auroc()
    return roc_curve(scores_id, scores_ood).auroc()


def aupr_in(
    scores_id: ArrayLike, scores_ood: ArrayLike, *, prior: Prior = "natural", legacy: Legacy | None = None
) -> float:
    """Return the average precision with ID as the positive class (Hendrycks & Gimpel, ICLR 2017).

    The sum of precision times the step in recall over all thresholds; nothing is interpolated.

    Args:
        scores_id: shape (n_id,), finite; higher means more in-distribution.
        scores_ood: shape (n_ood,), finite, on the same scale.
        prior: "natural" takes the precision from counts; "equal" from rates, TPR / (TPR + FPR), as if both
            sets had the same size (the code of ODIN, Liang et al., ICLR 2018, and of CC-AG).
        legacy: None for the exact value, "ccag" for that of the CC-AG code, whose prior is always equal.

    Returns:
        A fraction in [0, 1]; higher is better. Constant scores get the share of ID, 0.5 with an equal prior.

    Raises:
        MetricError: unusable scores, see `roc_curve`; unknown option; constant scores with "ccag".

    >>> aupr_in([3.0, 1.0], [2.0, 0.0])
    0.8333333333333333
    """
    if _is_ccag(legacy):
        return _ccag_sweep(scores_id, scores_ood).aupr_in()
    return roc_curve(scores_id, scores_ood).aupr(prior)


def aupr_out(
    scores_id: ArrayLike, scores_ood: ArrayLike, *, prior: Prior = "natural", legacy: Legacy | None = None
) -> float:
    """Return the average precision with OOD as the positive class: a score <= t is called OOD.

    Equal to `aupr_in(-scores_ood, -scores_id)`; arguments, range, direction and errors are as there.

    >>> aupr_out([3.0, 1.0], [0.0, 2.0, 2.0])
    0.8333333333333334
    """
    if _is_ccag(legacy):
        return _ccag_sweep(scores_id, scores_ood).aupr_out()
    return roc_curve(scores_id, scores_ood).mirrored.aupr(prior)


def aupr_in_trapezoid(scores_id: ArrayLike, scores_ood: ArrayLike, *, prior: Prior = "natural") -> float:
    """Return the trapezoidal area under the precision-recall curve with ID as the positive class.

    What scikit-learn's `auc(recall, precision)` gives and OpenOOD and pytorch-ood report. The line up to
    (recall 0, precision 1) flatters ties: constant scores on sets of one size get 0.75, where `aupr_in` gives
    0.5. Arguments, range, direction and errors are as for `aupr_in`.

    >>> aupr_in_trapezoid([1.0, 1.0], [1.0, 1.0])
    0.75
    """
    return roc_curve(scores_id, scores_ood).aupr_trapezoid(prior)


def aupr_out_trapezoid(scores_id: ArrayLike, scores_ood: ArrayLike, *, prior: Prior = "natural") -> float:
    """Return `aupr_in_trapezoid(-scores_ood, -scores_id)`: OOD is the positive class."""
    return roc_curve(scores_id, scores_ood).mirrored.aupr_trapezoid(prior)


def fpr_at_tpr(scores_id: ArrayLike, scores_ood: ArrayLike, *, tpr: float = 0.95) -> float:
    """Return the share of OOD samples accepted at the highest threshold that accepts `tpr` of ID or more.

    ID is the positive class (ODIN, Liang et al., ICLR 2018; Masana et al., BMVC 2018). No interpolation.

    Args:
        scores_id: shape (n_id,), finite; higher means more in-distribution.
        scores_ood: shape (n_ood,), finite, on the same scale.
        tpr: target true positive rate, in (0, 1].

    Returns:
        A fraction in [0, 1]; lower is better.

    Raises:
        MetricError: unusable scores, see `roc_curve`; `tpr` outside (0, 1].

    >>> fpr_at_tpr([2.0, 3.0, 4.0], [0.0, 1.0, 5.0])
    0.3333333333333333
    """
    return roc_curve(scores_id, scores_ood).fpr_at_tpr(tpr)


def tnr_at_tpr(
    scores_id: ArrayLike, scores_ood: ArrayLike, *, tpr: float = 0.95, legacy: Legacy | None = None
) -> float:
    """Return 1 - `fpr_at_tpr`, the share of OOD samples rejected (CC-AG, Lee et al., ICLR 2018).

    Higher is better. `legacy="ccag"` allows `tpr=0.95` only: it is the mean over that code's thresholds with
    a TPR in [0.94, 0.96], or 0 if there are none. Arguments, range and errors are as for `fpr_at_tpr`; more
    errors come from `legacy`, as for `auroc`.

    >>> tnr_at_tpr([2.0, 3.0, 4.0], [0.0, 1.0, 2.0, 5.0])
    0.5
    """
    if not _is_ccag(legacy):
        return 1 - roc_curve(scores_id, scores_ood).fpr_at_tpr(tpr)
    if tpr != 0.95:
        raise MetricError(f'legacy="ccag" is defined at tpr=0.95 only, got {tpr}; use legacy=None')
    return _ccag_sweep(scores_id, scores_ood).tnr_at_95tpr()


def fpr_at_tpr_ood_positive(scores_id: ArrayLike, scores_ood: ArrayLike, *, tpr: float = 0.95) -> float:
    """Return the share of ID samples called OOD at the lowest threshold that calls `tpr` of OOD so, or more.

    OOD is the positive class: the FPR95 of OpenOOD and pytorch-ood, another number than ODIN's. Equal to
    `fpr_at_tpr(-scores_ood, -scores_id)`; arguments, range, direction and errors are as there.

    >>> fpr_at_tpr_ood_positive([2.0, 3.0, 4.0, 6.0], [0.0, 1.0, 5.0])
    0.75
    """
    return roc_curve(scores_id, scores_ood).mirrored.fpr_at_tpr(tpr)


def detection_error(scores_id: ArrayLike, scores_ood: ArrayLike, *, tpr: float = 0.95) -> float:
    """Return 0.5 * (1 - TPR) + 0.5 * FPR at the threshold of `fpr_at_tpr`, with the TPR reached there.

    P_e in the text of ODIN (Liang et al., ICLR 2018); lower is better. A perfect detector that accepts just
    95% gets 0.025, not 0. Arguments, range and errors are as for `fpr_at_tpr`.

    >>> detection_error(range(20), [-1.0, -2.0])
    0.025
    """
    return roc_curve(scores_id, scores_ood).detection_error(tpr)


def detection_accuracy(scores_id: ArrayLike, scores_ood: ArrayLike, *, legacy: Legacy | None = None) -> float:
    """Return 1 - min over t of 0.5 * (P_id(s < t) + P_ood(s >= t)), the best balanced accuracy.

    After CC-AG (Lee et al., ICLR 2018), accepting all and accepting none included. The literature writes
    P_ood(s > t), which counts OOD samples at t as detected although ID samples at t are accepted, so it is
    not used here. Arguments and errors are as for `auroc`.

    Returns:
        A fraction in [0.5, 1]; higher is better, 0.5 for constant scores.

    >>> detection_accuracy([1.0, 2.0, 3.0, 4.0], [0.0, 2.0])
    0.75
    """
    if _is_ccag(legacy):
        return _ccag_sweep(scores_id, scores_ood).detection_accuracy()
    return roc_curve(scores_id, scores_ood).detection_accuracy()


@dataclass(frozen=True)
class CurveMetric:
    """A metric that is read off the ROC curve, so that all of them share one sort.

    Attributes:
        label: its heading in tables.
        of_curve: its value.
        higher_is_better: its direction.
    """

    label: str
    of_curve: Callable[[RocCurve], float]
    higher_is_better: bool = True

    def __call__(self, scores_id: ArrayLike, scores_ood: ArrayLike) -> float:
        """Return its value; arguments and errors are as for `roc_curve`."""
        return self.of_curve(roc_curve(scores_id, scores_ood))


METRICS: Mapping[str, CurveMetric] = MappingProxyType(
    {
        "auroc": CurveMetric("AUROC", lambda c: c.auroc()),
        "aupr_in": CurveMetric("AUPR-in", lambda c: c.aupr("natural")),
        "aupr_out": CurveMetric("AUPR-out", lambda c: c.mirrored.aupr("natural")),
        "aupr_in_equal_prior": CurveMetric("AUPR-in (equal prior)", lambda c: c.aupr("equal")),
        "aupr_out_equal_prior": CurveMetric("AUPR-out (equal prior)", lambda c: c.mirrored.aupr("equal")),
        "fpr_at_95tpr": CurveMetric("FPR at 95% TPR", lambda c: c.fpr_at_tpr(0.95), higher_is_better=False),
        "tnr_at_95tpr": CurveMetric("TNR at 95% TPR", lambda c: 1 - c.fpr_at_tpr(0.95)),
        "detection_error": CurveMetric("Detection error", lambda c: c.detection_error(0.95), higher_is_better=False),
        "detection_accuracy": CurveMetric("Detection accuracy", lambda c: c.detection_accuracy()),
        "fpr_at_95tpr_ood_positive": CurveMetric(
            "FPR at 95% TPR (OOD positive)", lambda c: c.mirrored.fpr_at_tpr(0.95), higher_is_better=False
        ),
    }
)
"""The engine's own metrics, by the names of their columns and in their order; those of plugins follow them."""


@dataclass(frozen=True, eq=False)
class _CcagSweep:
    """The evaluation code of CC-AG: 200,000 equal steps from the smallest score up to the largest.

    Its habits are kept, as they shaped published numbers: where ID is compared with >=, OOD often is with >;
    precision comes from rates; the largest score is no threshold on the way up, so AUROC lacks its last
    rectangle.
    """

    sorted_id: Floats
    sorted_ood: Floats
    rising: Floats
    falling: Floats

    def tnr_at_95tpr(self) -> float:
        tpr = _share_from(self.sorted_id, self.rising)
        fpr = _share_above(self.sorted_ood, self.rising)[(tpr >= 0.94) & (tpr <= 0.96)]
        return 1 - float(fpr.mean()) if fpr.size else 0.0

    def auroc(self) -> float:
        tpr = _share_from(self.sorted_id, self.rising)
        fpr = _share_above(self.sorted_ood, self.rising)
        return float(np.sum(-np.diff(fpr, prepend=1.0) * tpr))

    def detection_accuracy(self) -> float:
        missed = _share_below(self.sorted_id, self.rising)
        return 1 - float(np.min(missed + _share_above(self.sorted_ood, self.rising))) / 2

    def aupr_in(self) -> float:
        return _ccag_aupr(_share_from(self.sorted_id, self.rising), _share_from(self.sorted_ood, self.rising))

    def aupr_out(self) -> float:
        return _ccag_aupr(_share_below(self.sorted_ood, self.falling), _share_below(self.sorted_id, self.falling))


def _ccag_sweep(scores_id: ArrayLike, scores_ood: ArrayLike) -> _CcagSweep:
    sorted_id = np.sort(_validated("scores_id", scores_id))
    sorted_ood = np.sort(_validated("scores_ood", scores_ood))
    start = float(min(sorted_id[0], sorted_ood[0]))
    end = float(max(sorted_id[-1], sorted_ood[-1]))
    step = (end - start) / 200_000
    if not 0 < step < np.inf:
        raise MetricError(
            f'legacy="ccag" cannot cut the range of all scores, {start} to {end}, into 200,000 steps; '
            "use legacy=None, which needs no steps"
        )
    return _CcagSweep(sorted_id, sorted_ood, np.arange(start, end, step), np.arange(end, start, -step))


def _ccag_aupr(tpr: Floats, fpr: Floats) -> float:
    """Area under precision by rectangles over falling recall `tpr`, with a last one down to recall 0."""
    # With a large offset the rounded steps overshoot the last score, and a threshold may accept nothing.
    accepts = tpr + fpr > 0
    recall, precision = tpr[accepts], tpr[accepts] / (tpr[accepts] + fpr[accepts])
    return float(np.sum(-np.diff(recall, prepend=1.0, append=0.0) * np.append(precision, precision[-1])))


def _share_from(ascending: Floats, thresholds: Floats) -> Floats:
    return (ascending.size - np.searchsorted(ascending, thresholds, "left")) / ascending.size


def _share_above(ascending: Floats, thresholds: Floats) -> Floats:
    return (ascending.size - np.searchsorted(ascending, thresholds, "right")) / ascending.size


def _share_below(ascending: Floats, thresholds: Floats) -> Floats:
    return np.searchsorted(ascending, thresholds, "left") / ascending.size


def _validated(name: str, scores: ArrayLike) -> Floats:
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


def _is_ccag(legacy: Legacy | None) -> bool:
    _check_option("legacy", legacy, (None, *get_args(Legacy)))
    return legacy == "ccag"


def _check_option(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise MetricError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
