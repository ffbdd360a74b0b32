"""The metrics of two arrays of scores, `(scores_id, scores_ood)`."""

from __future__ import annotations

from numpy.typing import ArrayLike

from oodbench.errors import MetricError

from .legacy import Legacy, ccag_sweep, is_ccag
from .roc import Prior, roc_curve


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
    if is_ccag(legacy):
        return ccag_sweep(scores_id, scores_ood).auroc()
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
            sets had the same size (the code of ODIN, Liang et al., ICLR 2018, and of CC-AG); "one_in_six" as if there
            were five times as many of the others as of the positive class (Hendrycks et al., ICLR 2019).
        legacy: None for the exact value, "ccag" for that of the CC-AG code, whose prior is always equal.

    Returns:
        A fraction in [0, 1]; higher is better. Constant scores get the share of ID, 0.5 with an equal prior.

    Raises:
        MetricError: unusable scores, see `roc_curve`; unknown option; constant scores with "ccag".

    >>> aupr_in([3.0, 1.0], [2.0, 0.0])
    0.8333333333333333
    """
    if is_ccag(legacy):
        return ccag_sweep(scores_id, scores_ood).aupr_in()
    return roc_curve(scores_id, scores_ood).aupr(prior)


def aupr_out(
    scores_id: ArrayLike, scores_ood: ArrayLike, *, prior: Prior = "natural", legacy: Legacy | None = None
) -> float:
    """Return the average precision with OOD as the positive class: a score <= t is called OOD.

    Equal to `aupr_in(-scores_ood, -scores_id)`; arguments, range, direction and errors are as there.

    >>> aupr_out([3.0, 1.0], [0.0, 2.0, 2.0])
    0.8333333333333334
    """
    if is_ccag(legacy):
        return ccag_sweep(scores_id, scores_ood).aupr_out()
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
    if not is_ccag(legacy):
        return 1 - roc_curve(scores_id, scores_ood).fpr_at_tpr(tpr)
    if tpr != 0.95:
        raise MetricError(f'legacy="ccag" is defined at tpr=0.95 only, got {tpr}; use legacy=None')
    return ccag_sweep(scores_id, scores_ood).tnr_at_95tpr()


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
    if is_ccag(legacy):
        return ccag_sweep(scores_id, scores_ood).detection_accuracy()
    return roc_curve(scores_id, scores_ood).detection_accuracy()
