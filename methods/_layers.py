"""The layers of a network without its help: their names, and their activations averaged over space."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from oodbench.api import Network
from oodbench.errors import ConfigError

from ._hooks import hooked

PENULTIMATE = "penultimate"
"""The layer that is the network's features."""

Layout = Literal["flat", "tokens", "channels_first", "channels_last"]
"""What the axes of an output mean: (n, channels), (n, tokens, channels), (n, channels, height, width) or
(n, height, width, channels)."""

_NORMS = (
    nn.BatchNorm2d,
    nn.InstanceNorm2d,
    nn.GroupNorm,
    nn.LayerNorm,
)
ACTIVATIONS = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.SELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Hardswish,
    nn.Tanh,
    nn.Sigmoid,
    nn.Softplus,
)


def layout(output: tuple[int, ...], image: tuple[int, ...] | None = None) -> Layout | None:
    """Return what the axes of a layer's output mean, or None where that is not known.

    Of the two meanings of four axes the one is taken whose height and width are to each other as those of the image;
    where both or neither are, channels come first, as is usual in PyTorch.

    Args:
        output: shape of a layer's output.
        image: shape of an image (channels, height, width); None for one as wide as high.

    >>> layout((9, 64, 8, 8)), layout((9, 8, 8, 64)), layout((9, 65, 32)), layout((9, 2, 3, 4, 5))
    ('channels_first', 'channels_last', 'tokens', None)
    """
    if len(output) == 4:
        _, first, second, third = output
        wanted = 0.0 if image is None else math.log(image[-2] / image[-1])
        gaps = [abs(math.log(height / width) - wanted) for height, width in ((second, third), (first, second))]
        # 0.2: valid convolutions and rounded strides bend the sides of an image that is not square.
        return "channels_last" if gaps[1] < 0.2 and gaps[1] < gaps[0] else "channels_first"
    return {2: "flat", 3: "tokens"}.get(len(output))  # type: ignore[return-value]


def by_position(output: Tensor, kind: Layout) -> Tensor:
    """Return a layer's output as one matrix an image, shape (n, channels, positions)."""
    if kind == "flat":
        return output[:, :, None]
    if kind == "channels_first":
        return output.flatten(2)
    return output.flatten(1, -2).transpose(1, 2)


def from_positions(matrices: Tensor, like: Tensor, kind: Layout) -> Tensor:
    """Return matrices, shape (n, channels, positions), in the shape and layout of a layer's output."""
    if kind in ("flat", "channels_first"):
        return matrices.reshape(like.shape)
    return matrices.transpose(1, 2).reshape(like.shape)


def known_layout(name: str, output: Tensor, images: tuple[int, ...] | None = None) -> Layout:
    """Return what the axes of a layer's output mean.

    Args:
        name: of the layer, for the message.
        output: what it gives.
        images: shape of the images that it is given for (n, channels, height, width), where that is known.

    Raises:
        ConfigError: that is not known, or the first axis does not count images.
    """
    kind = layout(tuple(output.shape), images)
    if kind is None or (images is not None and len(output) != images[0]):
        raise ConfigError(
            f"the layer {name!r} gives shape {tuple(output.shape)}, and only (n, channels), (n, tokens, channels), "
            "(n, channels, height, width) and (n, height, width, channels) can be looked at; take another layer"
        )
    return kind


def activations(network: Network, images: Tensor, layers: Sequence[str]) -> list[Tensor]:
    """Return the activations of layers, each float32 of shape (n, channels), with the mean taken over space.

    Source: Lee et al., NeurIPS 2018, Section 2.2 ("feature ensemble").

    Args:
        network: a `torch.nn.Module`; it is left as it was.
        images: float32 in [0, 1], shape (n, channels, height, width).
        layers: names of modules that run in `network.features`, or "penultimate" for what that returns.

    Raises:
        ConfigError: a layer gives what cannot be averaged.
    """
    found = {}

    def see(name: str, output: Tensor) -> None:
        # At once: a later module may work in place on the same memory.
        kind = known_layout(name, output, tuple(images.shape))
        found[name] = output + 0 if kind == "flat" else by_position(output, kind).mean(dim=2)

    with hooked(cast("nn.Module", network), set(layers) - {PENULTIMATE}, see):
        found[PENULTIMATE] = network.features(images)
    return [found[layer] for layer in layers]


def last_of_each_resolution(network: Network, image: Tensor) -> tuple[str, ...]:
    """Return the stem, the last module at each spatial resolution in the order that they run, and "penultimate".

    The stem is the first convolution with the normalisation and activation behind it. Modules that run more than once
    in a pass, such as one ReLU for all layers, are passed over, and of modules whose means over space are the same, as
    those of a map and of its pooling to one position are, the last is taken.

    Args:
        network: a `torch.nn.Module`; it is left as it was.
        image: one or more, float32 in [0, 1], shape (n, channels, height, width).
    """
    names = (*maps_of_each_resolution(network, image), PENULTIMATE)
    with torch.no_grad():
        means = activations(network, image, names)
    kept: list[int] = []
    for i in reversed(range(len(names))):
        if not any(means[i].shape == means[j].shape and torch.allclose(means[i], means[j], 1e-4, 1e-6) for j in kept):
            kept.append(i)
    return tuple(names[i] for i in reversed(kept))


def maps_of_each_resolution(
    network: Network, image: Tensor, *, stem: bool = True, least_positions: int = 1
) -> tuple[str, ...]:
    """Return the stem and the last module at each spatial resolution, in the order that they run.

    Args:
        network: a `torch.nn.Module`; it is left as it was.
        image: one or more, float32 in [0, 1], shape (n, channels, height, width).
        stem: whether the stem is among them.
        least_positions: how many positions a map must have.
    """
    ran = _ran(network, image)
    order = [name for name, _ in ran]
    last = {}
    for name, shape in ran:
        kind = layout(shape, tuple(image.shape))
        # What does not count images, such as shifted windows, has no resolution of theirs.
        if shape[0] == 1 and kind not in (None, "flat"):
            last[{"tokens": shape[1:2], "channels_last": shape[1:3]}.get(cast("str", kind), shape[2:])] = name
    names = {name for resolution, name in last.items() if math.prod(resolution) >= least_positions}
    if stem and (found := _stem(network, image)):
        names.add(found)
    return tuple(sorted(names, key=order.index))


def _stem(network: Network, image: Tensor) -> str | None:
    """Return the first convolution, or what normalises or activates it."""
    leaves = _leaves(network, image)
    first = next((i for i, (_, leaf) in enumerate(leaves) if isinstance(leaf, nn.Conv2d)), len(leaves))
    stem = None
    for i, (name, leaf) in enumerate(leaves[first:]):
        if i > 0 and not isinstance(leaf, (*_NORMS, *ACTIVATIONS)):
            break
        if _runs_once(name, leaves):
            stem = name
    return stem


def in_front_of_activations(network: Network, image: Tensor) -> tuple[str, ...]:
    """Return the modules without parts of their own that run right before an activation function, in their order.

    Where no activation function is a module, these are all convolutions and linear layers.

    Args:
        network: a `torch.nn.Module`; it is left as it was.
        image: one or more, float32 in [0, 1], shape (n, channels, height, width).

    Raises:
        ConfigError: there is none.
    """
    leaves = _leaves(network, image)
    found = [before for before, (_, leaf) in itertools.pairwise(leaves) if isinstance(leaf, ACTIVATIONS)]
    found = found or [each for each in leaves if isinstance(each[1], (nn.Conv2d, nn.Linear))]
    names = [name for name, leaf in found if not isinstance(leaf, ACTIVATIONS) and _runs_once(name, leaves)]
    if not names:
        raise ConfigError(
            "the network has no module in front of an activation function to look at; give one whose layers are modules"
        )
    return tuple(names)


def _leaves(network: Network, image: Tensor) -> list[tuple[str, nn.Module]]:
    """Return the modules without parts of their own, by name, in the order and as often as they run."""
    module = cast("nn.Module", network)
    leaves: list[tuple[str, nn.Module]] = []

    def see(name: str, _output: Any) -> None:
        leaves.append((name, module.get_submodule(name)))

    with hooked(module, [name for name, part in module.named_modules() if name and not list(part.children())], see):
        _pass(network, image)
    return leaves


def _runs_once(name: str, leaves: Sequence[tuple[str, nn.Module]]) -> bool:
    return sum(other == name for other, _ in leaves) == 1


def check_layers(network: Network, image: Tensor, layers: Sequence[str], *, penultimate: bool = True) -> None:
    """Make sure that layers can be looked at.

    Args:
        network: a `torch.nn.Module`; it is left as it was.
        image: one or more, float32 in [0, 1], shape (n, channels, height, width).
        layers: the names.
        penultimate: whether the features may be among them.

    Raises:
        ConfigError: a name is none of a module that runs once in `network.features` and gives a tensor.
    """
    known = [name for name, shape in _ran(network, image) if len(shape) > 1]
    known = [PENULTIMATE, *known] if penultimate else known
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
        _pass(network, image)
    times = Counter(name for name, _ in ran)
    return [(name, shape) for name, shape in ran if times[name] == 1]


def _pass(network: Network, image: Tensor) -> None:
    with torch.no_grad():
        network.features(image[:1])
