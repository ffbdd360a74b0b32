"""Maximum logit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from oodbench.posthoc import LogitMethod

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class MaxLogit(LogitMethod):
    """Largest logit of a cross-entropy classifier, without the softmax that hides its size.

    Score: max_k f_k.
    Source: Hendrycks et al., ICML 2022 (MaxLogit); Vaze et al., ICLR 2022 (MLS); survey (Salehi et al.) §5.17.
    """

    title: ClassVar[str] = "Maximum logit"
    source: ClassVar[str] = "Hendrycks et al., ICML 2022"

    def score_logits(self, logits: Tensor) -> Tensor:
        """Return the largest logit, float32 of shape (n,), from logits, shape (n, n_classes)."""
        return logits.amax(dim=1)
