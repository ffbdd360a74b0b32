"""The nearest training images, exactly and a part at a time, so that no more is held than their features."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from oodbench.batch import Batch
from oodbench.errors import ConfigError

from ._moments import parts_of

Search: TypeAlias = Literal["torch", "faiss"]
"""What finds neighbours: PyTorch's matrix products, on the device of the run, or faiss, on the processor."""

VALUES_AT_ONCE = 2**25
"""How many features or distances are held at once, 128 MiB in float32."""
SKETCH = 128
"""How many random directions a coreset is chosen in, where there are more features."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Bank:
    """Features of training images, which are looked at on the unit sphere.

    Attributes:
        features: as the network gave them, float32, shape (n, n_features).
        search: what finds neighbours.
    """

    features: Tensor
    search: Search = "torch"

    @classmethod
    def of(cls, batch: Batch, search: Search = "torch") -> Bank:
        """Return the features of a batch.

        Raises:
            ConfigError: faiss is asked for, and is not installed.
        """
        if search == "faiss":
            _faiss()
        return cls(features=features_of(batch), search=search)

    def __len__(self) -> int:
        return len(self.features)

    def nearest(self, directions: Tensor, k: int) -> Tensor:
        """Return the indices of the k nearest training images, the nearest first, int64 of shape (n, k).

        Args:
            directions: on the unit sphere, or 0, shape (n, n_features), in the precision that is searched in; faiss
                has float32 only.
            k: at most as many as there are training images.
        """
        find = _by_faiss if self.search == "faiss" and directions.dtype == torch.float32 else _by_products
        size = self._at_once(k)
        pieces = torch.split(directions, max(1, VALUES_AT_ONCE // size))
        found = [_Nearest.none(piece) for piece in pieces]
        # Each part of the bank is brought to the unit sphere once, for all pieces.
        for start, part in self._parts(size, directions.dtype):
            for piece, nearest in zip(pieces, found, strict=True):
                nearest.take(*find(piece, part, min(k, len(part))), start, k)
        return torch.cat([nearest.in_order() for nearest in found])

    def distances(self, directions: Tensor, neighbours: Tensor) -> Tensor:
        """Return how far training images are from directions, a pair a row, float64 of shape (n,).

        Args:
            directions: on the unit sphere, float64, shape (n, n_features).
            neighbours: indices, shape (n,).
        """
        differences: Tensor = directions - on_unit_sphere(self.features[neighbours])
        return differences.square().sum(dim=1).sqrt()

    def _at_once(self, k: int) -> int:
        """Return how many training images are compared at once: many more than are kept of them."""
        return max(VALUES_AT_ONCE // self.features.shape[1], 8 * k)

    def _parts(self, size: int, dtype: torch.dtype) -> Iterator[tuple[int, Tensor]]:
        for start in range(0, len(self), size):
            yield start, on_unit_sphere(self.features[start : start + size]).to(dtype)


@dataclass
class _Nearest:
    """The nearest of what was looked at so far.

    Attributes:
        values: what grows with the distance, shape (n, up to k).
        indices: of the training images, the same shape.
    """

    values: Tensor
    indices: Tensor

    @classmethod
    def none(cls, directions: Tensor) -> _Nearest:
        empty = directions.new_empty((len(directions), 0))
        return cls(values=empty, indices=empty.long())

    def take(self, values: Tensor, indices: Tensor, start: int, k: int) -> None:
        """Take in the nearest of a part, whose first training image is `start`."""
        self.values = torch.cat([self.values, values], dim=1)
        self.indices = torch.cat([self.indices, indices + start], dim=1)
        if self.values.shape[1] > k:
            self.values, order = self.values.topk(k, dim=1, largest=False)
            self.indices = self.indices.gather(1, order)

    def in_order(self) -> Tensor:
        return self.indices.gather(1, self.values.argsort(dim=1, stable=True))


Find: TypeAlias = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]
"""Return the k smallest of what grows with the distance, shape (n, k), and where they are: of directions, shape
(n, n_features), among rows, shape (m, n_features)."""


def _by_products(directions: Tensor, rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    # ‖z − t‖² = ‖z‖² + (‖t‖² − 2 z·t), and the first term is the same for all t.
    beyond = torch.addmm(rows.square().sum(dim=1), directions, rows.T, alpha=-2)
    found = beyond.topk(k, dim=1, largest=False)
    return found.values, found.indices


def _by_faiss(directions: Tensor, rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    squares, indices = _faiss().knn(directions.cpu().numpy(), rows.cpu().numpy(), k)
    return torch.from_numpy(squares).to(directions.device), torch.from_numpy(indices).to(directions.device)


def _faiss() -> Any:
    try:
        return import_module("faiss")
    except ImportError as error:
        raise ConfigError(
            "search=faiss needs faiss, which is not installed; run: pip install 'oodbench[faiss]'"
        ) from error


def on_unit_sphere(features: Tensor) -> Tensor:
    """Return features divided by their L2 norms, in float64; features that are all 0 stay so."""
    # float64: squared distances are small differences of numbers near 1, and float32 leaves them few digits.
    return normalize(features.double())


def features_of(batch: Batch) -> Tensor:
    """Return the features of a batch, float32, shape (n, n_features), with no second copy of them on the way."""
    found: Tensor | None = None
    done = 0
    for part in parts_of(batch):
        features = part.features
        if found is None:
            found = features.new_empty((len(batch), features.shape[1]))
        found[done : done + len(features)] = features
        done += len(features)
    assert found is not None  # a set holds images
    return found


def coreset(batch: Batch, count: int, seed: int) -> Batch:
    """Return `count` images of a batch, each the one farthest from those before it (greedy k-centre).

    Source: Sener & Savarese, ICLR 2018, Algorithm 1; as in PatchCore (Roth et al., CVPR 2022), distances are those of
    random projections where there are many features, here 128 directions. Time grows with the product of both numbers.

    Args:
        batch: the images; distances are between their features on the unit sphere.
        count: at most as many as there are.
        seed: of the first image and of the directions.
    """
    width = batch.at(slice(1)).features.shape[1]
    generator = torch.Generator().manual_seed(seed)
    directions = None
    if width > SKETCH:
        directions = torch.randn((width, SKETCH), generator=generator, dtype=torch.float64).to(batch.device)
    parts = (on_unit_sphere(part.features) for part in parts_of(batch))
    sketch = torch.cat([(part if directions is None else part @ directions).float() for part in parts])
    norms = sketch.square().sum(dim=1)
    farness = torch.full_like(norms, torch.inf)
    chosen = [int(torch.randint(len(batch), (), generator=generator))]
    while len(chosen) < count:
        last = sketch[chosen[-1]]
        torch.minimum(farness, torch.addmv(norms + norms[chosen[-1]], sketch, last, alpha=-2), out=farness)
        # Never one that is there already: copies of images have no distance.
        farness[chosen[-1]] = -torch.inf
        chosen.append(int(farness.argmax()))
    return batch.at(np.sort(np.array(chosen)))
