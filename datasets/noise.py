"""Noise images, made from a seed in the size that a benchmark asks for."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from oodbench.errors import ConfigError
from oodbench.images import Conversion, RawImages

from ._made import SeededSet

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator
    from numpy.typing import NDArray


_NUMBERS = 1 << 21
"""Drawn at once: 16 MB of float64."""


@dataclass(frozen=True, kw_only=True)
class Noise(SeededSet):
    """Base of the kinds of noise; a subclass says how pixels in [0, 1] are drawn, one image after the other.

    Attributes:
        low: what 0 becomes. Outlier Exposure's code makes noise in [−1, 1] of *normalised* images: with CIFAR's mean
            and deviation it is between 0.22 and 0.72, much paler.
        high: what 1 becomes.
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.low < self.high <= 1.0:
            raise ConfigError(f"low and high must be in [0, 1], the low one below the other: {self.low}, {self.high}")

    @abstractmethod
    def draw(self, rng: Generator, shape: tuple[int, ...]) -> NDArray[np.floating]:
        """Return images in [0, 1] of shape (count, height, width, channels)."""

    def read(self, split: str, data_dir: Path, conversion: Conversion) -> RawImages:
        """Return noise in the size and channels of `conversion`; there are no labels."""
        import numpy as np

        rng = np.random.default_rng(self.stream(split))
        count, height, width, channels = self.array_shape(conversion)
        # Laid out as they are wanted in the end, so that nothing is copied.
        images = np.empty((count, channels, height, width), dtype=np.uint8).transpose(0, 2, 3, 1)
        # In pieces, which draw the numbers that all at once would: as float64, 2,000 images of 224 pixels are 2.4 GB.
        step = max(1, _NUMBERS // (height * width * channels))
        for start in range(0, count, step):
            piece = images[start : start + step]
            drawn = self.draw(rng, piece.shape)
            piece[:] = np.rint((self.low + (self.high - self.low) * drawn) * 255)
        return RawImages(images=images[..., 0] if channels == 1 else images)


@dataclass(frozen=True, kw_only=True)
class Gaussian(Noise):
    """Each pixel from N(0.5, 1), clipped to [0, 1].

    Source: ODIN (Liang et al., ICLR 2018) and the public code of Masana et al., BMVC 2018.

    Attributes:
        deviation: of the normal distribution; 0.25 in Outlier Exposure (Hendrycks et al., ICLR 2019).
    """

    title: ClassVar[str] = "Gaussian noise, N(0.5, 1) clipped to [0, 1]"
    source: ClassVar[str] = "Liang et al. 2018"

    deviation: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.deviation > 0:
            raise ConfigError(f"deviation must be positive, got {self.deviation}")

    def draw(self, rng: Generator, shape: tuple[int, ...]) -> NDArray[np.floating]:
        """Return clipped normal noise."""
        return rng.normal(0.5, self.deviation, shape).clip(0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Uniform(Noise):
    """Each pixel from the uniform distribution on [0, 1].

    Source: ODIN (Liang et al., ICLR 2018).
    """

    title: ClassVar[str] = "Uniform noise on [0, 1]"
    source: ClassVar[str] = "Liang et al. 2018"

    def draw(self, rng: Generator, shape: tuple[int, ...]) -> NDArray[np.floating]:
        """Return uniform noise."""
        return rng.random(shape)


@dataclass(frozen=True, kw_only=True)
class Rademacher(Noise):
    """Each pixel 0 or 1 with equal chance: the ±1 of the literature, brought to [0, 1].

    Source: Outlier Exposure (Hendrycks et al., ICLR 2019).
    """

    title: ClassVar[str] = "Rademacher noise, pixels 0 or 1"
    source: ClassVar[str] = "Hendrycks et al. 2019"

    def draw(self, rng: Generator, shape: tuple[int, ...]) -> NDArray[np.floating]:
        """Return fair coin flips."""
        return rng.integers(0, 2, shape).astype(float)


@dataclass(frozen=True, kw_only=True)
class Blob(Noise):
    """Blobs with sharp edges: coin flips (70% ones), blurred with σ = 1.5 pixels, all below 0.75 set to 0.

    The blur goes across the channels as well, so that colours are pale.
    Source: Outlier Exposure (Hendrycks et al., ICLR 2019), as its public code makes them.
    """

    title: ClassVar[str] = "Blobs: blurred and thresholded coin flips"
    source: ClassVar[str] = "Hendrycks et al. 2019"

    def draw(self, rng: Generator, shape: tuple[int, ...]) -> NDArray[np.floating]:
        """Return blurred flips, thresholded."""
        from scipy.ndimage import gaussian_filter

        flips = (rng.random(shape) < 0.7).astype(float)
        blurred: NDArray[np.floating] = gaussian_filter(flips, sigma=(0, 1.5, 1.5, 1.5), mode="nearest")
        blurred[blurred < 0.75] = 0.0
        return blurred.clip(0.0, 1.0)
