"""Omniglot: handwritten characters of many alphabets, turned to light ink on a dark ground as MNIST has it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from oodbench.api import Location
from oodbench.errors import DataError
from oodbench.files import Pictures
from oodbench.images import Conversion, RawImages

from .folder import ImageFolder

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, kw_only=True)
class Omniglot:
    """Handwritten characters, 105×105, black ink on white in the files: inverted, so that ink is light as in MNIST.

    A benchmark's conversion shrinks them; the thin strokes get grey by it.
    Source: Lake, Salakhutdinov & Tenenbaum, Science 2015. Files: a folder `omniglot/` or a ZIP of that name in the
    data folder, laid out as users' own images are.

    Attributes:
        invert: whether dark and light are exchanged; false for files that have light ink on a dark ground already.
    """

    title: ClassVar[str] = "Omniglot, handwritten characters, 105×105 black and white, inverted"
    source: ClassVar[str] = "Lake et al. 2015"
    downloadable: ClassVar[bool] = False
    folder_name: ClassVar[str] = "omniglot"
    how_to_get: ClassVar[str] = (
        "Download images_background.zip of https://github.com/brendenlake/omniglot and unpack it into "
        "omniglot/test in the data folder."
    )

    invert: bool = True

    def locate(self, split: str, data_dir: Path) -> Location:
        """Look for a folder or ZIP of the set's name."""
        return self._folder().locate(split, data_dir)

    def read(self, split: str, data_dir: Path, conversion: Conversion) -> RawImages:
        """Return the images, grey and inverted, in the order of their file names.

        Raises:
            DataError: there are none, or one cannot be decoded; the message names it.
        """
        raw = self._folder().read(split, data_dir, conversion)
        assert isinstance(raw.images, Pictures)
        return replace(raw, images=_Inverted(pictures=raw.images)) if self.invert else raw

    def download(self, data_dir: Path) -> None:
        """Refuse: there is no archive with checksums to fetch.

        Raises:
            DataError: always; it says what to do.
        """
        raise DataError(f"{self.folder_name} cannot be downloaded. {self.how_to_get}")

    def _folder(self) -> ImageFolder:
        return ImageFolder(name=self.folder_name)


@dataclass(frozen=True, kw_only=True)
class _Inverted:
    """Pictures that are inverted when they are read.

    Attributes:
        pictures: decoded when they are asked for.
    """

    pictures: Pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Image:
        from PIL import ImageOps

        # Ink has no colour here; the files have 1 bit a pixel, and others may have a palette.
        return ImageOps.invert(self.pictures[index].convert("L"))

    def __iter__(self) -> Iterator[Image]:
        return (self[i] for i in range(len(self)))
