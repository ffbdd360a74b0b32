"""Free energy of the logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from oodbench.errors import ConfigError
from oodbench.posthoc import LogitMethod

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Energy(LogitMethod):
    """Negative free energy of the logits of a cross-entropy classifier.

    Score: −E(f) = T·log Σ_k exp(f_k / T).
    Source: Liu et al., NeurIPS 2020, Eq. 4; survey (Salehi et al.) §6.15, Eq. 87.

    Attributes:
        temperature: T; 1 in the paper, which finds larger values worse.
    """

    title: ClassVar[str] = "Energy"
    source: ClassVar[str] = "Liu et al., NeurIPS 2020, Eq. 4"

    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError(f"temperature must be positive, got {self.temperature}")

    def score_logits(self, logits: Tensor) -> Tensor:
        """Return minus the free energy, float64 of shape (n,), from logits, shape (n, n_classes)."""
        return self.temperature * (logits.double() / self.temperature).logsumexp(dim=1)
