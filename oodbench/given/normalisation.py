"""With which mean and standard deviation a network was trained, as they may be given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from oodbench.errors import ConfigError

NORMALISATIONS: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "none": ((0.0,), (1.0,)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""Mean and standard deviation of each channel, for images in [0, 1], by the names that they may be given with."""

Normalisation: TypeAlias = "str | Sequence[float | Sequence[float]]"
"""As `normalisation` reads it."""


def normalisation(given: Normalisation) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation for images in [0, 1].

    Args:
        given: "none" for images in [0, 1] as they are, "imagenet", MEAN/STD with one number or one a channel, or a pair
            of these as numbers.

    Raises:
        ConfigError: it is nothing of the kind, or for images in [0, 255].

    >>> normalisation("0.5,0.5,0.5/0.25,0.25,0.25")
    ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    """
    if isinstance(given, str) and given in NORMALISATIONS:
        return NORMALISATIONS[given]
    parts: Any = [part.split(",") for part in given.split("/")] if isinstance(given, str) else given
    try:
        mean, std = (tuple(float(value) for value in np.atleast_1d(part)) for part in parts)
    except (TypeError, ValueError):
        mean, std = (), ()
    if len(mean) not in (1, 3) or len(std) != len(mean) or not all(0 < value < np.inf for value in std):
        raise ConfigError(
            f"the normalisation must be {', '.join(NORMALISATIONS)} or MEAN/STD, such as 0.5,0.5,0.5/0.25,0.25,0.25, "
            f"got {given!r}"
        )
    if max(mean) > 1:
        raise ConfigError(
            f"the normalisation is for images in [0, 1], got {given!r}: these look like values from 0 to 255; divide "
            "by 255"
        )
    if not all(0 <= value <= 1 for value in mean):
        raise ConfigError(f"the normalisation is for images in [0, 1], and so is its mean, got {given!r}")
    return mean, std
