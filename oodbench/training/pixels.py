"""The images of a training, from which batches are taken by index on the device."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodbench import image_rows
from oodbench.device import free_memory

RESIDENT_SHARE = 0.4
"""How much of a device's free memory the images of a training may take; the network needs the rest."""


class Rows(Protocol):
    """Images in rows that are asked for by index: an array in memory, a mapped one, or one that decodes when asked."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, channels, height, width)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any) -> NDArray[np.uint8]: ...


class Pixels:
    """Uint8 images that a training takes batches of.

    Where they fit the memory of the device, they lie there: on a GPU a batch then costs no transfer, on a processor no
    decoding. Elsewhere they stay where they are, and those of the next batches are made ready meanwhile.

    Args:
        images: uint8, shape (n, channels, height, width).
        device: of the training.
    """

    def __init__(self, images: Rows, device: torch.device) -> None:
        self._device, self._resident = device, None
        resident = fits(images.shape, device)
        if resident and device.type == "cuda":
            self._resident = torch.tensor(images[:], device=device)
        self._images = np.asarray(images[:]) if resident and device.type != "cuda" else images

    def __len__(self) -> int:
        return len(self._images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        _, channels, height, width = self._images.shape
        return int(channels), int(height), int(width)

    def __getitem__(self, index: Tensor) -> Tensor:
        """Return the images at indices on the device, shape (n,), as a tensor there, uint8."""
        if self._resident is not None:
            return self._resident[index]
        images = self._images
        ahead = _rest_of_order(index, images.window) if isinstance(images, image_rows.Rows) else None
        return torch.tensor(image_rows.taken(images, index.cpu().numpy(), ahead), device=self._device)


def _rest_of_order(index: Tensor, most: int) -> NDArray[np.intp] | None:
    """Return the indices that will be asked for next, where these are a piece of an order that was drawn as a whole."""
    # A slice knows the tensor that it was cut from. A hint, no more: without it, images are decoded when they are due.
    order: Tensor | None = getattr(index, "_base", None)
    if order is None or order.ndim != 1 or not index.is_contiguous():
        return None
    end = index.storage_offset() + len(index)
    rest: NDArray[np.intp] = order[end : end + most].cpu().numpy()
    return rest


def fits(shape: tuple[int, ...], device: torch.device) -> bool:
    """Return whether images of a shape (n, channels, height, width) fit the memory of a device in a training."""
    return float(np.prod(shape, dtype=np.float64)) <= RESIDENT_SHARE * free_memory(device)
