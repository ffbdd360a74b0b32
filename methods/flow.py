"""The exact likelihood that a normalizing flow gives of an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from oodbench.api import FitInputs, Objective, Sees
from oodbench.objectives import CheckedByObjectives

from ._densities import LikelihoodObjective, check_noised
from ._named_scores import NamedScore
from .autoencoder import check_sizes

if TYPE_CHECKING:
    from torch import nn

    from oodbench.api import NetworkBuilder


@dataclass(frozen=True, kw_only=True)
class FlowLikelihood(LikelihoodObjective):
    """The likelihood of dequantised images under a flow, in bits per dimension; labels are not read.

    Source: Dinh et al., ICLR 2017, Eq. 2 and 3.

    Attributes:
        width: filters of the couplings' networks.
        couplings: of each kind at each resolution.
        draws: of dequantisation noise that an image's likelihood is averaged over once the network is trained; in
            training there is one.
        noised: share of the training pixels that random ones take the place of.
    """

    name: ClassVar[str] = "flow"
    uses_seen_ood: ClassVar[bool] = False

    width: int = 32
    couplings: int = 3
    draws: int = 1
    noised: float = 0.0

    def __post_init__(self) -> None:
        check_sizes(width=self.width, couplings=self.couplings, draws=self.draws)
        check_noised(self.noised)

    def build(
        self, backbone: NetworkBuilder, shape: tuple[int, int, int], n_classes: int, embedding_dim: int
    ) -> nn.Module:
        """Return a flow for images of a shape (channels, height, width); the backbone has no part in it."""
        from oodbench.networks.flow import Flow

        return Flow(shape, self.width, self.couplings, draws=self.draws, noised=self.noised)


@dataclass(frozen=True, kw_only=True)
class FlowMethod(CheckedByObjectives):
    """Likelihood of an image under a multi-scale flow of affine couplings.

    Score: log₂ p(x), in bits per dimension of the 8-bit image: the log of the density of (pixels + u) / 256, minus 8 a
    dimension, with u uniform noise (dequantisation) that is the same for all images, and averaged over `draws`.
    Source: Dinh et al., ICLR 2017, Eq. 2 and 3, as a score in Nalisnick et al., ICLR 2019; survey (Salehi et al.)
    §6.10, Eq. 74, where it fails on images that are simpler than those trained on.

    Attributes:
        width, couplings, draws: of the objective, see `FlowLikelihood`.
    """

    title: ClassVar[str] = "Likelihood of a flow"
    source: ClassVar[str] = "Dinh et al., ICLR 2017, Eq. 3; Nalisnick et al., ICLR 2019"
    sees: ClassVar[frozenset[Sees]] = frozenset()
    quick: ClassVar[Mapping[str, Any]] = {"width": 8, "couplings": 2}

    width: int = 32
    couplings: int = 3
    draws: int = 1

    @property
    def networks(self) -> tuple[Objective, ...]:
        """One flow."""
        return (FlowLikelihood(width=self.width, couplings=self.couplings, draws=self.draws),)

    def fit(self, inputs: FitInputs) -> NamedScore:
        """Return a detector at once: there is nothing to fit."""
        return NamedScore(output="log_likelihood")
