"""Input complexity: a density's likelihood, corrected by how well an image can be compressed."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from oodbench.api import FitInputs, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CheckedByObjectives

from .flow import FlowLikelihood
from .vae import EvidenceBound

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from oodbench.batch import Batch

_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "png": {"format": "PNG", "compress_level": 9},
    # The bare code stream; its number of resolutions is Pillow's, which small images have not enough pixels for.
    "jpeg2000": {"format": "JPEG2000", "no_jp2": True, "irreversible": False},
}


@dataclass(frozen=True, kw_only=True)
class InputComplexity(CheckedByObjectives):
    """Likelihood of an image, plus the length of its lossless code: simple images are likely under any density.

    Score: log₂ p(x) + L(x), in bits per dimension, with p dequantised as its own method says, and L(x) eight times the
    bytes of the compressed image over its number of values, headers included. It is the log of a ratio to a universal
    density 2^−L(x).
    Source: Serrà et al., ICLR 2020, Eq. 1, sign flipped; survey (Salehi et al.) §6.14, Eq. 83 and 84. The paper has
    Glow or PixelCNN++ where this has a flow or a VAE, and FLIF as a third compressor.

    Attributes:
        density: "flow" or "vae"; its network is the one that method uses as well.
        compressor: "png", "jpeg2000", or "smallest" for the shorter of both for each image.
        width: filters of the network.
    """

    title: ClassVar[str] = "Likelihood corrected by input complexity"
    source: ClassVar[str] = "Serrà et al., ICLR 2020, Eq. 1"
    sees: ClassVar[frozenset[Sees]] = frozenset()
    quick: ClassVar[Mapping[str, Any]] = {"width": 8}

    density: Literal["flow", "vae"] = "flow"
    compressor: Literal["smallest", "png", "jpeg2000"] = "smallest"
    width: int = 32

    @property
    def networks(self) -> tuple[Objective, ...]:
        """One density."""
        return (FlowLikelihood(width=self.width) if self.density == "flow" else EvidenceBound(width=self.width),)

    def fit(self, inputs: FitInputs) -> ComplexityDetector:
        """Return a detector at once: there is nothing to fit.

        Raises:
            ConfigError: the installed Pillow cannot write JPEG 2000.
        """
        from PIL import features

        compressors = tuple(_OPTIONS) if self.compressor == "smallest" else (self.compressor,)
        if "jpeg2000" in compressors and not features.check("jpg_2000"):
            raise ConfigError(
                "this installation of Pillow cannot write JPEG 2000; take --set input_complexity.compressor=png"
            )
        return ComplexityDetector(compressors=compressors)


@dataclass(frozen=True, kw_only=True)
class ComplexityDetector:
    """The density's likelihood plus the length of the code.

    Attributes:
        compressors: whose shortest code counts.
    """

    compressors: tuple[str, ...]

    def score(self, batch: Batch) -> Tensor:
        """Return the sum in bits per dimension, float64 of shape (n,); higher = more in-distribution."""
        import torch

        pixels = (batch.images * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        lengths = [code_length(image, self.compressors) for image in pixels]
        return batch.output("log_likelihood").double() + torch.tensor(lengths, dtype=torch.float64, device=batch.device)

    def classify(self, batch: Batch) -> None:
        """Return None: there are no classes."""


def code_length(image: NDArray[np.uint8], compressors: tuple[str, ...]) -> float:
    """Return the length of the shortest code of an image, in bits for each of its values.

    Args:
        image: shape (height, width, channels), of 1 or 3 channels.
        compressors: "png", "jpeg2000".

    Raises:
        ConfigError: no compressor takes images of so many channels.
    """
    from PIL import Image

    if image.shape[2] not in {1, 3}:
        raise ConfigError(
            f"input_complexity compresses images of 1 or 3 channels, and these have {image.shape[2]}; "
            "let the benchmark convert them"
        )
    picture = Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image)
    return min(_compressed(picture, compressor) for compressor in compressors) * 8 / image.size


def _compressed(picture: Any, compressor: str) -> int:
    buffer, options = io.BytesIO(), dict(_OPTIONS[compressor])
    if compressor == "jpeg2000":
        # Each resolution halves the image; six are usual, and need 32 pixels.
        options["num_resolutions"] = max(1, min(6, min(picture.size).bit_length()))
    picture.save(buffer, **options)
    return len(buffer.getvalue())
