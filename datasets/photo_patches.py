"""Patches of the two photos that scikit-learn ships."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from oodbench.images import Conversion, RawImages

from ._made import SeededSet
from ._shipped import shipped

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, kw_only=True)
class PhotoPatches(SeededSet):
    """Square patches of 16 to 128 pixels, cut at random from a photo of a temple and one of a flower.

    Source: `sklearn.datasets.load_sample_images` (photos by Over Stir and dany13, CC BY).
    """

    title: ClassVar[str] = "Patches of the two sample photos of scikit-learn (embedded)"
    source: ClassVar[str] = "scikit-learn"

    count: int = 1000

    def read(self, split: str, data_dir: Path, conversion: Conversion) -> RawImages:
        """Return patches of their own sizes, without labels; `conversion` brings them to one size."""
        return RawImages(images=self._patches(split))

    def _patches(self, split: str) -> Iterator[Image]:
        import numpy as np
        from PIL import Image

        photos = [Image.open(shipped(f"images/{name}.jpg")).convert("RGB") for name in ("china", "flower")]
        rng = np.random.default_rng(self.stream(split))
        for _ in range(self.count):
            photo = photos[rng.integers(len(photos))]
            side = int(rng.integers(16, 129))
            left, top = (int(rng.integers(length - side + 1)) for length in photo.size)
            yield photo.crop((left, top, left + side, top + side))
