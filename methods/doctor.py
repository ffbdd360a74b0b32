"""Odds that a prediction is wrong, by the probability that two draws from the softmax differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from oodbench.errors import ConfigError
from oodbench.posthoc import LogitMethod

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Doctor(LogitMethod):
    """DOCTOR: odds of the softmax p = softmax(f / T) against itself.

    Score: −log D, with D_α = (1 − g) / g for g = Σ_k p_k², and D_β = (1 − max_k p_k) / max_k p_k.
    Source: Granese et al., NeurIPS 2021 (D_α and D_β); formula of D_α checked in the public package `detectors`.

    The paper rejects where D exceeds a threshold; its logarithm ranks images the same and does not tie where p is next
    to 1. D_β ranks images as the maximum softmax probability does. The paper's second form ("partially black box")
    steps the image up the gradient first, as ODIN does, and is left out here: this is its first form ("totally black
    box"), which sees probabilities alone.

    Attributes:
        variant: "alpha" for D_α, "beta" for D_β.
        temperature: T; 1 in the paper's first form.
    """

    title: ClassVar[str] = "DOCTOR"
    source: ClassVar[str] = "Granese et al., NeurIPS 2021"

    variant: Literal["alpha", "beta"] = "alpha"
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError(f"temperature must be positive, got {self.temperature}")

    def score_logits(self, logits: Tensor) -> Tensor:
        """Return −log D, float64 of shape (n,), from logits, shape (n, n_classes)."""
        from ._probabilities import log_probabilities

        log_p, log_rest = log_probabilities(logits.double() / self.temperature)
        if self.variant == "beta":
            return (log_p - log_rest).amax(dim=1)
        # 1 − g = Σ_k p_k·(1 − p_k), without taking anything from 1.
        return (2 * log_p).logsumexp(dim=1) - (log_p + log_rest).logsumexp(dim=1)
