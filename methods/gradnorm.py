"""Size of the last layer's gradient towards an undecided answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from oodbench.api import FitInputs
from oodbench.errors import ConfigError
from oodbench.posthoc import PostHocDetector, PostHocMethod

if TYPE_CHECKING:
    from torch import Tensor

    from oodbench.batch import Batch


@dataclass(frozen=True, kw_only=True)
class GradNorm(PostHocMethod):
    """L1 norm of the gradient of KL(u ‖ softmax(f / T)) by the weights W of the last layer, u uniform.

    Score: ‖∂KL/∂W‖₁ = ‖z‖₁·‖p − u‖₁ / T with z the penultimate features, p = softmax(f / T) and u = 1/C. With
    f = Wz + b the gradient is the outer product of (p − u) / T and z, and needs no backward pass.
    Source: Huang et al., NeurIPS 2021, Section 3; survey (Salehi et al.) §6.23, Eq. 109.

    The paper and Eq. 109 average −log p over the classes, as here. The public code sums it, which makes every score
    C times as large and ranks images the same. ‖p − u‖₁ is nearly the same for all confident images, so that ‖z‖₁
    decides among them, and misleads where OOD images excite the units more than ID images do, as noise can.

    Attributes:
        temperature: T; the paper uses 1.
    """

    title: ClassVar[str] = "Gradient norm (GradNorm)"
    source: ClassVar[str] = "Huang et al., NeurIPS 2021, Sec. 3"
    known_exceptions: ClassVar[Mapping[str, str]] = {
        "higher_means_more_in_distribution": "its first factor is the size of the features, which noise makes larger"
    }

    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError(f"temperature must be positive, got {self.temperature}")

    def fit(self, inputs: FitInputs) -> GradNormDetector:
        """Return a detector at once: there is nothing to fit."""
        return GradNormDetector(temperature=self.temperature)


@dataclass(frozen=True, kw_only=True, eq=False)
class GradNormDetector(PostHocDetector):
    """Norm of the last layer's gradient.

    Attributes:
        temperature: T.
    """

    temperature: float

    def score(self, batch: Batch) -> Tensor:
        """Return the L1 norm of the gradient by the last layer's weights, float64 of shape (n,), at least 0."""
        # float64: in float32 ‖p − u‖₁ ties for all confident images.
        probabilities = (batch.logits.double() / self.temperature).softmax(dim=1)
        from_uniform = (probabilities - 1 / probabilities.shape[1]).abs().sum(dim=1)
        return batch.features.double().abs().sum(dim=1) * from_uniform / self.temperature
