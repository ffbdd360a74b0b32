"""Robust auto-encoder: what it cannot draw of the training images is set aside before it learns from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from oodbench.api import FitInputs, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CheckedByObjectives, LossObjective

from ._named_scores import NamedScore
from .autoencoder import Reconstruction, check_sizes

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from oodbench.api import NetworkBuilder


@dataclass(frozen=True, kw_only=True)
class RobustReconstruction(LossObjective):
    """Mean squared error on L, with X = L + S: an auto-encoder draws L, and S is what sparse penalties set aside.

    min ‖L − D(E(L))‖² + λ‖S‖ by alternating steps. In each batch, from S = 0: `rounds` times L = X − S and S =
    prox(X − D(E(L))), and then a step of the auto-encoder on L. It starts from an auto-encoder trained on X, as the
    first of the paper's rounds does. Labels are not read.
    Source: Zhou & Paffenroth, KDD 2017, Eq. 5 and 6 and Section 4; survey (Salehi et al.) §4.1, Eq. 3 to 5. The paper
    keeps S of every training image from round to round; here it is found anew, so that memory does not grow.

    Attributes:
        norm: "l21" sets whole images aside, block-wise, by the root mean square of their residual; "l1" single pixels.
        penalty: λ, as the residual below which all of an image ("l21", a root mean square) or of a pixel ("l1")
            remains in L. It must be above that of most ID images: where their residuals are set aside too, the
            auto-encoder learns from its own pictures, and draws nothing in the end.
        rounds: of L and S in each batch.
        code_dim, width: of the auto-encoder, see `Reconstruction`.
    """

    name: ClassVar[str] = "robust_ae"
    uses_seen_ood: ClassVar[bool] = False
    unlabelled: ClassVar[bool] = True

    norm: Literal["l21", "l1"] = "l21"
    penalty: float = 0.15
    rounds: int = 2
    code_dim: int | None = None
    width: int = 32

    def __post_init__(self) -> None:
        check_sizes(rounds=self.rounds, code_dim=self.code_dim, width=self.width)
        if not self.penalty > 0:
            raise ConfigError(f"penalty must be positive, got {self.penalty}")

    @property
    def starts_from(self) -> Objective:
        """An auto-encoder on the images as they are."""
        return Reconstruction(code_dim=self.code_dim, width=self.width)

    def build(
        self, backbone: NetworkBuilder, shape: tuple[int, int, int], n_classes: int, embedding_dim: int
    ) -> nn.Module:
        """Return an auto-encoder; the backbone has no part in it."""
        from oodbench.networks.autoencoder import Decoder, Encoder, code_size

        from ._robust import RobustAutoencoder

        code_dim = self.code_dim or code_size(shape)
        return RobustAutoencoder(
            Encoder(shape, code_dim, self.width),
            Decoder(shape, code_dim, self.width),
            by_image=self.norm == "l21",
            penalty=self.penalty,
            rounds=self.rounds,
        )

    def loss(self, outputs: Mapping[str, Tensor], labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean error on L; a scalar."""
        return outputs["error"].mean()


@dataclass(frozen=True, kw_only=True)
class RobustAE(CheckedByObjectives):
    """Reconstruction error of an auto-encoder that is trained on contaminated images.

    Score: −‖x − D(E(x))‖² / d, over the d values of an image in [0, 1]; in [−1, 0].
    Source: Zhou & Paffenroth, KDD 2017; survey (Salehi et al.) §4.1.

    Attributes:
        norm, penalty, rounds, code_dim, width: of the objective, see `RobustReconstruction`.
    """

    title: ClassVar[str] = "Robust auto-encoder"
    source: ClassVar[str] = "Zhou & Paffenroth, KDD 2017"
    sees: ClassVar[frozenset[Sees]] = frozenset()
    quick: ClassVar[Mapping[str, Any]] = {"width": 8}

    norm: Literal["l21", "l1"] = "l21"
    penalty: float = 0.15
    rounds: int = 2
    code_dim: int | None = None
    width: int = 32

    @property
    def networks(self) -> tuple[Objective, ...]:
        """One auto-encoder, which starts from a plain one."""
        objective = RobustReconstruction(
            norm=self.norm, penalty=self.penalty, rounds=self.rounds, code_dim=self.code_dim, width=self.width
        )
        return (objective,)

    def fit(self, inputs: FitInputs) -> NamedScore:
        """Return a detector at once: there is nothing to fit."""
        return NamedScore(output="error", higher_is_id=False)
