"""The images of a training, from which batches are taken by index on the device."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

RESIDENT_SHARE = 0.4
"""How much of a GPU's free memory the images of a training may take; the network needs the rest."""


class Rows(Protocol):
    """Images in rows that are asked for by index: an array in memory, a mapped one, or one that decodes when asked."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, channels, height, width)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any) -> NDArray[np.uint8]: ...


class Pixels:
    """Uint8 images that a training takes batches of.

    On a GPU they lie in its memory where they fit, and a batch then costs no transfer; elsewhere they stay where they
    are.

    Args:
        images: uint8, shape (n, channels, height, width).
        device: of the training.
    """

    def __init__(self, images: Rows, device: torch.device) -> None:
        self._images, self._device = images, device
        self._resident = torch.tensor(images[:], device=device) if _fits(images.shape, device) else None

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
        return torch.tensor(self._images[index.cpu().numpy()], device=self._device)


def _fits(shape: tuple[int, ...], device: torch.device) -> bool:
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return int(np.prod(shape)) <= RESIDENT_SHARE * free
