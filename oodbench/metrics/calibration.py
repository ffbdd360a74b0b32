"""Whether a classifier's probabilities on ID images can be believed; they judge the classifier and no OOD score."""

from __future__ import annotations

import numpy as np

from oodbench.errors import MetricError

from .axis import total
from .certainty import Certainty
from .checked import Counts, Floats
from .samples import Samples


def expected_calibration_error(samples: Samples, *, n_bins: int = 15) -> float:
    """Return the mean gap between confidence and accuracy (ECE; Guo et al., ICML 2017).

    Confidence is the largest probability; the class counts that has it, the first of equal ones. ID images fall into
    bins of equal width, (0, 1/n_bins] to (1 - 1/n_bins, 1], and gaps weigh as many images as their bin has.

    Args:
        samples: with probabilities and true classes of the ID images.
        n_bins: at least 1; 15 in the paper.

    Returns:
        A fraction in [0, 1]; lower is better.

    Raises:
        MetricError: probabilities or classes are missing, or `n_bins` is below 1.

    >>> known = {"n_classes": 2, "true_id": [0, 1], "probabilities_id": [[0.9, 0.1], [0.7, 0.3]]}
    >>> round(expected_calibration_error(Samples(scores_id=[1, 1], scores_ood=[0], **known)), 12)
    0.4
    """
    if n_bins < 1:
        raise MetricError(f"n_bins must be at least 1, got {n_bins}")
    return total(np.abs(samples.sums_in_bins(_gaps, n_bins))) / samples.n_id


def brier_score(samples: Samples) -> float:
    """Return the mean over ID images of Σ_k (p_k - y_k)², with y 1 for the true class and else 0 (Brier, 1950).

    The sum over all classes, so twice what is usual for two of them.

    Returns:
        A number in [0, 2], not a fraction; lower is better.

    Raises:
        MetricError: probabilities or classes are missing.

    >>> known = {"n_classes": 2, "true_id": [0], "probabilities_id": [[0.75, 0.25]]}
    >>> brier_score(Samples(scores_id=[1], scores_ood=[0], **known))
    0.125
    """
    return samples.mean_over_id(_squared_errors)


def negative_log_likelihood(samples: Samples) -> float:
    """Return the mean over ID images of -log p of the true class, in nats.

    Probabilities are raised to 2^-52 at least, as in scikit-learn's `log_loss`, so that a softmax that rounds to 0 does
    not make the mean infinite.

    Returns:
        A number in [0, 36.1), not a fraction; lower is better.

    Raises:
        MetricError: probabilities or classes are missing.

    >>> known = {"n_classes": 2, "true_id": [0, 1], "probabilities_id": [[0.5, 0.5], [0.5, 0.5]]}
    >>> negative_log_likelihood(Samples(scores_id=[1, 1], scores_ood=[0], **known))
    0.6931471805599453
    """
    return samples.mean_over_id(_log_losses)


def _gaps(samples: Samples, n_bins: int) -> tuple[Counts, Floats]:
    """Return the bin of each ID image, and by how much its confidence exceeds whether it is right."""
    known = _required(samples)
    # Bins hold their upper end.
    bins = np.searchsorted(np.linspace(0, 1, n_bins + 1)[1:-1], known.confidence, side="left")
    return bins, known.confidence - known.right


def _squared_errors(samples: Samples) -> Floats:
    return _required(samples).squared_error


def _log_losses(samples: Samples) -> Floats:
    return _required(samples).log_loss


def _required(samples: Samples) -> Certainty:
    if samples.certainty is None:
        missing = "true_id" if samples.true_id is None else "probabilities_id"
        raise MetricError(f"this metric needs {missing}, and the samples have none; give a softmax and true classes")
    return samples.certainty
