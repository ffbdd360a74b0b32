"""Softmax probabilities that keep their digits near 0 and near 1."""

from __future__ import annotations

import torch
from torch import Tensor


def log_probabilities(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return log p and log(1 − p) with p = softmax(f), both float64 of shape (n, n_classes) and finite.

    A probability next to 1 is told from 1 by what the other classes have: 1 − p taken from p in float64 is exactly 0
    for all images whose largest logit leads by about 37, which would tie.

    Args:
        logits: f, finite, shape (n, n_classes) with at least two classes.
    """
    logits = logits.double()
    top, predicted = logits.max(dim=1, keepdim=True)
    from_top = logits - top
    # What the other classes have for each 1 that the predicted class has.
    others = from_top.scatter(1, predicted, -torch.inf).logsumexp(dim=1, keepdim=True)
    total = torch.nn.functional.softplus(others)
    log_p = from_top - total
    # An unpredicted class has at most 1/2, which leaves 1 − p all its digits.
    log_rest = torch.log1p(-log_p.exp()).scatter(1, predicted, others - total)
    return log_p, log_rest
