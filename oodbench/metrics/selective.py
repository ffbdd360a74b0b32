"""Selective classification with OOD images (SCOD): how often a classifier errs on what it does not reject.

All test images, ID and OOD, are accepted from the highest score down. An accepted OOD image is an error, whatever
class it is taken for, and so is an accepted ID image of another class than it is taken for. Coverage is the share of
images accepted; the selective risk is the share of errors among the accepted, the generalised risk that among all.
Images with equal scores are accepted together.

OOD images weigh as many as there are ("natural"), so numbers of OOD sets of different sizes do not compare, or as
many as ID images altogether ("equal").
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import numpy as np

from oodbench.errors import MetricError

from .axis import dot, first_reaching
from .checked import Counts, check_option
from .roc import Prior
from .samples import Samples


def aurc(samples: Samples, *, prior: Prior = "natural") -> float:
    """Return the area under the risk-coverage curve: the selective risk, averaged over coverage.

    (1 / n) Σ_k (share of errors among the k images of the highest scores) where scores are distinct (Geifman et al.,
    ICLR 2019), OOD images included as errors. Where scores tie, all get the risk at their threshold, as precision does
    in `aupr_in`; constant scores get the error over all images.

    Args:
        samples: with predicted and true classes of the ID images.
        prior: "natural" or "equal", see the head of this module.

    Returns:
        A fraction in [0, 1]; lower is better. It weighs the highest scores most: see `augrc`.

    Raises:
        MetricError: classes are missing, or `prior` is unknown.

    >>> aurc(Samples(scores_id=[3, 1], scores_ood=[2], n_classes=2, predicted_id=[0, 1], true_id=[0, 1]))
    0.2777777777777778
    """
    accepted, errors, whole = _weighed(samples, prior)
    # In a resample the highest thresholds may accept nothing, and there are no errors then.
    return dot(np.diff(accepted) / whole, errors[..., 1:] / np.maximum(accepted[..., 1:], 1))


def augrc(samples: Samples, *, prior: Prior = "natural") -> float:
    """Return the area under the generalised risk-coverage curve (Traub et al., NeurIPS 2024).

    The generalised risk is the share of all images that are errors and accepted; its mean over coverage is the risk of
    an error that nobody catches, averaged over working points. Lines are straight between thresholds, which is what
    breaking ties at random gives on average. Arguments and errors are as for `aurc`.

    Returns:
        A fraction in [0, 0.5]; lower is better.

    >>> augrc(Samples(scores_id=[3, 1], scores_ood=[2], n_classes=2, predicted_id=[0, 1], true_id=[0, 1]))
    0.16666666666666666
    """
    accepted, errors, whole = _weighed(samples, prior)
    return dot(np.diff(accepted) / whole, (errors[..., 1:] + errors[..., :-1]) / whole) / 2


def risk_at_coverage(
    samples: Samples, *, coverage: float = 0.8, prior: Prior = "natural", ood_cost: float = 1.0
) -> float:
    """Return the risk of SCOD (Xia & Bouganis, ACCV 2022) at a coverage: the mean cost of an accepted image.

    An accepted image costs 0 if it is ID and taken for its class, 1 if it is ID and is not, `ood_cost` if it is OOD.
    The threshold is the highest one that accepts `coverage` of all images or more.

    Args:
        samples: with predicted and true classes of the ID images.
        coverage: share of all images to accept, in (0, 1].
        prior: "natural" or "equal", see the head of this module; with "equal" half of the coverage is a matter of OOD.
        ood_cost: β, the cost of an accepted OOD image, at least 0.

    Returns:
        A mean cost, a fraction in [0, 1] if `ood_cost` is at most 1; lower is better. A perfect detector cannot be
        without risk where coverage asks for more than the ID images.

    Raises:
        MetricError: classes are missing, or an option is unknown or out of its range.

    >>> samples = Samples(scores_id=[3, 1], scores_ood=[2], n_classes=2, predicted_id=[0, 1], true_id=[0, 1])
    >>> risk_at_coverage(samples, coverage=0.5), risk_at_coverage(samples, coverage=0.5, ood_cost=0.5)
    (0.5, 0.25)
    """
    if not 0 < coverage <= 1:
        raise MetricError(f"coverage must be in (0, 1], got {coverage}; write 0.8 for 80%")
    if not 0 <= ood_cost < np.inf:
        raise MetricError(f"ood_cost must be a finite number of at least 0, got {ood_cost}")
    weights = _weights(samples, prior)
    rising, _, whole = _weighed(samples, prior)
    # Exactly, for in floats coverage * n can land just above a whole number.
    accepted = samples.accepted_at(first_reaching(rising, ceil(Fraction(str(coverage)) * whole)))
    weight_id, weight_ood = accepted.n_id * weights.each_id, accepted.n_ood * weights.each_ood
    right = accepted.n_correct * weights.each_id
    return (weight_id - right + ood_cost * weight_ood) / (weight_id + weight_ood)


def accepted_accuracy(samples: Samples, *, tpr: float = 0.95, threshold: float | None = None) -> float:
    """Return the share of accepted images, OOD ones included, that are ID and taken for their class.

    What a user sees who trusts whatever is accepted: 1 - selective risk at the threshold. It depends on how many
    images each set has.

    Args:
        samples: with predicted and true classes of the ID images.
        tpr: target true positive rate of the threshold, in (0, 1].
        threshold: another threshold; `tpr` does not count then.

    Returns:
        A fraction in [0, 1]; higher is better.

    Raises:
        MetricError: classes are missing, `tpr` is outside (0, 1], or the threshold accepts nothing.

    >>> known = {"n_classes": 2, "predicted_id": [0, 1, 1], "true_id": [0, 1, 0]}
    >>> accepted_accuracy(Samples(scores_id=[4, 3, 2], scores_ood=[3, 0], **known))
    0.5
    """
    accepted = samples.n_accepted(tpr=tpr, threshold=threshold)
    return _share(accepted.n_correct, accepted.n_id + accepted.n_ood)


def accepted_id_accuracy(samples: Samples, *, tpr: float = 0.95, threshold: float | None = None) -> float:
    """Return the share of accepted ID images that are taken for their class.

    The accuracy on what is kept of the ID set; OOD images do not count. Arguments, range, direction and errors are as
    for `accepted_accuracy`.

    >>> known = {"n_classes": 2, "predicted_id": [0, 1, 1], "true_id": [0, 1, 0]}
    >>> accepted_id_accuracy(Samples(scores_id=[4, 3, 2], scores_ood=[3, 0], **known), threshold=3)
    1.0
    """
    accepted = samples.n_accepted(tpr=tpr, threshold=threshold)
    return _share(accepted.n_correct, accepted.n_id)


def _share(n_correct: int, n_accepted: int) -> float:
    if np.any(n_accepted == 0):
        raise MetricError("the threshold accepts nothing, so there is no accuracy; choose a lower one")
    return n_correct / n_accepted


@dataclass(frozen=True)
class _Weights:
    """Whole numbers that images of each set count with."""

    each_id: int
    each_ood: int


def _weights(samples: Samples, prior: Prior) -> _Weights:
    check_option("prior", prior, ("natural", "equal"))
    return _Weights(1, 1) if prior == "natural" else _Weights(samples.n_ood, samples.n_id)


def _weighed(samples: Samples, prior: Prior) -> tuple[Counts, Counts, int]:
    """Return the weight accepted and that of errors among it at each threshold, and the weight of all images."""
    if prior == "natural":
        return samples.curve.n_accepted, samples.n_accepted_errors, samples.n_id + samples.n_ood
    weights, curve = _weights(samples, prior), samples.curve
    accepted = curve.n_accepted_id * weights.each_id + curve.n_accepted_ood * weights.each_ood
    errors = accepted - samples.n_accepted_correct * weights.each_id
    return accepted, errors, samples.n_id * weights.each_id + samples.n_ood * weights.each_ood
