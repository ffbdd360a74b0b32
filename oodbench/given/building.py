"""A user's own model from the code that builds it and a file of weights."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import torch
from torch import nn

from oodbench.errors import ConfigError

from .model import _first_line, _kind


def load_model(text: str, weights: Path | None) -> nn.Module:
    """Return a model from the code that builds it and a file of weights.

    Args:
        text: `module:function`, or `path/to/file.py:function`; arguments may follow, as in
            "torchvision.models:resnet18(num_classes=10)".
        weights: a file that `torch.save` wrote of a `state_dict`, or of a mapping that has one under `state_dict` or
            `model`; None where the function loads them itself.

    Raises:
        ConfigError: there is no such code, it gives no model, or the weights do not fit it.
    """
    match = re.fullmatch(r"\s*(.+?):([\w.]+)\s*(?:\((.*)\))?\s*", text)
    if match is None:
        raise ConfigError(f"--model must be MODULE:FUNCTION or FILE.py:FUNCTION, such as my_module:build, got {text!r}")
    place, function, arguments = match[1], match[2], _arguments(match[3] or "", text)
    try:
        build: Any = _module(place)
        for part in function.split("."):
            build = getattr(build, part)
        model = build(**arguments)
    except ConfigError:
        raise
    # What a user's own code does wrong is told in its own words.
    except Exception as error:
        raise ConfigError(f"--model {text} cannot be built: {type(error).__name__}: {_first_line(error)}") from error
    if not isinstance(model, nn.Module):
        raise ConfigError(f"--model {text} gives {_kind(model)}, not a torch.nn.Module")
    if weights is not None:
        _load_weights(model, weights)
    return model


def _arguments(text: str, whole: str) -> dict[str, Any]:
    import ast

    try:
        call = ast.parse(f"f({text})", mode="eval").body
        arguments = {str(entry.arg): ast.literal_eval(entry.value) for entry in call.keywords}  # type: ignore[attr-defined]
        positional = bool(call.args)  # type: ignore[attr-defined]
    except (SyntaxError, ValueError, AttributeError):
        arguments, positional = {}, True
    if positional:
        raise ConfigError(f"--model {whole}: arguments must be NAME=VALUE, such as num_classes=10")
    return arguments


_run: list[Path] = []


def files_run() -> tuple[Path, ...]:
    """Return the files that models were built from in this process: others must run them to unpickle these models."""
    return tuple(_run)


def _module(place: str) -> Any:
    if not place.endswith(".py"):
        importable_here()
        return importlib.import_module(place)
    path = Path(place).expanduser().absolute()
    if not path.is_file():
        raise ConfigError(f"--model: there is no file {Path(place).expanduser()}")
    return run_file(path)


def run_file(path: Path) -> Any:
    """Return the module that a Python file makes."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Under its name, so that its classes can be pickled, unless an installed module has that name.
    installed = PathFinder.find_spec(path.stem)
    if path.stem not in sys.builtin_module_names and (installed is None or installed.origin == spec.origin):
        sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    if path not in _run:
        _run.append(path)
    return module


def importable_here() -> None:
    """Let modules in the working folder be imported, after all others."""
    if "" not in sys.path:
        sys.path.append("")


def _load_weights(model: nn.Module, file: Path) -> None:
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ConfigError(f"--weights: there is no file {file}") from None
    except Exception as error:
        raise ConfigError(
            f"--weights {file} cannot be read ({_first_line(error)}); save the weights alone: "
            "torch.save(model.state_dict(), FILE)"
        ) from error
    if not isinstance(content, Mapping):
        raise ConfigError(f"--weights {file} holds {_kind(content)}, not a state_dict")
    state = next((content[name] for name in ("state_dict", "model") if isinstance(content.get(name), Mapping)), content)
    # As DataParallel names them.
    state = {name.removeprefix("module."): value for name, value in state.items()}
    wanted, given = set(model.state_dict()), set(state)
    for what, names in (("lack", wanted - given), ("have", given - wanted)):
        if names:
            some = ", ".join(sorted(names)[:3])
            raise ConfigError(f"--weights {file} are not those of {type(model).__name__}: they {what} {some}")
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        detail = str(error).splitlines()[-1].strip()
        raise ConfigError(f"--weights {file} are not those of {type(model).__name__}: {detail}") from error
