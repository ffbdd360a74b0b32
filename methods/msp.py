"""Maximum softmax probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from oodbench.posthoc import LogitMethod

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class MSP(LogitMethod):
    """Maximum softmax probability of a cross-entropy classifier, the baseline of the field.

    Score: max_k softmax(f)_k, in [1/C, 1].
    Source: Hendrycks & Gimpel, ICLR 2017, Section 3; survey (Salehi et al.) §6.1.
    """

    title: ClassVar[str] = "Maximum softmax probability"
    source: ClassVar[str] = "Hendrycks & Gimpel, ICLR 2017, Sec. 3"

    def score_logits(self, logits: Tensor) -> Tensor:
        """Return the largest class probability, float64 of shape (n,), from logits, shape (n, n_classes)."""
        # float64: in float32 every confident image ties at exactly 1.0, which changes AUROC and FPR.
        return logits.double().softmax(dim=1).amax(dim=1)
