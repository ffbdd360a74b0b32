"""Entropy of the predicted classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from oodbench.posthoc import LogitMethod

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Entropy(LogitMethod):
    """Negative Shannon entropy of the class probabilities of a cross-entropy classifier, a common baseline.

    Score: −H(p) = Σ_k p_k·log p_k with p = softmax(f), in [−log C, 0] nats.
    Source: Lakshminarayanan et al., NeurIPS 2017, Section 3.5, here with a single network.
    """

    title: ClassVar[str] = "Negative entropy of the softmax"
    source: ClassVar[str] = "Lakshminarayanan et al., NeurIPS 2017, Sec. 3.5"

    def score_logits(self, logits: Tensor) -> Tensor:
        """Return minus the entropy in nats, float64 of shape (n,), from logits, shape (n, n_classes)."""
        # float64: float32 knows no other probabilities than 0 and 1 where logits are 104 apart, and images tie.
        log_probabilities = logits.double().log_softmax(dim=1)
        return (log_probabilities.exp() * log_probabilities).sum(dim=1)
