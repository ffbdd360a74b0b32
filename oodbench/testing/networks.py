"""The contract of a network: a class or function that makes one is checked on 32×32 images, grey and in colour."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from functools import lru_cache
from typing import Any

import torch

from oodbench.api import NetworkBuilder

from .contract import Check, require

_SHAPES = ((1, 32, 32), (3, 32, 32))
_N_OUTPUTS = 5


def _made(builder: NetworkBuilder) -> Iterator[tuple[Any, torch.Tensor]]:
    """Yield networks in evaluation mode, each with four images that fit it; all checks share them."""
    for shape in _SHAPES:
        network, images = _first(builder, shape) if isinstance(builder, Hashable) else _new(builder, shape)
        yield network.eval(), images


@lru_cache(maxsize=len(_SHAPES))
def _first(builder: NetworkBuilder, shape: tuple[int, int, int]) -> tuple[Any, torch.Tensor]:
    """Return a network and images; those of the last builder are kept, as large ones take a second to draw."""
    return _new(builder, shape)


def _new(builder: NetworkBuilder, shape: tuple[int, int, int]) -> tuple[Any, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = builder(shape, _N_OUTPUTS)
        images = torch.rand((4, *shape))
    require(isinstance(network, torch.nn.Module), f"it must make a torch.nn.Module, got {type(network).__name__}")
    return network, images


@torch.no_grad()
def check_it_is_a_head_on_features(builder: NetworkBuilder) -> None:
    """The network has `features` and `head`, and calling it is calling one after the other."""
    for network, images in _made(builder):
        for name in ("features", "head"):
            require(callable(getattr(network, name, None)), f"give the network {name!r}, see oodbench.api.Network")
        features = network.features(images)
        given = f"features must have shape (n, n_features), got {tuple(features.shape)}"
        require(features.ndim == 2 and len(features) == 4, given)
        outputs = network.head(features)
        require(tuple(outputs.shape) == (4, _N_OUTPUTS), f"head must give (n, n_outputs), got {tuple(outputs.shape)}")
        require(torch.allclose(network(images), outputs), "calling the network must be head(features(images))")


@torch.no_grad()
def check_outputs_do_not_depend_on_the_batch(builder: NetworkBuilder) -> None:
    """In evaluation mode, an image has the same output alone and in a batch, and each time."""
    for network, images in _made(builder):
        whole = network(images)
        alone = torch.cat([network(image[None]) for image in images])
        message = "in evaluation mode, outputs must not depend on chance or on the other images of the batch"
        require(torch.allclose(whole, alone, rtol=1e-4, atol=1e-5), message)


@torch.no_grad()
def check_weights_can_be_stored(builder: NetworkBuilder) -> None:
    """A second network with the weights of the first one gives the same outputs."""
    for shape, (network, images) in zip(_SHAPES, _made(builder), strict=True):
        other = _new(builder, shape)[0].eval()
        for parameter in other.parameters():
            parameter.zero_()
        other.load_state_dict(network.state_dict())
        require(torch.equal(network(images), other(images)), "all state must be in parameters and buffers")


NETWORK_CHECKS: tuple[Check, ...] = (
    check_it_is_a_head_on_features,
    check_outputs_do_not_depend_on_the_batch,
    check_weights_can_be_stored,
)
