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

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from .readings import Reading


def says(module: Any, images: Tensor, readings: Sequence[Reading] = ()) -> dict[str, Tensor]:
    """Return what a network says of images, by name, each a row an image.

    Args:
        module: fits `oodbench.api.Network`, or has `outputs(images)`; in evaluation mode.
        images: float32 in [0, 1], shape (n, channels, height, width).
        readings: what is wanted of inner layers besides.

    Raises:
        ScoreError: something has not a row for each image.
    """
    _, channels, height, width = images.shape
    watched = {reading: reading.layers(module, (channels, height, width)) for reading in readings}
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

    def one_pass(part: slice) -> dict[str, NDArray[Any]]:
        pixels = to_unit_interval(torch.tensor(images[part], device=device))
        return {name: _as_array(values) for name, values in says(module, pixels, readings).items()}

    return in_passes(images.shape[1:], len(images), device, one_pass)


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
    parts = list(passes(module, images, device, readings))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
