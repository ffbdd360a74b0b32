"""Memory-augmented auto-encoder: pictures are made from a few learnt prototypes, and strange images are like none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from oodbench.api import FitInputs, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CheckedByObjectives, LossObjective

from ._named_scores import NamedScore
from .autoencoder import check_sizes

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from oodbench.api import NetworkBuilder


@dataclass(frozen=True, kw_only=True)
class MemoryReconstruction(LossObjective):
    """Mean squared error of pictures that are made from memory, and the entropy of what is remembered.

    The code z of an image addresses the memory: w is the softmax of the cosines of z and each item; weights below λ
    become 0, and the others are scaled to a sum of 1 (ŵ); the decoder gets Σ ŵ_i m_i. Loss: error + α · mean of
    −Σ ŵ_i log ŵ_i. Labels are not read.
    Source: Gong et al., ICCV 2019, Eq. 3 to 10; survey (Salehi et al.) §4.5, Eq. 10 to 13. One item stands for a whole
    code, as for images in the paper; the public code, for videos, has an inner product in the place of the cosine.

    Attributes:
        items: N, of the memory.
        shrinkage: λ in units of 1/N; the paper has 1 to 3. Where it is too high all weights of an image become 0.
        entropy_weight: α.
        code_dim, width: of the auto-encoder, see `Reconstruction`.
    """

    name: ClassVar[str] = "memae"
    uses_seen_ood: ClassVar[bool] = False
    unlabelled: ClassVar[bool] = True

    items: int = 100
    shrinkage: float = 1.0
    entropy_weight: float = 0.0002
    code_dim: int | None = None
    width: int = 32

    def __post_init__(self) -> None:
        check_sizes(items=self.items, code_dim=self.code_dim, width=self.width)
        if not 0 <= self.shrinkage < self.items:
            raise ConfigError(f"shrinkage must be at least 0 and below the number of items, got {self.shrinkage}")
        if not self.entropy_weight >= 0:
            raise ConfigError(f"entropy_weight must be at least 0, got {self.entropy_weight}")

    def build(
        self, backbone: NetworkBuilder, shape: tuple[int, int, int], n_classes: int, embedding_dim: int
    ) -> nn.Module:
        """Return an auto-encoder with a memory; the backbone has no part in it."""
        from oodbench.networks.autoencoder import Decoder, Encoder, code_size

        from ._memory import Memory, MemoryAutoencoder

        code_dim = self.code_dim or code_size(shape)
        return MemoryAutoencoder(
            Encoder(shape, code_dim, self.width),
            Memory(self.items, code_dim, self.shrinkage / self.items),
            Decoder(shape, code_dim, self.width),
        )

    def loss(self, outputs: Mapping[str, Tensor], labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean error and the weighted mean entropy of the images; a scalar."""
        return outputs["error"].mean() + self.entropy_weight * outputs["entropy"].mean()


@dataclass(frozen=True, kw_only=True)
class MemAE(CheckedByObjectives):
    """Reconstruction error of an auto-encoder whose codes are put together from a memory.

    Score: −‖x − D(Σ ŵ_i m_i)‖² / d, over the d values of an image in [0, 1]; in [−1, 0].
    Source: Gong et al., ICCV 2019; survey (Salehi et al.) §4.5.

    Attributes:
        items, shrinkage, entropy_weight, code_dim, width: of the objective, see `MemoryReconstruction`.
    """

    title: ClassVar[str] = "Memory-augmented auto-encoder"
    source: ClassVar[str] = "Gong et al., ICCV 2019"
    sees: ClassVar[frozenset[Sees]] = frozenset()
    quick: ClassVar[Mapping[str, Any]] = {"width": 8}

    items: int = 100
    shrinkage: float = 1.0
    entropy_weight: float = 0.0002
    code_dim: int | None = None
    width: int = 32

    @property
    def networks(self) -> tuple[Objective, ...]:
        """One auto-encoder with a memory."""
        objective = MemoryReconstruction(
            items=self.items,
            shrinkage=self.shrinkage,
            entropy_weight=self.entropy_weight,
            code_dim=self.code_dim,
            width=self.width,
        )
        return (objective,)

    def fit(self, inputs: FitInputs) -> NamedScore:
        """Return a detector at once: there is nothing to fit."""
        return NamedScore(output="error", higher_is_id=False)
