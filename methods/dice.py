"""Energy of a head whose lesser weights are removed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from oodbench.api import FitInputs

from ._shaping import ShapingMethod, check_percentile

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class DICE(ShapingMethod):
    """Sparsified head: only the weights that matter to training images are left.

    Score: by default log Σ_k exp(f_k), the negative energy, of the logits f = (M ⊙ W)z + b, where the mask M keeps the
    weights whose contribution W_kj·E[z_j], with the mean over the training images, is above a percentile of all
    contributions.
    Source: Sun & Li, ECCV 2022; checked against the public code, deeplearning-wisc/dice.

    The public code takes percentile 90 on CIFAR, which is the default here, and 70 on ImageNet; so do OpenOOD (90) and
    pytorch-ood (no default). Where all contributions are equal, none is above and all weights go.
    Images are classified by their unchanged logits, so that the accuracy is that of the network.

    Attributes:
        score: how the logits are scored: energy, msp, max_logit, entropy, gen or doctor.
        percentile: share of the weights, in percent, that is removed.
    """

    title: ClassVar[str] = "Sparsified head (DICE)"
    source: ClassVar[str] = "Sun & Li, ECCV 2022; code deeplearning-wisc/dice"
    # The paper's; OpenOOD v1.5 has 90 alone.
    grid: ClassVar[Mapping[str, tuple[object, ...]]] = {"percentile": (10.0, 30.0, 50.0, 70.0, 90.0, 99.0)}
    known_exceptions: ClassVar[Mapping[str, str]] = {
        "higher_means_more_in_distribution": "noise excites all units, and the tenth of a small head that is left has "
        "no negative weights to set against them"
    }

    percentile: float = 90.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_percentile(self.percentile)

    def shaped_head(self, inputs: FitInputs) -> SparseHead:
        """Return a head with the weights that are left.

        Raises:
            ConfigError: the head is not affine.
        """
        import numpy as np

        from ._affine_head import affine_head
        from ._moments import mean_of

        weights, bias = affine_head(inputs.network, inputs.train, "dice")
        contributions = weights * mean_of(inputs.train)
        # NumPy: torch.quantile refuses more than 2**24 numbers.
        threshold = float(np.percentile(contributions.cpu().numpy(), self.percentile))
        return SparseHead(weights=weights * (contributions > threshold), bias=bias)


@dataclass(frozen=True, kw_only=True, eq=False)
class SparseHead:
    """An affine head.

    Attributes:
        weights: float64, shape (n_classes, n_features), most of them 0.
        bias: float64, shape (n_classes,).
    """

    weights: Tensor
    bias: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Return logits, float64."""
        return features.double() @ self.weights.T + self.bias
