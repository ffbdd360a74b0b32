"""Energy after the smaller activations of an image are removed and the rest is set or scaled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from oodbench.api import FitInputs
from oodbench.errors import ConfigError

from ._shaping import ShapingMethod, check_percentile, n_kept, share_of_the_largest

if TYPE_CHECKING:
    from torch import Tensor

Variant = Literal["p", "b", "s"]


@dataclass(frozen=True, kw_only=True)
class ASH(ShapingMethod):
    """Activation shaping: most of the penultimate features of an image are removed before its logits are computed.

    Of the features z of an image, the k largest are kept and the others set to 0, with k = n − round(n·p / 100) of n
    features and percentile p. Variant p leaves the kept ones as they are, b sets each to Σz / k, s multiplies them by
    exp(Σz / Σ kept). Score: by default log Σ_k exp(f_k), the negative energy, of the logits f of what results.
    Source: Djurisic et al., ICLR 2023; checked against the public code, andrijazz/ash.

    The public code takes variant s, at percentile 90 on ImageNet, which is the default here, and at 95 on CIFAR, behind
    the last pooling. Peers differ: pytorch-ood has s at 65, OpenOOD b at 90 or at what it finds best from 65 to 95.
    Here at least one feature is kept; of equal features the first count as larger; the exponent of s ignores negative
    features, which rectified features have none of, and is at most 60.
    Images are classified by their unchanged logits, so that the accuracy is that of the network.

    Attributes:
        score: how the logits are scored: energy, msp, max_logit, entropy, gen or doctor.
        variant: p, b or s.
        percentile: share of an image's features, in percent, that is removed.
    """

    title: ClassVar[str] = "Activation shaping (ASH)"
    source: ClassVar[str] = "Djurisic et al., ICLR 2023; code andrijazz/ash"
    # That of OpenOOD v1.5.
    grid: ClassVar[Mapping[str, tuple[object, ...]]] = {"percentile": (65.0, 70.0, 75.0, 80.0, 85.0, 90.0, 95.0)}
    known_exceptions: ClassVar[Mapping[str, str]] = {
        "higher_means_more_in_distribution": "variant s scales the features of noise, which are more alike, "
        "further up than those of ID images"
    }

    variant: Variant = "s"
    percentile: float = 90.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.variant not in ("p", "b", "s"):
            raise ConfigError(f"variant must be p, b or s, got {self.variant!r}")
        check_percentile(self.percentile)

    def shaped_head(self, inputs: FitInputs) -> PrunedHead:
        """Return a head at once: there is nothing to fit."""
        return PrunedHead(head=inputs.network.head, variant=self.variant, percentile=self.percentile)


@dataclass(frozen=True, kw_only=True, eq=False)
class PrunedHead:
    """A head that sees the largest features alone.

    Attributes:
        head: gives logits, shape (n, n_classes), from features, shape (n, n_features).
        variant: what becomes of the largest features.
        percentile: share of the features, in percent, that is removed.
    """

    head: Callable[[Tensor], Tensor]
    variant: Variant
    percentile: float

    def __call__(self, features: Tensor) -> Tensor:
        """Return the logits of shaped features."""
        return self.head(self.shaped(features))

    def shaped(self, features: Tensor) -> Tensor:
        """Return the features that the head sees, shape (n, n_features)."""
        import torch

        k = n_kept(features.shape[1], self.percentile)
        # Stable: `topk` takes equal features, as the zeros behind a ReLU are, in an order of its own on each device.
        largest = features.sort(dim=1, descending=True, stable=True)
        values, places = largest.values[:, :k], largest.indices[:, :k]
        if self.variant == "b":
            values = (features.sum(dim=1, keepdim=True) / k).expand_as(values)
        elif self.variant == "s":
            ratio = share_of_the_largest(features, torch.tensor(k, device=features.device))
            values = values * ratio.exp().to(values.dtype)
        return torch.zeros_like(features).scatter(1, places, values)
