"""Generalised entropy of the largest class probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from oodbench.errors import ConfigError
from oodbench.posthoc import LogitMethod

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class GEN(LogitMethod):
    """Generalised entropy (GEN): an entropy that is most sensitive next to 0 and 1.

    Score: −Σ_m p_m^γ·(1 − p_m)^γ over the M largest of the probabilities p = softmax(f).
    Source: Liu et al., CVPR 2023; the public code, whose defaults these are.

    Taken from logarithms in float64, so that confident images do not tie. OpenOOD has the same formula and defaults
    (and can choose both on OOD images). pytorch-ood takes all classes, clips probabilities at 1e-7, which with γ = 0.1
    matters, and averages, which with a fixed number of classes ranks the same: top=all, floor=1e-7.

    Attributes:
        gamma: γ, in (0, 1] in the paper.
        top: M; "all", or more than there are, for all classes.
        floor: probabilities are clipped to [floor, 1 − floor].
    """

    title: ClassVar[str] = "Generalised entropy (GEN)"
    source: ClassVar[str] = "Liu et al., CVPR 2023"
    # That of OpenOOD v1.5.
    grid: ClassVar[Mapping[str, tuple[object, ...]]] = {
        "gamma": (0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0),
        "top": (10, 50, 100, 200, 500, 1000),
    }

    gamma: float = 0.1
    top: Literal["all"] | int = 100
    floor: float = 0.0

    def __post_init__(self) -> None:
        if not self.gamma > 0:
            raise ConfigError(f"gamma must be positive, got {self.gamma}")
        if self.top != "all" and self.top < 1:
            raise ConfigError(f"top must be 'all' or at least 1, got {self.top}")
        if not 0 <= self.floor < 0.5:
            raise ConfigError(f"floor must be from 0 up and below 0.5, got {self.floor}")

    def score_logits(self, logits: Tensor) -> Tensor:
        """Return minus the generalised entropy, float64 of shape (n,), from logits, shape (n, n_classes)."""
        import math

        from ._probabilities import log_probabilities

        log_p, log_rest = log_probabilities(logits)
        if self.top != "all":
            log_p, largest = log_p.topk(min(self.top, log_p.shape[1]), dim=1)
            log_rest = log_rest.gather(1, largest)
        if self.floor > 0:
            log_p, log_rest = (x.clamp(math.log(self.floor), math.log1p(-self.floor)) for x in (log_p, log_rest))
        return -(self.gamma * (log_p + log_rest)).exp().sum(dim=1)
