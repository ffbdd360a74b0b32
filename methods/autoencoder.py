"""Reconstruction error: an auto-encoder makes worse pictures of what it has not been trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from oodbench.api import FitInputs, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CheckedByObjectives, LossObjective

from ._named_scores import NamedScore

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from oodbench.api import NetworkBuilder


@dataclass(frozen=True, kw_only=True)
class Reconstruction(LossObjective):
    """Mean squared error of the decoder's picture of each image.

    Source: "Skip the question you don't know" (Chen et al.), Section II-A. Labels are not read.

    Attributes:
        code_dim: size of the code; None for a 24th of the image's values, at least 10 and at most 512 (32 for MNIST,
            128 for CIFAR-10).
        width: filters of the first layer.
        denoise: standard deviation of the Gaussian noise on the images that are encoded; the clean ones are to be made.
        clean_share: share of the clean training images that it learns from, and from no others; 0 for all as they are.
        bias: whether layers have biases and batch normalisation its scale and shift; Deep SVDD starts from one without.
    """

    name: ClassVar[str] = "autoencoder"
    uses_seen_ood: ClassVar[bool] = False
    unlabelled: ClassVar[bool] = True
    drawn: ClassVar[str] = "code"

    code_dim: int | None = None
    width: int = 32
    denoise: float = 0.0
    bias: bool = True
    clean_share: float = 0.0

    def __post_init__(self) -> None:
        check_sizes(code_dim=self.code_dim, width=self.width)
        if not 0 <= self.denoise < math.inf:
            raise ConfigError(f"denoise must be at least 0 and finite, got {self.denoise}")
        if not 0 <= self.clean_share <= 1:
            raise ConfigError(f"clean_share must be in [0, 1], got {self.clean_share}")

    def build(
        self, backbone: NetworkBuilder, shape: tuple[int, int, int], n_classes: int, embedding_dim: int
    ) -> nn.Module:
        """Return an auto-encoder for images of a shape (channels, height, width); the backbone has no part in it."""
        from oodbench.networks.autoencoder import Autoencoder, Decoder, Encoder, code_size

        code_dim = self.code_dim or code_size(shape)
        return Autoencoder(
            Encoder(shape, code_dim, self.width, bias=self.bias),
            Decoder(shape, code_dim, self.width, bias=self.bias),
            self.denoise,
        )

    def loss(self, outputs: Mapping[str, Tensor], labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean of the images' errors; a scalar."""
        return outputs["error"].mean()

    def embed(self, outputs: Tensor) -> Tensor:
        """Return codes as they are."""
        return outputs


@dataclass(frozen=True, kw_only=True)
class AutoencoderMethod(CheckedByObjectives):
    """Reconstruction error of a convolutional auto-encoder.

    Score: −‖x − D(E(x))‖² / d, over the d values of an image in [0, 1]; in [−1, 0].
    Source: "Skip the question you don't know" (Chen et al.), Section II-A; survey (Salehi et al.) §4.1.

    Attributes:
        code_dim, width, denoise: of the objective, see `Reconstruction`.
    """

    title: ClassVar[str] = "Reconstruction error of an auto-encoder"
    source: ClassVar[str] = "Chen et al., Skip the question you don't know, Sec. II-A"
    sees: ClassVar[frozenset[Sees]] = frozenset()
    quick: ClassVar[Mapping[str, Any]] = {"width": 8}

    code_dim: int | None = None
    width: int = 32
    denoise: float = 0.0

    @property
    def networks(self) -> tuple[Objective, ...]:
        """One auto-encoder."""
        return (Reconstruction(code_dim=self.code_dim, width=self.width, denoise=self.denoise),)

    def fit(self, inputs: FitInputs) -> NamedScore:
        """Return a detector at once: there is nothing to fit."""
        return NamedScore(output="error", higher_is_id=False)


def check_sizes(**sizes: int | None) -> None:
    """Refuse sizes of networks that are not positive; None is left to the network.

    Raises:
        ConfigError: a size is below 1; the message names it.
    """
    for name, value in sizes.items():
        if value is not None and value < 1:
            raise ConfigError(f"{name} must be at least 1, got {value}")
