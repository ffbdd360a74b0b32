"""The evidence lower bound of a variational auto-encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from oodbench.api import FitInputs, Objective, Sees
from oodbench.objectives import CheckedByObjectives

from ._densities import LikelihoodObjective, check_noised
from ._named_scores import NamedScore
from .autoencoder import check_sizes

if TYPE_CHECKING:
    from torch import nn

    from oodbench.api import NetworkBuilder


@dataclass(frozen=True, kw_only=True)
class EvidenceBound(LikelihoodObjective):
    """The evidence lower bound, in bits per dimension; labels are not read.

    Source: Kingma & Welling, ICLR 2014, Eq. 10.

    Attributes:
        latent: size of the code; None for what an auto-encoder takes, see `Reconstruction`.
        width: filters of the first layer.
        pixels: "logistic", a discretised logistic whose mean and scale the decoder gives for each pixel; or
            "bernoulli", a distribution of black and white images only, not normalised where pixels are grey.
        draws: codes that an image's bound is averaged over once the network is trained; in training there is one.
        noised: share of the training pixels that random ones take the place of.
    """

    name: ClassVar[str] = "vae"
    uses_seen_ood: ClassVar[bool] = False

    latent: int | None = None
    width: int = 32
    pixels: Literal["logistic", "bernoulli"] = "logistic"
    draws: int = 8
    noised: float = 0.0

    def __post_init__(self) -> None:
        check_sizes(latent=self.latent, width=self.width, draws=self.draws)
        check_noised(self.noised)

    def build(
        self, backbone: NetworkBuilder, shape: tuple[int, int, int], n_classes: int, embedding_dim: int
    ) -> nn.Module:
        """Return a VAE for images of a shape (channels, height, width); the backbone has no part in it."""
        from oodbench.networks.autoencoder import Decoder, Encoder, code_size
        from oodbench.networks.vae import VAE

        latent = self.latent or code_size(shape)
        channels = shape[0] if self.pixels == "bernoulli" else 2 * shape[0]
        return VAE(
            Encoder(shape, 2 * latent, self.width),
            Decoder(shape, latent, self.width, channels=channels),
            latent,
            pixels=self.pixels,
            draws=self.draws,
            noised=self.noised,
        )


@dataclass(frozen=True, kw_only=True)
class VAEMethod(CheckedByObjectives):
    """The bound that a variational auto-encoder gives on the likelihood of an image.

    Score: E_q[log₂ p(x | z)] − KL(q(z | x) ‖ p(z)), in bits per dimension. The pixel model "logistic" gives
    probabilities of 8-bit images (dequantisation is built in: each of the 256 values has the mass of its bin), at most
    0 bits; "bernoulli" gives none where pixels are grey. The expectation is over the same `draws` of noise for every
    image.
    Source: Kingma & Welling, ICLR 2014, Eq. 10, as a score in Nalisnick et al., ICLR 2019; survey (Salehi et al.)
    §6.10.

    Attributes:
        latent, width, pixels, draws: of the objective, see `EvidenceBound`.
    """

    title: ClassVar[str] = "Evidence lower bound of a VAE"
    source: ClassVar[str] = "Kingma & Welling, ICLR 2014, Eq. 10; Nalisnick et al., ICLR 2019"
    sees: ClassVar[frozenset[Sees]] = frozenset()
    quick: ClassVar[Mapping[str, Any]] = {"width": 8, "draws": 2}

    latent: int | None = None
    width: int = 32
    pixels: Literal["logistic", "bernoulli"] = "logistic"
    draws: int = 8

    @property
    def networks(self) -> tuple[Objective, ...]:
        """One VAE."""
        return (EvidenceBound(latent=self.latent, width=self.width, pixels=self.pixels, draws=self.draws),)

    def fit(self, inputs: FitInputs) -> NamedScore:
        """Return a detector at once: there is nothing to fit."""
        return NamedScore(output="log_likelihood")
