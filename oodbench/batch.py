"""Images of one set with the outputs that a network gives for them, handed to methods lazily."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .images import ImageSet

T = TypeVar("T")

CPU_BATCH_SIZE = 200
"""Images in one pass on a processor: more do not fit its caches."""
BATCH_SIZE = 1000
"""Images in one pass on other devices."""
VALUES_AT_ONCE = 1000 * 3 * 64 * 64
"""How many values the images that go through a network together may have: larger images go in smaller batches."""


def batch_size(shape: tuple[int, ...], most: int = BATCH_SIZE) -> int:
    """Return how many images of a shape (channels, height, width) are looked at together, at most `most`.

    >>> batch_size((3, 32, 32)), batch_size((3, 224, 224))
    (1000, 81)
    """
    return max(1, min(most, VALUES_AT_ONCE // math.prod(shape)))


def in_passes(shape: tuple[int, ...], n: int, device: torch.device, compute: Callable[[slice], T]) -> Iterator[T]:
    """Yield what a network gives for consecutive parts of n images, which suit the device.

    Args:
        shape: of an image.
        n: number of images.
        device: where the network runs; parts are halved where its memory does not suffice.
        compute: runs the network on a part.
    """
    start, size = 0, batch_size(shape, CPU_BATCH_SIZE if device.type == "cpu" else BATCH_SIZE)
    while start < n:
        try:
            result = compute(slice(start, min(start + size, n)))
        except torch.cuda.OutOfMemoryError:
            if size == 1:
                raise
            size //= 2
        else:
            yield result
            start += size


def to_unit_interval(pixels: Tensor) -> Tensor:
    """Return uint8 pixels as float32 in [0, 1]."""
    return pixels.float() / 255.0


@dataclass(frozen=True, eq=False, kw_only=True)
class Outputs:
    """What one network says of one set of images, computed once.

    Attributes:
        logits: the network's output (logits or embeddings), float32, shape (n, n_outputs).
        features: the input of its last linear layer, float32, shape (n, n_features).
    """

    logits: NDArray[np.float32]
    features: NDArray[np.float32]


@dataclass(frozen=True, eq=False, kw_only=True)
class Batch:
    """Some images of a set. Nothing is computed or moved to the device before it is asked for.

    Attributes:
        source: the set.
        outputs: gives the network's outputs for the whole set; the first call may run the network.
        rows: which images of the set these are, integers of shape (n,).
        device: where tensors are given out.
        others: the same of further networks, for methods with `members`.
    """

    source: ImageSet
    outputs: Callable[[], Outputs]
    rows: NDArray[np.intp]
    device: torch.device
    others: tuple[Callable[[], Outputs], ...] = ()

    @classmethod
    def of(
        cls,
        source: ImageSet,
        outputs: Callable[[], Outputs],
        device: torch.device,
        others: tuple[Callable[[], Outputs], ...] = (),
    ) -> Batch:
        """Return all images of a set."""
        return cls(source=source, outputs=outputs, rows=np.arange(len(source)), device=device, others=others)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def images(self) -> Tensor:
        """Float32 in [0, 1], shape (n, channels, height, width). Asking for them costs a transfer."""
        return to_unit_interval(self._tensor(self.source.images))

    @property
    def logits(self) -> Tensor:
        """The network's output, float32, shape (n, n_outputs)."""
        return self._tensor(self.outputs().logits)

    @property
    def features(self) -> Tensor:
        """The input of the network's last linear layer, float32, shape (n, n_features)."""
        return self._tensor(self.outputs().features)

    @property
    def labels(self) -> Tensor | None:
        """Class indices, int64 of shape (n,), or None."""
        return None if self.source.labels is None else self._tensor(self.source.labels)

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.tensor(array[self.rows], device=self.device)

    @property
    def members(self) -> tuple[Batch, ...]:
        """These images as each network sees them, the first one included; one for most methods."""
        return tuple(replace(self, outputs=outputs, others=()) for outputs in (self.outputs, *self.others))

    def at(self, index: slice | NDArray[Any]) -> Batch:
        """Return the images at a slice or at indices."""
        return replace(self, rows=self.rows[index])

    def split(self, size: int) -> Iterator[Batch]:
        """Yield consecutive batches of at most `size` images."""
        for start in range(0, len(self), size):
            yield self.at(slice(start, start + size))

    def in_passes(self, compute: Callable[[Batch], T]) -> Iterator[T]:
        """Yield what a function gives for consecutive parts, for functions that run a network.

        Parts have as many images as suit the device, and fewer where its memory does not suffice.
        """
        return in_passes(self.source.shape, len(self), self.device, lambda part: compute(self.at(part)))
