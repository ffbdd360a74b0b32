"""Energy after activations beyond a threshold are cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from oodbench.api import FitInputs
from oodbench.errors import ConfigError

from ._shaping import ShapingMethod

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class ReAct(ShapingMethod):
    """Rectified activations: no unit of the penultimate layer may be excited beyond what training images show.

    Score: by default log Σ_k exp(f_k), the negative energy at temperature 1, of the logits f = head(min(z, c)), with c
    a percentile of all penultimate activations of the training images.
    Source: Sun et al., NeurIPS 2021, Section 3; survey (Salehi et al.) §6.24.

    OpenOOD chooses the percentile among 85, 90, 95 and 99 on OOD validation images and takes c from held-out ID images.
    Images are classified by their unchanged logits, so that the accuracy is that of the network.

    Attributes:
        score: how the logits are scored: energy, msp, max_logit, entropy, gen or doctor.
        percentile: share of the training activations, in percent, that are left as they are.
    """

    title: ClassVar[str] = "Rectified activations (ReAct)"
    source: ClassVar[str] = "Sun et al., NeurIPS 2021, Sec. 3"
    # That of OpenOOD v1.5; the paper has 10, 65 and 80 too.
    grid: ClassVar[Mapping[str, tuple[object, ...]]] = {"percentile": (85.0, 90.0, 95.0, 99.0)}

    percentile: float = 90.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.percentile <= 100:
            raise ConfigError(f"percentile must be from 0 to 100, got {self.percentile}")

    def shaped_head(self, inputs: FitInputs) -> CutHead:
        """Return a head with the threshold c."""
        from ._percentiles import shared_percentiles

        (threshold,) = shared_percentiles(inputs.train, [self.percentile])
        return CutHead(head=inputs.network.head, threshold=float(threshold))


@dataclass(frozen=True, kw_only=True, eq=False)
class CutHead:
    """A head whose features are cut.

    Attributes:
        head: gives logits, shape (n, n_classes), from features, shape (n, n_features).
        threshold: the largest activation c that is let through.
    """

    head: Callable[[Tensor], Tensor]
    threshold: float

    def __call__(self, features: Tensor) -> Tensor:
        """Return the logits of min(z, c)."""
        return self.head(features.clamp(max=self.threshold))
