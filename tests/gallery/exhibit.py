"""What an entry of the gallery is, and the four ways of giving images to oodbench that each one goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

Counts: TypeAlias = "Mapping[str, int] | int"
"""Images of each class, in the order of the labels, or of a set without classes."""


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """Something odd, and what must happen to it.

    Attributes:
        name: what it is.
        build: makes it, below a folder that is empty; returns its path, or the images themselves.
        test: what its test images are; None where it is refused.
        train: what its training images are, where they lie apart.
        detected: how many images `detect` scores: all below a folder; None for as many as training and test have,
            0 where it refuses as well.
        said: words that everybody is told, or that it is refused with.
        warned: words of a warning of `evaluate`.
    """

    name: str
    build: Callable[[Path], Any]
    test: Counts | None = None
    train: Counts | None = None
    detected: int | None = None
    said: str = ""
    warned: str = ""

    @property
    def n_test(self) -> int:
        """How many test images there are."""
        return total(self.test)

    @property
    def n_detected(self) -> int:
        """How many images `detect` scores."""
        return total(self.test) + total(self.train) if self.detected is None else self.detected


def total(counts: Counts | None) -> int:
    """Return how many images there are in all."""
    return counts if isinstance(counts, int) else sum((counts or {}).values())


def words(counts: Counts) -> str:
    """Return what is told of a set, but for its name."""
    if isinstance(counts, int):
        return f"{counts} image{'s' * (counts != 1)} without classes"
    kinds = "1 class" if len(counts) == 1 else f"{len(counts)} classes"
    listed = ", ".join(f"{name} {count}" for name, count in counts.items())
    return f"{total(counts)} image{'s' * (total(counts) != 1)} in {kinds}: {listed}"
