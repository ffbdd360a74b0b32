"""The ROC curve: how many samples of each set every threshold accepts, counted once and read by all metrics."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import ceil
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from oodbench.errors import MetricError

from .checked import Counts, Floats, check_option, checked_scores

Prior = Literal["natural", "equal", "one_in_six"]
"""What share of all samples the positive ones are: as counted, a half, or a sixth."""


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
    def n_accepted(self) -> Counts:
        """Samples of both sets with score >= threshold, shape (n_thresholds,)."""
        return self.n_accepted_id + self.n_accepted_ood

    @cached_property
    def mirrored(self) -> RocCurve:
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
        check_option("prior", prior, get_args(Prior))
        weight_ood = weight_of_others(prior, self.n_id, self.n_ood)
        accepted_id = self.n_accepted_id[1:].astype(np.float64)
        # In place: a long curve takes as long to write as to compute.
        precision = self.n_accepted_ood[1:].astype(np.float64)
        precision *= weight_ood
        precision += accepted_id
        np.divide(accepted_id, precision, out=precision)
        return precision

    def index_at_tpr(self, tpr: float) -> int:
        """Index of the highest threshold whose true positive rate is at least `tpr`."""
        return int(np.searchsorted(self.n_accepted_id, n_needed(tpr, self.n_id)))

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


def weight_of_others(prior: Prior, n_positive: int, n_others: int) -> float:
    """Return for how many samples each one that is not of the positive class counts.

    >>> weight_of_others("natural", 20, 10), weight_of_others("equal", 20, 10), weight_of_others("one_in_six", 20, 10)
    (1.0, 2.0, 10.0)
    """
    if prior == "natural":
        return 1.0
    # Five others for each positive one, as Outlier Exposure (Hendrycks et al., ICLR 2019) draws its test sets.
    return (5.0 if prior == "one_in_six" else 1.0) * (n_positive / n_others)


def n_needed(tpr: float, n_id: int) -> int:
    """Return the smallest number of `n_id` samples that is a share of at least `tpr`.

    Raises:
        MetricError: `tpr` outside (0, 1].
    """
    if not 0 < tpr <= 1:
        raise MetricError(f"tpr must be in (0, 1], got {tpr}; write 0.95 for 95%")
    # In floats, tpr * n_id can land just above a whole number and then ask for one sample too many.
    return ceil(Fraction(str(tpr)) * n_id)


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
    valid_id, valid_ood = checked_scores("scores_id", scores_id), checked_scores("scores_ood", scores_ood)
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
