"""Dropout with masks that are drawn from a seed and shared by all images, and dropout before the head in training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from oodbench.api import Network

from ._hooks import hooked

_WHOLE_CHANNELS = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


class DropoutBeforeHead(nn.Module):
    """A network with dropout between its features and its head, and nowhere else, for training.

    Dropout layers of the network itself are off in training as they are in use: otherwise the features would be
    dropped twice while the network learns and once when it is scored.

    Args:
        network: fits `oodbench.api.Network`.
        rate: share of the features that is dropped.
    """

    def __init__(self, network: nn.Module, rate: float) -> None:
        super().__init__()
        self.network, self.dropout = network, nn.Dropout(rate)

    def forward(self, images: Tensor) -> Tensor:
        """Return head(dropout(features(images))), shape (n, n_outputs)."""
        network = cast("Network", self.network)
        # Here, since whoever trains the network may turn all of it to training mode at any time.
        for module in self.network.modules():
            if isinstance(module, _DropoutNd):
                module.training = False
        return network.head(self.dropout(network.features(images)))


def masks(shape: tuple[int, ...], rate: float, seed: int) -> Tensor:
    """Return random masks, float32: 0 with probability `rate`, else 1 / (1 − rate)."""
    return _mask(shape, rate, torch.Generator().manual_seed(seed))


def _mask(shape: tuple[int, ...], rate: float, random: torch.Generator) -> Tensor:
    return (torch.rand(shape, generator=random) >= rate) / (1 - rate)


def dropout_layers(network: Network) -> dict[str, nn.Module]:
    """Return the dropout layers of a network that drop anything, by name."""
    modules = cast("nn.Module", network).named_modules()
    return {name: module for name, module in modules if isinstance(module, (nn.Dropout, *_WHOLE_CHANNELS)) and module.p}


@contextmanager
def with_dropout(network: Network, seed: int) -> Iterator[None]:
    """Turn the dropout layers of a network in evaluation mode on for a block.

    Each pass draws new masks, one for all images; blocks with the same seed draw the same ones, pass by pass.
    """
    layers, random = dropout_layers(network), torch.Generator().manual_seed(seed)

    def see(name: str, output: Tensor) -> Tensor:
        layer = layers[name]
        of_image = output.shape[1:]
        shape = (of_image[0], *[1] * (len(of_image) - 1)) if isinstance(layer, _WHOLE_CHANNELS) else tuple(of_image)
        return output * _mask((1, *shape), cast("float", layer.p), random).to(output.device)

    with hooked(cast("nn.Module", network), layers, see):
        yield
