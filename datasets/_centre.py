"""Pictures as ImageNet classifiers are tested: the shorter side to a size, and the centre cut out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oodbench.files import Pictures

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Centres:
    """The centre of each picture, after its shorter side was brought to a size; read when it is asked for.

    Bilinear and antialiased, in RGB, as torchvision's `Resize` and `CenterCrop` do with pictures.

    Attributes:
        pictures: to read.
        shorter: pixels of the shorter side.
        size: height and width of the centre; not larger than `shorter`.
    """

    pictures: Pictures
    shorter: int
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Image:
        """Return the centre of a picture.

        Raises:
            DataError: it cannot be read or decoded; the message names it.
        """
        return self._centre(self.pictures[index])

    def __iter__(self) -> Iterator[Image]:
        """Yield the centre of each picture."""
        return (self[i] for i in range(len(self)))

    def _centre(self, picture: Image) -> Image:
        from PIL.Image import Resampling

        # Resizing palettes and single bits would mix their numbers, not their colours.
        plain = picture if picture.mode in ("L", "RGB") or picture.mode.startswith("I") else _plain(picture)
        (height, width), whole = self.size, _scaled(plain.size, self.shorter)
        resized = plain if plain.size == whole else plain.resize(whole, Resampling.BILINEAR)
        left, top = round((whole[0] - width) / 2), round((whole[1] - height) / 2)
        return resized.crop((left, top, left + width, top + height))


def _plain(picture: Image) -> Image:
    if picture.mode == "P" and isinstance(picture.info.get("transparency"), bytes):
        picture = picture.convert("RGBA")
    return picture.convert("RGB")


def _scaled(size: tuple[int, int], shorter: int) -> tuple[int, int]:
    """Return width and height with the shorter side brought to a size, the longer one rounded down.

    >>> _scaled((300, 200), 32), _scaled((200, 301), 32)
    ((48, 32), (32, 48))
    """
    width, height = size
    if width <= height:
        return shorter, int(shorter * height / width)
    return int(shorter * width / height), shorter
