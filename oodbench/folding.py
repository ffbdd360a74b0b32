"""Batch normalisation folded into the convolutions before it, for passes that only evaluate a network."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

Says = Callable[[Any, Tensor], Mapping[str, Tensor]]
"""Returns what a network says of images, by name."""

EXACT = 1e-5
"""How far outputs may be from those of the network as it is, as a share of the largest of them, or of 1."""


@torch.inference_mode()
def folded(
    module: Any, shape: tuple[int, int, int], device: torch.device, says: Says, watched: AbstractSet[str] = frozenset()
) -> Any:
    """Return a network that says the same to 1e-5 with fewer layers, or the network itself where there is none.

    Which convolutions give what a batch normalisation takes is seen in a pass of images of noise, so that the code of
    the network may be of any kind; a second one compares what the two say.

    Args:
        module: in evaluation mode, on the device; it stays as it is.
        shape: of the images: channels, height, width.
        device: of the network.
        says: evaluates a network.
        watched: names of layers whose outputs are wanted: these stay.
    """
    if not any(type(layer) is nn.BatchNorm2d for layer in _layers(module).values()):
        return module
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(1, *shape, generator=generator).to(device)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        return _folded(module, images, says, watched)


def _folded(module: nn.Module, images: Tensor, says: Says, watched: AbstractSet[str]) -> nn.Module:
    try:
        with _following(module) as pairs:
            before = says(module, images)
        kept = {conv: norm for conv, norm in pairs.items() if conv not in watched}
        if not kept:
            return module
        other = _without_norms(module, kept)
        after = says(other, images)
    # Models are anybody's: what cannot be copied or changed is run as it is, and what fails then is told there.
    except Exception:  # noqa: BLE001
        return module
    return other if before.keys() == after.keys() and all(map(_same, before.values(), after.values())) else module


def _same(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or not one.is_floating_point():
        return torch.equal(one, other)
    return bool(((one - other).abs() <= EXACT * max(1.0, float(one.abs().max()))).all())


def _layers(module: Any) -> dict[str, nn.Module]:
    return dict(module.named_modules()) if isinstance(module, nn.Module) else {}


@contextmanager
def _following(module: nn.Module) -> Iterator[dict[str, str]]:
    """Give, after a pass within the block, the names of convolutions with the batch normalisation that follows each."""
    pairs: dict[str, str] = {}
    given: dict[int, tuple[str, Tensor]] = {}
    runs: dict[str, int] = {}

    def of_convolution(name: str, _layer: nn.Module, _inputs: Any, output: Any) -> None:
        runs[name] = runs.get(name, 0) + 1
        # It is kept, so that no later one has its number.
        given[id(output)] = name, output

    def of_norm(name: str, _layer: nn.Module, inputs: tuple[Any, ...], _output: Any) -> None:
        runs[name] = runs.get(name, 0) + 1
        if inputs and id(inputs[0]) in given:
            pairs[given[id(inputs[0])][0]] = name

    hooks = []
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv2d) and type(layer).__name__ != "LazyConv2d":
            hooks.append(layer.register_forward_hook(partial(of_convolution, name)))
        elif type(layer) is nn.BatchNorm2d and layer.running_mean is not None:
            hooks.append(layer.register_forward_hook(partial(of_norm, name)))
    try:
        yield pairs
    finally:
        for hook in hooks:
            hook.remove()
        # One that is used twice may be followed by something else the other time.
        for conv, norm in list(pairs.items()):
            if runs[conv] > 1 or runs[norm] > 1:
                del pairs[conv]


def _without_norms(module: nn.Module, pairs: Mapping[str, str]) -> nn.Module:
    """Return a copy in which convolutions have taken over what batch normalisations do."""
    other = copy.deepcopy(module)
    for conv_name, norm_name in pairs.items():
        conv, norm = other.get_submodule(conv_name), other.get_submodule(norm_name)
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        conv.weight, conv.bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
        parent, _, child = norm_name.rpartition(".")
        setattr(other.get_submodule(parent), child, nn.Identity())
    other.to(memory_format=torch.channels_last)
    return other.requires_grad_(requires_grad=False).eval()
