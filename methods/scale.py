"""Energy after all activations of an image are scaled by how much its largest stand out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from oodbench.api import FitInputs

from ._shaping import ShapingMethod, check_percentile, n_kept, share_of_the_largest

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class SCALE(ShapingMethod):
    """Scaled activations: as `ash` in its variant s, but no feature is removed.

    Score: by default log Σ_k exp(f_k), the negative energy, of the logits f = head(z·exp(Σz / Σ kept)), where the kept
    are the k = n − round(n·p / 100) largest of the n features z of an image, with percentile p.
    Source: Xu et al., ICLR 2024; checked against the public code, kai422/SCALE.

    The public code and OpenOOD take percentile 85, pytorch-ood 65. Here at least one feature is kept; the exponent
    ignores negative features, which rectified features have none of, and is at most 60.
    Images are classified by their unchanged logits, so that the accuracy is that of the network.

    Attributes:
        score: how the logits are scored: energy, msp, max_logit, entropy, gen or doctor.
        percentile: share of an image's features, in percent, that does not count as kept.
    """

    title: ClassVar[str] = "Scaled activations (SCALE)"
    source: ClassVar[str] = "Xu et al., ICLR 2024; code kai422/SCALE"
    # That of OpenOOD v1.5.
    grid: ClassVar[Mapping[str, tuple[object, ...]]] = {"percentile": (65.0, 70.0, 75.0, 80.0, 85.0, 90.0, 95.0)}

    percentile: float = 85.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_percentile(self.percentile)

    def shaped_head(self, inputs: FitInputs) -> ScaledHead:
        """Return a head at once: there is nothing to fit."""
        return ScaledHead(head=inputs.network.head, percentile=self.percentile)


@dataclass(frozen=True, kw_only=True, eq=False)
class ScaledHead:
    """A head whose features are scaled.

    Attributes:
        head: gives logits, shape (n, n_classes), from features, shape (n, n_features).
        percentile: share of the features, in percent, that does not count as kept.
    """

    head: Callable[[Tensor], Tensor]
    percentile: float

    def __call__(self, features: Tensor) -> Tensor:
        """Return the logits of scaled features."""
        import torch

        kept = torch.tensor(n_kept(features.shape[1], self.percentile), device=features.device)
        return self.head(features * share_of_the_largest(features, kept).exp().to(features.dtype))
