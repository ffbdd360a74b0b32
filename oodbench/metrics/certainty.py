"""What a classifier's probabilities say of each image, in four numbers: all that its calibration is judged by."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .checked import Counts, Floats


class Certainty(NamedTuple):
    """Columns of the numbers that are kept of each image, each of shape (n,).

    Attributes:
        confidence: the largest probability.
        right: 1 where the class that has it, the first of equal ones, is the true one, else 0.
        squared_error: Σ_k (p_k - y_k)², with y 1 for the true class and else 0.
        log_loss: -log p of the true class, in nats, with p raised to 2^-52 at least.
    """

    confidence: Floats
    right: Floats
    squared_error: Floats
    log_loss: Floats


def certainty_of(probabilities: Floats, true: Counts) -> Floats:
    """Return the columns of `Certainty`, shape (n, 4).

    Args:
        probabilities: shape (n, n_classes), each row summing to 1.
        true: the class of each image, shape (n,).
    """
    of_true = probabilities[np.arange(true.size), true]
    # Σ_k p_k² - 2 p_true + 1 needs no second array of that size.
    squared = np.einsum("nk,nk->n", probabilities, probabilities) - 2 * of_true + 1
    # As in scikit-learn's `log_loss`; and a row may sum to a little more than 1.
    log_loss = -np.log(np.clip(of_true, np.finfo(np.float64).eps, 1.0))
    columns = Certainty(probabilities.max(axis=1), probabilities.argmax(axis=1) == true, squared, log_loss)
    return np.stack(columns, axis=1).astype(np.float64, copy=False)
