"""CEDA: a classifier that is trained to be undecided about noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from oodbench.api import NetworkBuilder, Objective
from oodbench.errors import ConfigError
from oodbench.objectives import CheckedByObjectives

from .msp import MSP

if TYPE_CHECKING:
    from torch import Tensor, nn

    from oodbench.training.learner import Learner, Setting


@dataclass(frozen=True, kw_only=True)
class UndecidedOnNoise:
    """Cross-entropy on ID images and λ·max_k log p_k on as many images of noise, or on the worst case near each.

    Source: Hein et al., CVPR 2019, Eq. 7 (ε = 0) and Eq. 9; survey (Salehi et al.) §6.9, Eq. 70 and 71.

    Attributes:
        name: of the objective, see `Objective`.
        weight: λ.
        permuted: share of the noise that is ID images with shuffled pixels; the rest is uniform.
        epsilon: ε, largest change of a pixel in the worst case near noise, in [0, 1]; 0 takes the noise as it is.
        steps: of the ascent to the worst case.
    """

    name: ClassVar[str] = "ceda"
    uses_seen_ood: ClassVar[bool] = False
    starts_from: ClassVar[Objective | None] = None

    weight: float = 1.0
    permuted: float = 0.5
    epsilon: float = 0.0
    steps: int = 40

    def __post_init__(self) -> None:
        if not self.weight >= 0:
            raise ConfigError(f"weight must not be negative, got {self.weight}")
        for name in ("permuted", "epsilon"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        if self.steps < 1:
            raise ConfigError(f"steps must be at least 1, got {self.steps}")

    def build(
        self, backbone: NetworkBuilder, shape: tuple[int, int, int], n_classes: int, embedding_dim: int
    ) -> nn.Module:
        """Return a classifier."""
        return backbone(shape, n_classes)

    def learner(self, network: nn.Module, setting: Setting) -> Learner:
        """Return what trains the classifier."""
        from ._noise_outliers import NoiseLearner

        return NoiseLearner(network, self, setting)

    def embed(self, outputs: Tensor) -> Tensor:
        """Return class probabilities."""
        return outputs.softmax(dim=1)


@dataclass(frozen=True, kw_only=True)
class CEDA(CheckedByObjectives, MSP):
    """Confidence enhancing data augmentation; the score is the maximum softmax probability.

    Score: max_k softmax(f)_k, in [1/C, 1].
    Source: Hein et al., CVPR 2019, Eq. 7; survey (Salehi et al.) §6.9, Eq. 70. Noise as in the public code: half
    shuffled pixels of ID images, half uniform, both smoothed by a Gaussian filter and stretched to [0, 1].

    Attributes:
        weight: λ.
        permuted: share of the noise that is ID images with shuffled pixels; the rest is uniform.
    """

    title: ClassVar[str] = "Confidence enhancing data augmentation"
    source: ClassVar[str] = "Hein et al., CVPR 2019, Eq. 7"

    weight: float = 1.0
    permuted: float = 0.5

    @property
    def networks(self) -> tuple[Objective, ...]:
        """The classifier that is undecided about noise."""
        return (UndecidedOnNoise(weight=self.weight, permuted=self.permuted),)
