"""The layers of a network without its help: their names, and their activations averaged over space."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

from torch import Tensor, nn

from oodbench.api import Network
from oodbench.errors import ConfigError

from ._hooks import hooked

PENULTIMATE = "penultimate"
"""The layer that is the network's features."""


def activations(network: Network, images: Tensor, layers: Sequence[str]) -> list[Tensor]:
    """Return the activations of layers, each float32 of shape (n, channels), with the mean taken over space.

    Source: Lee et al., NeurIPS 2018, Section 2.2 ("feature ensemble").

    Args:
        network: a `torch.nn.Module`; it is left as it was.
        images: float32 in [0, 1], shape (n, channels, height, width).
        layers: names of modules that run in `network.features`, or "penultimate" for what that returns.
    """
    found = {}

    def see(name: str, output: Tensor) -> None:
        # At once: a later module may work in place on the same memory.
        found[name] = output.flatten(2).mean(dim=2) if output.ndim > 2 else output + 0

    with hooked(cast("nn.Module", network), set(layers) - {PENULTIMATE}, see):
        found[PENULTIMATE] = network.features(images)
    return [found[layer] for layer in layers]


def last_of_each_resolution(network: Network, image: Tensor) -> tuple[str, ...]:
    """Return the last module at each spatial resolution in the order that they run, and "penultimate".

    Modules that run more than once in a pass, such as one ReLU for all layers, are passed over.

    Args:
        network: a `torch.nn.Module`; it is left as it was.
        image: one or more, float32 in [0, 1], shape (n, channels, height, width).
    """
    last = {shape[2:]: name for name, shape in _ran(network, image) if len(shape) == 4}
    return (*last.values(), PENULTIMATE)


def check_layers(network: Network, image: Tensor, layers: Sequence[str]) -> None:
    """Make sure that layers can be looked at.

    Raises:
        ConfigError: a name is none of a module that runs once in `network.features` and gives a tensor.
    """
    known = [PENULTIMATE, *(name for name, shape in _ran(network, image) if len(shape) > 1)]
    if unknown := [name for name in layers if name not in known]:
        raise ConfigError(
            f"the network has no layer {unknown[0]!r} to look at; its layers are: {', '.join(known)}; or take all"
        )


def _ran(network: Network, image: Tensor) -> list[tuple[str, tuple[int, ...]]]:
    """Return the names and output shapes of the modules that run exactly once, in the order that they end."""
    ran: list[tuple[str, tuple[int, ...]]] = []

    def see(name: str, output: Any) -> None:
        if isinstance(output, Tensor):
            ran.append((name, tuple(output.shape)))

    module = cast("nn.Module", network)
    # Without the root, which has no name, and whose forward pass is not what runs.
    with hooked(module, [name for name, _ in module.named_modules() if name], see):
        network.features(image[:1])
    times = Counter(name for name, _ in ran)
    return [(name, shape) for name, shape in ran if times[name] == 1]
