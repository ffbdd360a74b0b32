"""One forward pass: everything that a network says of a batch of images, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .batch import in_passes, to_unit_interval
from .errors import ScoreError
from .folding import folded

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from .readings import Reading


Watched = Mapping["Reading", Sequence[str]]
"""Readings with the names of the layers that each of them watches."""


def watched_by(readings: Sequence[Reading], module: Any, shape: tuple[int, int, int]) -> Watched:
    """Return which layers of a network each reading watches, for images of a shape (channels, height, width)."""
    return {reading: reading.layers(module, shape) for reading in readings}


def says(module: Any, images: Tensor, watched: Watched | None = None) -> dict[str, Tensor]:
    """Return what a network says of images, by name, each a row an image.

    Args:
        module: fits `oodbench.api.Network`, or has `outputs(images)`; in evaluation mode.
        images: float32 in [0, 1], shape (n, channels, height, width).
        watched: what is wanted of inner layers besides, as `watched_by` gives it.

    Raises:
        ScoreError: something has not a row for each image.
    """
    watched = watched or {}
    with _watching(module, {layer for layers in watched.values() for layer in layers}) as seen:
        if hasattr(module, "outputs"):
            found = dict(module.outputs(images))
        else:
            features = module.features(images)
            found = {"features": features, "logits": module.head(features)}
    for reading, layers in watched.items():
        found[reading.name] = reading.of({layer: seen[layer] for layer in layers})
    for name, values in found.items():
        if len(values) != len(images):
            raise ScoreError(f"the network's output {name!r} has {len(values)} rows for {len(images)} images")
    return found


@contextmanager
def _watching(module: nn.Module, layers: set[str]) -> Iterator[dict[str, Tensor]]:
    """Give the outputs of layers, by name, of every pass within the block."""
    seen: dict[str, Tensor] = {}

    def see(name: str, _module: nn.Module, _given: Any, output: Tensor) -> None:
        # A copy: a later module may work in place on the same memory.
        seen[name] = output.clone()

    hooks = [module.get_submodule(name).register_forward_hook(partial(see, name)) for name in layers]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def passes(
    module: Any, images: NDArray[np.uint8], device: torch.device, readings: Sequence[Reading] = ()
) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield what a network says of images, by name, for consecutive parts that suit the device.

    Args:
        module: in evaluation mode, on the device.
        images: uint8, shape (n, channels, height, width).
        device: to compute on.
        readings: what is wanted of inner layers besides.
    """
    return Forward(module, images.shape[1:], device, readings).passes(images)


class Forward:
    """A network made ready for passes over images of a shape.

    Batch normalisation is folded into convolutions where that gives the same to 1e-5, and nobody watches what a
    convolution gives; images go in with their channels last, as weights are.

    Args:
        module: in evaluation mode, on the device; it stays as it is.
        shape: of the images: channels, height, width.
        device: to compute on.
        readings: what is wanted of inner layers besides.
    """

    def __init__(
        self, module: Any, shape: tuple[int, int, int], device: torch.device, readings: Sequence[Reading] = ()
    ) -> None:
        self._watched = watched_by(readings, module, shape)
        layers = frozenset(layer for layers in self._watched.values() for layer in layers)
        self._module = folded(module, shape, device, says, layers)
        self._shape, self._device = shape, device

    def passes(self, images: NDArray[np.uint8]) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield what the network says of images, uint8 of shape (n, channels, height, width), as `passes` does."""

        def one_pass(part: slice) -> dict[str, NDArray[Any]]:
            pixels = to_unit_interval(torch.tensor(images[part], device=self._device))
            pixels = pixels.contiguous(memory_format=torch.channels_last)
            return {name: _as_array(values) for name, values in says(self._module, pixels, self._watched).items()}

        return in_passes(self._shape, len(images), self._device, one_pass)

    @torch.inference_mode()
    def in_memory(self, images: NDArray[np.uint8]) -> Mapping[str, NDArray[Any]]:
        """Return what the network says of images that fit the memory, by name, each of shape (n, …)."""
        parts = list(self.passes(images))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _as_array(values: Tensor) -> NDArray[Any]:
    if values.is_floating_point() and values.dtype != torch.float64:
        values = values.float()
    array: NDArray[Any] = values.cpu().numpy()
    return array


@torch.inference_mode()
def outputs_in_memory(
    module: Any, images: NDArray[np.uint8], device: torch.device, readings: Sequence[Reading] = ()
) -> Mapping[str, NDArray[Any]]:
    """Return the outputs of a network on images that fit the memory, by name, each of shape (n, …)."""
    return Forward(module, images.shape[1:], device, readings).in_memory(images)
