"""What methods read of inner layers in the one pass of all methods, made small: a few numbers a channel and image."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from oodbench.api import Network

if TYPE_CHECKING:
    from torch import Tensor

_CACHED = 2**17
"""Numbers of a map that are raised at once, so that all powers stay in a processor's cache."""


@dataclass(frozen=True, kw_only=True)
class GramSums:
    """Row sums of the Gram matrices of the powers of feature maps.

    For a map F with a row a channel and a column a position, and a power p, these are the sums over the rows of
    F^p (F^p)ᵀ, each brought back by the p-th root, with its sign.

    Attributes:
        of_layers: names of modules, or "all" for the stem and the last module at each spatial resolution.
        powers: p, whole numbers from 1 up.
    """

    of_layers: Literal["all"] | tuple[str, ...]
    powers: tuple[int, ...]

    @property
    def name(self) -> str:
        """Which array this is."""
        # Short: it names a file, and there may be many layers.
        settings = f"{self.of_layers} {self.powers}".encode()
        return f"gram_{hashlib.sha256(settings).hexdigest()[:16]}"

    def layers(self, network: Network, shape: tuple[int, int, int]) -> Sequence[str]:
        """Return the names of the layers that are looked at."""
        return layers_named(network, shape, self.of_layers)

    def of(self, maps: Mapping[str, Tensor]) -> Tensor:
        """Return the sums, float32 of shape (n, powers · all channels): by name of layer, then power, then channel."""
        import torch

        return torch.cat([gram_sums(maps[name], self.powers, name) for name in sorted(maps)], dim=1)

    def widths(self, network: Network, shape: tuple[int, int, int]) -> list[int]:
        """Return how many numbers each layer gives, in the order in which they come."""
        maps = maps_of(network, _images(network, shape), self.layers(network, shape))
        return [gram_sums(maps[name], self.powers, name).shape[1] for name in sorted(maps)]


@dataclass(frozen=True, kw_only=True)
class Extremes:
    """The largest value, and minus the smallest, that each activation function of a network is given."""

    @property
    def name(self) -> str:
        """Which array this is."""
        return "extremes"

    def layers(self, network: Network, shape: tuple[int, int, int]) -> Sequence[str]:
        """Return the names of the layers that are looked at: those in front of an activation function."""
        from ._layers import in_front_of_activations

        return in_front_of_activations(network, _images(network, shape))

    def of(self, maps: Mapping[str, Tensor]) -> Tensor:
        """Return the extremes, float32 of shape (n, 2 · layers)."""
        import torch

        return torch.cat([extremes(map_) for _, map_ in sorted(maps.items())], dim=1)


def gram_sums(output: Tensor, powers: Sequence[int], name: str) -> Tensor:
    """Return the row sums of the Gram matrices of a layer's powers, float32 of shape (n, powers · channels).

    Args:
        output: what a layer gives for n images.
        powers: p, whole numbers from 1 up.
        name: of the layer, for messages.

    Raises:
        ConfigError: it is not known what the axes of the output mean.
    """
    import torch

    from ._layers import by_position, known_layout

    matrices = by_position(output, known_layout(name, output))
    at_once = max(1, _CACHED // math.prod(matrices.shape[1:]))
    return torch.cat([_sums_of(part, powers) for part in torch.split(matrices, at_once)])


def _sums_of(matrices: Tensor, powers: Sequence[int]) -> Tensor:
    import torch

    # Sums are of degree 2 in F: with the largest value at 1, no power overflows.
    size = matrices.abs().amax(dim=(1, 2), keepdim=True)
    size = torch.where(size > 0, size, 1.0)
    scaled = matrices / size
    raised, reached, sums = scaled.clone(), 1, []
    for power in sorted(powers):
        # Whole powers by hand: `**` takes logarithms, at ten times the cost.
        for _ in range(power - reached):
            raised *= scaled
        reached = power
        # The row sums of F Fᵀ are F (Fᵀ 1): the matrix itself is not needed.
        rows = torch.bmm(raised, raised.sum(dim=1).unsqueeze(2)).squeeze(2)
        sums.append(rows.sign() * rows.abs() ** (1 / power) * size[:, :, 0] ** 2)
    return torch.cat(sums, dim=1)


def extremes(output: Tensor) -> Tensor:
    """Return the largest value of each image, and minus the smallest, shape (n, 2)."""
    import torch

    values = output.flatten(1)
    return torch.stack([values.amax(dim=1), -values.amin(dim=1)], dim=1)


def layers_named(
    network: Network, shape: tuple[int, int, int], layers: Literal["all"] | tuple[str, ...]
) -> tuple[str, ...]:
    """Return the names of maps: those that are given, or for "all" the stem and the last at each resolution.

    Raises:
        ConfigError: a name is none of a module that runs once in `network.features` and gives a tensor.
    """
    from ._layers import PENULTIMATE, check_layers, last_of_each_resolution

    images = _images(network, shape)
    if layers == "all":
        return tuple(name for name in last_of_each_resolution(network, images) if name != PENULTIMATE)
    names = tuple(layers)
    check_layers(network, images, names, penultimate=False)
    return names


def _images(network: Network, shape: tuple[int, int, int]) -> Tensor:
    """Return images of noise for a network to be tried on, which are always the same."""
    import torch
    from torch import nn

    weights = next(cast("nn.Module", network).parameters(), None)
    grid = torch.arange(4 * math.prod(shape), dtype=torch.float32)
    images = (grid.sin() * 1e4).frac().abs().reshape(4, *shape)
    return images if weights is None else images.to(weights.device)


def maps_of(network: Network, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """Return the outputs of layers for images."""
    import torch
    from torch import nn

    from ._hooks import hooked

    maps: dict[str, Tensor] = {}

    def see(name: str, output: Tensor) -> None:
        # A copy: a later module may work in place on the same memory.
        maps[name] = output.clone()

    with torch.no_grad(), hooked(cast("nn.Module", network), layers, see):
        network.features(images)
    return maps
