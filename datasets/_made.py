"""Shared by the data sets that need no files: they come with the installation or are made from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from oodbench.api import Location
from oodbench.errors import ConfigError, DataError
from oodbench.images import Conversion


@dataclass(frozen=True, kw_only=True)
class MadeSet:
    """Base of the data sets that are always present."""

    how_to_get: ClassVar[str] = ""
    downloadable: ClassVar[bool] = False

    def locate(self, split: str, data_dir: Path) -> Location:
        """Say that nothing needs to be found."""
        return Location()

    def download(self, data_dir: Path) -> None:
        """Do nothing: there is nothing to fetch."""


@dataclass(frozen=True, kw_only=True)
class SeededSet(MadeSet):
    """Base of the data sets that are made from a seed.

    Attributes:
        count: number of images.
        seed: of the generator; the training split is made from another stream than the test split.
    """

    count: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ConfigError(f"count must be at least 1, got {self.count}")
        if self.seed < 0:
            raise ConfigError(f"seed must not be negative, got {self.seed}")

    def stream(self, split: str) -> list[int]:
        """Return the seed of a split's generator."""
        return [self.seed, {"train": 0, "test": 1}[split]]

    def array_shape(self, conversion: Conversion) -> tuple[int, int, int, int]:
        """Return the shape of the images to make: count, height, width, channels.

        Raises:
            DataError: the conversion leaves the size or the channels open.
        """
        if conversion.size is None or conversion.channels is None:
            raise DataError(
                f"{type(self).__name__} has no size of its own; the benchmark must name a size and channels"
            )
        return (self.count, *conversion.size, conversion.channels)
