"""What preprocessings of other libraries are made of, in our own words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from oodbench.images import CentreCrop

from .normalisation import normalisation

Pair: TypeAlias = "tuple[tuple[float, ...], tuple[float, ...]]"
"""Mean and standard deviation of each channel."""


def centre_crop(resize: Sequence[int], crop: Sequence[int], interpolation: str) -> CentreCrop:
    """Return a conversion; one number to resize to is of the shorter side, one number to cut out of both."""
    size = (int(crop[0]), int(crop[-1]))
    whole: int | tuple[int, int] = int(resize[0]) if len(resize) == 1 else (int(resize[0]), int(resize[1]))
    return CentreCrop(size=size, channels=3, resize=whole, interpolation=interpolation)


def pillow_name(interpolation: Any) -> str:
    """Return Pillow's name of an interpolation that is a name, a number of Pillow, or an enumeration of either."""
    from PIL.Image import Resampling

    value = getattr(interpolation, "value", interpolation)
    name = Resampling(value).name.lower() if isinstance(value, int) else str(value)
    return "nearest" if name == "nearest-exact" else name


def mean_and_std(mean: Any, std: Any) -> Pair:
    """Return mean and standard deviation, one number or one a channel, as a pair of tuples."""
    return normalisation((tuple(map(float, np.atleast_1d(mean))), tuple(map(float, np.atleast_1d(std)))))
