"""What images of a user's own are brought to, from words."""

from __future__ import annotations

import re

from oodbench.errors import ConfigError
from oodbench.images import Conversion

SIDES = (4, 4096)
"""Pixels of the shortest and of the longest side that images are brought to."""


def parse_conversion(image_size: str, channels: int | None) -> Conversion:
    """Return what images are brought to.

    Args:
        image_size: "64", or "48x64" (height, width).
        channels: 1 (grey) or 3 (RGB); None for 3.

    Raises:
        ConfigError: the size or the channels cannot be.

    >>> parse_conversion("48x64", None)
    Conversion(size=(48, 64), channels=3)
    """
    sides = image_size.lower().replace("×", "x").split("x")
    if len(sides) > 2 or not all(re.fullmatch("0*[1-9][0-9]*", side) for side in sides):
        raise ConfigError(
            f"--image-size must be a number such as 64, or HEIGHTxWIDTH such as 48x64, got {image_size!r}"
        )
    shortest, longest = SIDES
    if not all(len(side) <= 6 and shortest <= int(side) <= longest for side in sides):
        raise ConfigError(f"--image-size must be from {shortest} to {longest:,} pixels a side, got {image_size!r}")
    if channels not in (None, 1, 3):
        raise ConfigError(f"--channels must be 1 (grey) or 3 (RGB), got {channels}")
    return Conversion(size=(int(sides[0]), int(sides[-1])), channels=1 if channels == 1 else 3)


def agreed(prescribed: Conversion, image_size: str | int | None, channels: int | None) -> Conversion:
    """Return how a model's images are prepared, where a size and channels may be given as well.

    Raises:
        ConfigError: these are others.
    """
    size = None if image_size is None else parse_conversion(str(image_size), channels).size
    if size not in (None, prescribed.size) or channels not in (None, prescribed.channels):
        raise ConfigError(
            f"--image-size and --channels differ from what --preprocess gives ({prescribed.in_words}: "
            f"{prescribed.channels} channels of {prescribed.size}); leave them out"
        )
    return prescribed
