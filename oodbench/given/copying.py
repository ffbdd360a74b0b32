"""A copy of a model that can be changed and kept, whatever the model holds besides weights."""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from oodbench.errors import ConfigError, first_line

_WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)


def as_module(model: object) -> object:
    """Return the module of an exported program; anything else as it is."""
    return model.module() if isinstance(model, torch.export.ExportedProgram) else model


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the module that `torch.compile` or a data-parallel wrapper was put around."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if isinstance(inner, nn.Module):
            model = inner
        elif isinstance(model, _WRAPPERS):
            model = model.module
        else:
            return model


def copied(model: nn.Module, name: str) -> nn.Module:
    """Return a copy of a model without wrappers, in float32 on the processor; the model itself stays as it is.

    What cannot be copied, such as a lock or an open file, both share; weights that are computed from others, as by
    weight normalisation, are computed once.

    Args:
        model: with weights.
        name: for messages.

    Raises:
        ConfigError: it has weights that hold no numbers, or cannot be copied.
    """
    model = unwrapped(model)
    _check_weights(model, name)
    memo: dict[int, Any] = {id(tensor): tensor.detach().clone() for tensor in _computed(model)}
    # Copied by PyTorch, the weights of a traced module would count as computed ones.
    memo |= {id(module): _script_copied(module) for module in model.modules() if _is_script(module)}
    try:
        try:
            whole = copy.deepcopy(model, dict(memo))
        # Whatever an attribute raises.
        except Exception:  # noqa: BLE001
            memo |= {id(value): value for value in _not_copied(model, memo)}
            whole = copy.deepcopy(model, memo)
        whole = whole.to("cpu", torch.float32)
    except Exception as error:
        raise ConfigError(
            f"the model {name} cannot be copied ({type(error).__name__}: {first_line(error)}); take out what it holds "
            "besides layers and weights"
        ) from error
    return _plain(whole)


def _is_script(module: nn.Module) -> bool:
    return isinstance(module, torch.jit.ScriptModule)


def _script_copied(module: Any) -> nn.Module:
    return script_of(module.save_to_buffer())


def script_of(content: bytes) -> nn.Module:
    """Return a TorchScript module from the bytes of its file, on the processor."""
    module: nn.Module = torch.jit.load(io.BytesIO(content), map_location="cpu")  # type: ignore[no-untyped-call]
    return module


def _check_weights(model: nn.Module, name: str) -> None:
    for key, tensor in (*model.named_parameters(), *model.named_buffers()):
        if is_lazy(tensor):
            raise ConfigError(
                f"the weights of {name} are not there yet ({key} of a lazy layer); run the model on an image, or load "
                "its weights, first"
            )
        if tensor.is_meta:
            raise ConfigError(
                f"the weights of {name} hold no numbers ({key} is on the device 'meta'); build the model on the "
                "processor, and load its weights, first"
            )


def _held(value: Any, depth: int = 3) -> Iterator[Any]:
    """Yield what an attribute holds, itself first."""
    yield value
    if depth and isinstance(value, Mapping | list | tuple):
        for entry in value.values() if isinstance(value, Mapping) else value:
            yield from _held(entry, depth - 1)


def _computed(model: nn.Module) -> Iterator[Tensor]:
    """Yield tensors that came out of a computation with gradients: these PyTorch does not copy."""
    for module in model.modules():
        for attribute in vars(module).values():
            for value in _held(attribute):
                if isinstance(value, Tensor) and not value.is_leaf:
                    yield value


_LAYERS = ("_parameters", "_buffers", "_modules")


def _not_copied(model: nn.Module, memo: Mapping[int, Any]) -> Iterator[Any]:
    """Yield what cannot be copied among the attributes of all modules."""
    for module in model.modules():
        for key, attribute in vars(module).items():
            if key in _LAYERS:
                continue
            # The model may be found behind an attribute as well; it is not to be copied for each of them.
            known = {**memo, **{id(each): each for each in model.modules()}}
            entries = attribute.values() if isinstance(attribute, Mapping) else [attribute]
            for value in entries:
                try:
                    copy.deepcopy(value, dict(known))
                except Exception:  # noqa: BLE001
                    yield value


def _plain(model: nn.Module) -> nn.Module:
    """Return a model without wrappers and parametrizations inside."""
    for module in model.modules():
        for key, child in [] if _is_script(module) else list(module.named_children()):
            inner = unwrapped(child)
            if inner is not child:
                setattr(module, key, inner)
    try:
        model.eval()
    # Exported programs know no modes.
    except NotImplementedError:
        return model
    for module in list(model.modules()):
        if parametrize.is_parametrized(module):
            _compute_once(module)
    return model


def _compute_once(module: nn.Module) -> None:
    """Keep the weights of a module as parametrizations give them now; PyTorch's own way changes its class for all."""
    names = list(module.parametrizations)  # type: ignore[arg-type]
    with torch.no_grad():
        values = {key: getattr(module, key).detach().clone() for key in names}
    module.__class__ = type(module).__bases__[0]
    del module.parametrizations
    # They would look for what is gone, and cannot be pickled.
    module._load_state_dict_pre_hooks.clear()  # noqa: SLF001
    for key, value in values.items():
        module.register_parameter(key, nn.Parameter(value))
