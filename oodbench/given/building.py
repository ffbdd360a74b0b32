"""A user's own model from the code that builds it, or from a hub."""

from __future__ import annotations

import importlib
import importlib.util
import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import torch
from torch import nn

from oodbench.errors import ConfigError, first_line

from .copying import as_module
from .hub import HUBS, Hubbed, from_hub
from .weights import load_weights


def load_model(text: str, weights: Path | None) -> nn.Module:
    """Return a model from the code that builds it and a file of weights.

    Args:
        text: as for `build_model`.
        weights: as for `oodbench.given.weights.load_weights`; None where the function loads them itself.

    Raises:
        ConfigError: there is no such code, it gives no model, or the weights do not fit it.
    """
    model = build_model(text, pretrained=weights is None).model
    if weights is not None:
        load_weights(model, weights)
    return model


def build_model(text: str, *, pretrained: bool = True) -> Hubbed:
    """Return a model from the code that builds it, with what a hub says of it.

    Args:
        text: `module:function`, or `path/to/file.py:function`; arguments may follow, as in
            "torchvision.models:resnet18(num_classes=10)". Or a model of a hub, such as "timm:resnet50.a1_in1k",
            "torchvision:resnet50" or "hf:org/name". Or a file that TorchScript (.pt) or torch.export (.pt2) wrote.
        pretrained: whether a hub's own weights are loaded; else they are random, for others to come.

    Raises:
        ConfigError: there is no such code, or it gives no model.
    """
    if Path(text).suffix in _SAVED:
        return Hubbed(model=_saved(Path(text).expanduser()))
    match = re.fullmatch(r"\s*(.+?):([\w./@-]+)\s*(?:\((.*)\))?\s*", text)
    if match is None:
        raise ConfigError(f"--model must be MODULE:FUNCTION or FILE.py:FUNCTION, such as my_module:build, got {text!r}")
    place, function, arguments = match[1], match[2], _arguments(match[3] or "", text)
    try:
        if place in HUBS:
            return from_hub(place, function, arguments, pretrained=pretrained)
        build: Any = _module(place)
        for part in function.split("."):
            build = getattr(build, part)
        model = as_module(build(**arguments))
    except ConfigError:
        raise
    except SystemExit as error:
        raise ConfigError(
            f"--model {text} cannot be built: it ends the program (sys.exit, or parse_args of options that it wants); "
            "let that happen below if __name__ == '__main__' only"
        ) from error
    # What a user's own code does wrong is told in its own words.
    except Exception as error:
        raise ConfigError(f"--model {text} cannot be built: {type(error).__name__}: {first_line(error)}") from error
    if not isinstance(model, nn.Module):
        raise ConfigError(f"--model {text} gives a {type(model).__name__}, not a torch.nn.Module")
    return Hubbed(model=model)


_SAVED = (".pt", ".pth", ".ts", ".pt2")


def _saved(file: Path) -> nn.Module:
    """Return the module of a file that holds its code as well."""
    if not file.is_file():
        raise ConfigError(f"--model: there is no file {file}")
    try:
        if file.suffix == ".pt2":
            return torch.export.load(file).module()
        loaded: nn.Module = torch.jit.load(str(file), map_location="cpu")  # type: ignore[no-untyped-call]
    # Files may hold anything.
    except Exception as error:
        raise ConfigError(
            f"--model {file} is no TorchScript (.pt) or exported program (.pt2); of a file of weights the code is "
            "wanted as well: --model FILE.py:FUNCTION --weights FILE"
        ) from error
    return loaded


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


def _folders_of_files() -> set[str]:
    return {str(path.parent) for path in _run}


def run_file(path: Path) -> Any:
    """Return the module that a Python file makes."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Under its name, so that its classes can be pickled, unless an installed module has that name.
    installed = PathFinder.find_spec(path.stem, [entry for entry in sys.path if entry not in _folders_of_files()])
    if path.stem not in sys.builtin_module_names and (installed is None or installed.origin == spec.origin):
        sys.modules[path.stem] = module
    with _as_script(path):
        spec.loader.exec_module(module)
    if path not in _run:
        _run.append(path)
    return module


@contextmanager
def _as_script(path: Path) -> Iterator[None]:
    """Let a file import what lies beside it, and see no options of ours, as where Python runs it by itself."""
    folder, arguments = str(path.parent), sys.argv
    sys.path.insert(0, folder)
    sys.argv = [str(path)]
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        sys.argv = arguments
        sys.path.remove(folder)
        # What it imports later, and those who unpickle what it made, find them after all others.
        if folder not in sys.path:
            sys.path.append(folder)


def importable_here() -> None:
    """Let modules in the working folder be imported, after all others."""
    if "" not in sys.path:
        sys.path.append("")
