"""The numbers of the evaluation code published with CC-AG (Lee et al., ICLR 2018), beside tables of that time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from oodbench.errors import MetricError

from .checked import Floats, check_option, checked_scores

Legacy = Literal["ccag"]


def is_ccag(legacy: Legacy | None) -> bool:
    """Return whether the CC-AG code is asked for, or raise a MetricError where something unknown is."""
    check_option("legacy", legacy, (None, *get_args(Legacy)))
    return legacy == "ccag"


@dataclass(frozen=True, eq=False)
class CcagSweep:
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
        """Mean TNR over the thresholds with a TPR in [0.94, 0.96], 0 if there are none."""
        tpr = _share_from(self.sorted_id, self.rising)
        fpr = _share_above(self.sorted_ood, self.rising)[(tpr >= 0.94) & (tpr <= 0.96)]
        return 1 - float(fpr.mean()) if fpr.size else 0.0

    def auroc(self) -> float:
        """Area under the ROC curve by rectangles, without the one above the largest threshold."""
        tpr = _share_from(self.sorted_id, self.rising)
        fpr = _share_above(self.sorted_ood, self.rising)
        return float(np.sum(-np.diff(fpr, prepend=1.0) * tpr))

    def detection_accuracy(self) -> float:
        """One less the smallest mean of missed ID and accepted OOD."""
        missed = _share_below(self.sorted_id, self.rising)
        return 1 - float(np.min(missed + _share_above(self.sorted_ood, self.rising))) / 2

    def aupr_in(self) -> float:
        """Area under precision and recall of ID, with equal priors."""
        return _ccag_aupr(_share_from(self.sorted_id, self.rising), _share_from(self.sorted_ood, self.rising))

    def aupr_out(self) -> float:
        """Area under precision and recall of OOD, with equal priors."""
        return _ccag_aupr(_share_below(self.sorted_ood, self.falling), _share_below(self.sorted_id, self.falling))


def ccag_sweep(scores_id: ArrayLike, scores_ood: ArrayLike) -> CcagSweep:
    """Return the sweep over two sets of scores.

    Raises:
        MetricError: unusable scores, or a range of them that cannot be cut into steps.
    """
    sorted_id = np.sort(checked_scores("scores_id", scores_id))
    sorted_ood = np.sort(checked_scores("scores_ood", scores_ood))
    start = float(min(sorted_id[0], sorted_ood[0]))
    end = float(max(sorted_id[-1], sorted_ood[-1]))
    step = (end - start) / 200_000
    if not 0 < step < np.inf:
        raise MetricError(
            f'legacy="ccag" cannot cut the range of all scores, {start} to {end}, into 200,000 steps; '
            "use legacy=None, which needs no steps"
        )
    return CcagSweep(sorted_id, sorted_ood, np.arange(start, end, step), np.arange(end, start, -step))


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
