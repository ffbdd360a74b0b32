"""Energy after small activations are removed and large ones are cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from oodbench.api import FitInputs
from oodbench.errors import ConfigError

from ._shaping import ShapingMethod

if TYPE_CHECKING:
    from torch import Tensor

Below = Literal["zero", "low"]


@dataclass(frozen=True, kw_only=True)
class VRA(ShapingMethod):
    """Variational rectified activations: `react`, and what is too small goes as well.

    Score: by default log Σ_k exp(f_k), the negative energy, of the logits f = head(g(z)), with g(z) = 0 for z < α,
    z + γ for α ≤ z ≤ β, and β for z > β, where α and β are percentiles of all penultimate activations of the training
    images.
    Source: Xu et al., NeurIPS 2023 (VRA, and VRA+ with γ); checked against the public code, zeroQiaoba/VRA.

    The public code takes α at 60 and β at 95 on CIFAR-100, which is the default here, 60 and 90 on CIFAR-10, fixed
    thresholds on ImageNet, and γ = 0.6 for VRA+ on CIFAR. Peers clip instead: OpenOOD is below=low, low=10, high=90
    with thresholds from held-out images; pytorch-ood is below=low, low=1, high=99, thresholds=unit. VRA++, which adds a
    quadratic term of the features, is left out.
    Images are classified by their unchanged logits, so that the accuracy is that of the network.

    Attributes:
        score: how the logits are scored: energy, msp, max_logit, entropy, gen or doctor.
        low: percentile of α.
        high: percentile of β.
        below: what activations below α become: zero, or low for α itself.
        thresholds: "shared" by all units, or of each "unit".
        gamma: γ, what is added to activations between α and β.
    """

    title: ClassVar[str] = "Variational rectified activations (VRA)"
    source: ClassVar[str] = "Xu et al., NeurIPS 2023; code zeroQiaoba/VRA"
    # That of OpenOOD v1.5, and the 60 of the paper.
    grid: ClassVar[Mapping[str, tuple[object, ...]]] = {
        "low": (1.0, 5.0, 10.0, 15.0, 60.0),
        "high": (85.0, 90.0, 95.0, 99.0),
    }

    low: float = 60.0
    high: float = 95.0
    below: Below = "zero"
    thresholds: Literal["shared", "unit"] = "shared"
    gamma: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.low <= self.high <= 100:
            raise ConfigError(f"low and high must be from 0 to 100, and low at most high, got {self.low}, {self.high}")
        if self.below not in ("zero", "low"):
            raise ConfigError(f"below must be zero or low, got {self.below!r}")
        if self.thresholds not in ("shared", "unit"):
            raise ConfigError(f"thresholds must be shared or unit, got {self.thresholds!r}")

    def shaped_head(self, inputs: FitInputs) -> RectifiedHead:
        """Return a head with the thresholds α and β."""
        import torch

        from ._percentiles import percentiles_of_units, shared_percentiles

        percentiles = shared_percentiles if self.thresholds == "shared" else percentiles_of_units
        found = percentiles(inputs.train, [self.low, self.high])
        low, high = torch.as_tensor(found, dtype=torch.float32, device=inputs.train.device)
        return RectifiedHead(head=inputs.network.head, low=low, high=high, below=self.below, gamma=self.gamma)


@dataclass(frozen=True, kw_only=True, eq=False)
class RectifiedHead:
    """A head whose features are rectified from both sides.

    Attributes:
        head: gives logits, shape (n, n_classes), from features, shape (n, n_features).
        low: α, float32, shape () or (n_features,).
        high: β, the same.
        below: what activations below α become.
        gamma: γ.
    """

    head: Callable[[Tensor], Tensor]
    low: Tensor
    high: Tensor
    below: Below
    gamma: float

    def __call__(self, features: Tensor) -> Tensor:
        """Return the logits of g(z)."""
        import torch

        floor = self.low if self.below == "low" else torch.zeros_like(self.low)
        inside = torch.where(features < self.low, floor, features + self.gamma)
        return self.head(torch.where(features > self.high, self.high, inside))
