"""Background resampling: outlier exposure with the seen images about which a classifier is least undecided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from oodbench.api import NetworkBuilder, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CheckedByObjectives

from .msp import MSP

if TYPE_CHECKING:
    from torch import Tensor, nn

    from oodbench.training.learner import Learner, Setting


@dataclass(frozen=True, kw_only=True)
class ResampledBackground:
    """Outlier exposure with the heaviest of the seen OOD images, whose weights are learnt before.

    First a classifier goes down CE + α Σ_i w_i L_uni(x_i) and the weights go up, in turns, with L_uni the divergence of
    its prediction from the uniform distribution. Then another classifier is trained from the start with the share of
    the images that weigh most.
    Source: Li & Vasconcelos, CVPR 2020, Eq. 1 to 9; survey (Salehi et al.) §6.13, Eq. 77 to 82.

    Attributes:
        weight: α.
        keep: share of the seen OOD images that are kept, above 0 and at most 1.
        search: share of the steps in which weights are learnt, above 0 and below 1.
        weights_rate: learning rate of the weights.
    """

    name: ClassVar[str] = "background_resampling"
    uses_seen_ood: ClassVar[bool] = True
    starts_from: ClassVar[Objective | None] = None

    weight: float = 0.5
    keep: float = 0.1
    search: float = 0.5
    weights_rate: float = 100.0

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise ConfigError(f"weight must be positive, got {self.weight}")
        if not 0 < self.keep <= 1:
            raise ConfigError(f"keep must be above 0 and at most 1, got {self.keep}")
        if not 0 < self.search < 1:
            raise ConfigError(f"search must be above 0 and below 1, got {self.search}")
        if not self.weights_rate > 0:
            raise ConfigError(f"weights_rate must be positive, got {self.weights_rate}")

    def build(
        self, backbone: NetworkBuilder, shape: tuple[int, int, int], n_classes: int, embedding_dim: int
    ) -> nn.Module:
        """Return a classifier."""
        return backbone(shape, n_classes)

    def learner(self, network: nn.Module, setting: Setting) -> Learner:
        """Return what searches for weights, then trains."""
        from ._resampling import ResamplingLearner

        return ResamplingLearner(network, self, setting)

    def embed(self, outputs: Tensor) -> Tensor:
        """Return class probabilities."""
        return outputs.softmax(dim=1)


@dataclass(frozen=True, kw_only=True)
class BackgroundResampling(CheckedByObjectives, MSP):
    """Background data resampling; the score is the maximum softmax probability.

    Score: max_k softmax(f)_k, in [1/C, 1].
    Source: Li & Vasconcelos, CVPR 2020, Eq. 1 to 9; survey (Salehi et al.) §6.13, Eq. 77 to 82; weights and drawing as
    in the public code. There each image is kept with a probability that is proportional to its weight; here the
    heaviest are kept, as the survey says. Search and training share the steps of the recipe, where the code takes 100
    epochs for the one and 50 for the other.

    Attributes:
        weight, keep, search, weights_rate: of the objective, see `ResampledBackground`.
        seen: which of the benchmark's seen OOD images are the background; None for the benchmark's first.
    """

    title: ClassVar[str] = "Background resampling"
    source: ClassVar[str] = "Li & Vasconcelos, CVPR 2020, Eq. 1-9"
    sees: ClassVar[frozenset[Sees]] = frozenset({"seen_ood"})

    weight: float = 0.5
    keep: float = 0.1
    search: float = 0.5
    weights_rate: float = 100.0
    seen: str | None = None

    @property
    def networks(self) -> tuple[Objective, ...]:
        """The classifier that is trained with the heaviest outliers."""
        return (
            ResampledBackground(weight=self.weight, keep=self.keep, search=self.search, weights_rate=self.weights_rate),
        )
