"""The area under the threshold curves: how far apart two sets lie on the scale of the scores, not only in rank."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .checked import Floats, checked_scores


def autc(scores_id: ArrayLike, scores_ood: ArrayLike) -> float:
    """Return the mean of FPR and FNR, averaged over all thresholds from the smallest score to the largest.

    (AUFPR + AUFNR) / 2 of Humblot-Renaud et al. (CVPR Workshops 2023), on scores that are first stretched to [0, 1]
    over both sets, as in pytorch-ood; the paper assumes that range. With u the stretched scores it is
    (mean of 1 - u over ID + mean of u over OOD) / 2, whichever set is positive. Unlike ranks it changes with
    transforms that bend the scale, so compare it between sets and seeds rather than between methods.

    Args:
        scores_id: shape (n_id,), finite; higher means more in-distribution.
        scores_ood: shape (n_ood,), finite, on the same scale.

    Returns:
        A fraction in [0, 1]; lower is better, 0.5 for constant scores.

    Raises:
        MetricError: unusable scores, see `roc_curve`.

    >>> autc([4.0, 3.0], [0.0, 1.0])
    0.125
    """
    valid_id, valid_ood = checked_scores("scores_id", scores_id), checked_scores("scores_ood", scores_ood)
    stretched_id, stretched_ood = stretched(valid_id, valid_ood)
    return autc_of_means(float(np.mean(stretched_id)), float(np.mean(stretched_ood)))


def autc_of_means(mean_id: float, mean_ood: float) -> float:
    """Return `autc` from the mean of each set's scores, stretched to [0, 1] over both sets."""
    return (1 - mean_id + mean_ood) / 2


def stretched(scores_id: Floats, scores_ood: Floats) -> tuple[Floats, Floats]:
    """Return scores stretched to [0, 1] over both sets; all 0 where they are constant."""
    low, high = min(scores_id.min(), scores_ood.min()), max(scores_id.max(), scores_ood.max())
    if low == high:
        return np.zeros_like(scores_id), np.zeros_like(scores_ood)
    # Quarters where the range would overflow float64.
    scale = 1.0 if high / 4 - low / 4 < np.finfo(np.float64).max / 4 else 0.25
    span = high * scale - low * scale
    return (scores_id * scale - low * scale) / span, (scores_ood * scale - low * scale) / span
