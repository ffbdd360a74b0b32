"""Size of the part of the features that training images hardly use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from oodbench.api import FitInputs
from oodbench.errors import ConfigError
from oodbench.posthoc import PostHocDetector, PostHocMethod

if TYPE_CHECKING:
    from torch import Tensor

    from oodbench.batch import Batch

    from ._residual_space import ResidualSpace


@dataclass(frozen=True, kw_only=True)
class Residual(PostHocMethod):
    """Residual: ViM without the logits.

    Score: −‖R(z − o)‖, with R the projection on the complement of the D principal directions of the training features
    seen from o = −W⁺b, where the logits f = Wz + b vanish.
    Source: Wang et al., CVPR 2022, the baseline "Residual", in whose public code it stands.

    OpenOOD fits R to held-out images instead of training images, and takes D = 512 everywhere.

    Attributes:
        dimension: D, or "auto" as in `ViM`: 1000 of 2048 or more features, 512 of at least 768, else half of them.
    """

    title: ClassVar[str] = "Residual"
    source: ClassVar[str] = "Wang et al., CVPR 2022"

    dimension: Literal["auto"] | int = "auto"

    def __post_init__(self) -> None:
        if self.dimension != "auto" and self.dimension < 1:
            raise ConfigError(f"dimension must be 'auto' or at least 1, got {self.dimension}")

    def fit(self, inputs: FitInputs) -> ResidualDetector:
        """Return a detector with the residual space.

        Raises:
            ConfigError: the training features have no residual, or the head is not affine.
        """
        from ._residual_space import ResidualSpace

        return ResidualDetector(space=ResidualSpace.of(inputs.network, inputs.train, self.dimension, "residual"))


@dataclass(frozen=True, kw_only=True, eq=False)
class ResidualDetector(PostHocDetector):
    """Norm of the residual.

    Attributes:
        space: the residual space with its origin.
    """

    space: ResidualSpace

    def score(self, batch: Batch) -> Tensor:
        """Return minus the norm of the residual, float64 of shape (n,), at most 0."""
        return -self.space.norms(batch.features)
