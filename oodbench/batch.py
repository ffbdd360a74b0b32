"""Images of one set with the outputs that a network gives for them, handed to methods lazily."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .errors import ScoreError
from .images import ImageSet

T = TypeVar("T")

CPU_BATCH_SIZE = 256
"""Images in one pass on a processor."""
CPU_VALUES_AT_ONCE = 2**20
"""How many values the images of one pass on a processor may have, 4 images of 224 × 224 pixels: what layers make of
more does not fit its caches, and takes up to three times as long (`benchmarks/batches.py`)."""
BATCH_SIZE = 1024
"""Images in one pass on other devices."""
VALUES_AT_ONCE = 1000 * 3 * 64 * 64
"""How many values the images that go through a network together may have: larger images go in smaller batches."""


def batch_size(shape: tuple[int, ...], most: int = BATCH_SIZE, values: int = VALUES_AT_ONCE) -> int:
    """Return how many images of a shape (channels, height, width) are looked at together, at most `most`.

    It is a rule, with no measurement in it: the last digits of scores depend on batches, and are to be the same in each
    run and in each use of a detector. A power of two, so that smaller batches divide larger ones.

    Args:
        shape: of an image.
        most: a power of two as well.
        values: how many values all of them may have.

    >>> batch_size((3, 32, 32)), batch_size((3, 224, 224)), batch_size((3, 224, 224), values=CPU_VALUES_AT_ONCE)
    (1024, 64, 4)
    """
    fitting = max(1, values // math.prod(shape))
    return min(most, 1 << fitting.bit_length() - 1)


def pass_size(shape: tuple[int, ...], device: torch.device) -> int:
    """Return how many images of a shape go through a network together."""
    if device.type == "cpu":
        return batch_size(shape, CPU_BATCH_SIZE, CPU_VALUES_AT_ONCE)
    return batch_size(shape)


def in_passes(shape: tuple[int, ...], n: int, device: torch.device, compute: Callable[[slice], T]) -> Iterator[T]:
    """Yield what a network gives for consecutive parts of n images, which suit the device.

    Args:
        shape: of an image.
        n: number of images.
        device: where the network runs; parts are halved where its memory does not suffice.
        compute: runs the network on a part.
    """
    start, size = 0, pass_size(shape, device)
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


Outputs: TypeAlias = Mapping[str, NDArray[Any]]
"""What one network says of one set of images: arrays by name, a row an image, shape (n, …), computed once.

A classifier gives "features" and "logits"; other networks give what they have: "code", "error", "log_likelihood".
Readings of inner layers (`oodbench.readings`) are asked for by their names as well. Asking may run the network.
"""


@dataclass(frozen=True, eq=False, kw_only=True)
class Batch:
    """Some images of a set. Nothing is computed or moved to the device before it is asked for.

    Attributes:
        source: the set.
        outputs: of the network for the whole set; asking for the first one may run the network.
        rows: which images of the set these are, integers of shape (n,).
        device: where tensors are given out.
        others: those of further networks, for methods with several.
    """

    source: ImageSet
    outputs: Outputs
    rows: NDArray[np.intp]
    device: torch.device
    others: tuple[Outputs, ...] = ()

    @classmethod
    def of(
        cls,
        source: ImageSet,
        outputs: Outputs,
        device: torch.device,
        others: tuple[Outputs, ...] = (),
    ) -> Batch:
        """Return all images of a set."""
        return cls(source=source, outputs=outputs, rows=np.arange(len(source)), device=device, others=others)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def images(self) -> Tensor:
        """Float32 in [0, 1], shape (n, channels, height, width). Asking for them costs a transfer."""
        return to_unit_interval(self._tensor(self.source.images))

    def output(self, name: str) -> Tensor:
        """Return what the network says under a name, a row an image, shape (n, …).

        Raises:
            ScoreError: it says nothing under that name.
        """
        try:
            whole = self.outputs[name]
        except KeyError as error:
            raise ScoreError(f"the network has no output {name!r}; it has: {', '.join(self.outputs)}") from error
        return self._tensor(whole)

    @property
    def logits(self) -> Tensor:
        """The output "logits": logits or embeddings, float32, shape (n, n_outputs)."""
        return self.output("logits")

    @property
    def features(self) -> Tensor:
        """The output "features": the input of the network's last linear layer, float32, shape (n, n_features)."""
        return self.output("features")

    @property
    def labels(self) -> Tensor | None:
        """Class indices, int64 of shape (n,), or None."""
        return None if self.source.labels is None else self._tensor(self.source.labels)

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        # Rows that are asked for by index are a copy already.
        return torch.from_numpy(np.asarray(array[self.rows])).to(self.device)

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
