"""Plugins where they lie, installed or in a single file: found, imported when they are used, and judged."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib import import_module
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

from oodbench.api import CONTRACT
from oodbench.errors import PluginError
from oodbench.hashing.values import digest, file_digest

from .shapes import Kind, kind_of, unfit

_OURS = __name__.partition(".")[0]


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """Something that is offered under a name; whether it can be used is not known before it is loaded.

    Attributes:
        kind: what it is offered as.
        name: under which it is registered.
        origin: distribution and version, such as "oodbench 0.1.0", or a file with a hash of its content.
        where: module and object, such as "oodbench.methods.msp:MSP", or the file's path.
        built_in: whether it comes with oodbench.
        fetch: imports and returns the thing itself.
    """

    kind: Kind
    name: str
    origin: str
    where: str
    built_in: bool
    fetch: Callable[[], Any]

    def load(self) -> Any:
        """Return the thing itself.

        Raises:
            PluginError: it cannot be imported, was written for another contract, or has the wrong shape.
        """
        try:
            found = self.fetch()
        except PluginError as error:
            raise self.refuse(f"cannot be used: {error}") from error
        # A plugin is foreign code: whatever goes wrong in it is reported as its own fault.
        except (Exception, SystemExit) as error:
            raise self.refuse(f"cannot be imported: {_said(error)}") from error
        if reason := unfit(self.kind, self.name, found):
            raise self.refuse(f"cannot be used: {reason}")
        return found

    def refuse(self, reason: str) -> PluginError:
        """Return the error that says why it cannot be used."""
        return PluginError(f"{self} {reason}")

    def __str__(self) -> str:
        return f"{self.kind[:-1]} {self.name!r} of {self.origin} ({self.where})"


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def of_entry_point(kind: Kind, entry: EntryPoint) -> Plugin:
    """Return what an entry point of an installed distribution offers; nothing is imported."""

    def fetch() -> Any:
        parts = entry.module.split(".")
        for i in range(len(parts)):
            # From the outside in: a package that says which contract it needs is asked before the rest can fail.
            _check_contract(import_module(".".join(parts[: i + 1])))
        return entry.load()

    name, version = _name_and_version(entry.dist) if entry.dist else ("an unknown distribution", "")
    return Plugin(
        kind=kind,
        name=entry.name,
        origin=f"{name} {version}".rstrip(),
        where=entry.value,
        built_in=name == _OURS,
        fetch=fetch,
    )


@lru_cache(maxsize=32)
def _name_and_version(dist: Distribution) -> tuple[str, str]:
    """Return what a distribution calls itself; each look parses its whole description, and it has many entry points."""
    about = dist.metadata
    return about["Name"], about["Version"]


def of_file(path: Path) -> list[Plugin]:
    """Return what a single file offers; the file is run.

    Every public class or object that it defines is taken for what it looks like: one with `fit` for a method, one
    with `locate` and `read` for a data set, and so on (`oodbench.plugins.shapes.kind_of`). Its name is its attribute
    `name`, or that of its class or function in snake case.

    Raises:
        PluginError: the file cannot be read or run, was written for another contract, or offers nothing.
    """
    path = path.expanduser().absolute()
    try:
        origin = f"{path.name} (sha256 {file_digest(path)[:8]})"
    except OSError as error:
        raise PluginError(f"the plugin file {path} cannot be read: {error.strerror or error}") from error
    offered = [
        Plugin(kind=kind, name=name, origin=origin, where=str(path), built_in=False, fetch=partial(_identity, thing))
        for kind, name, thing in _offered(_run(path))
    ]
    if not offered:
        raise PluginError(
            f"the file {path} offers nothing: a class with fit is taken for a method, one with locate and read for a "
            "data set, a Benchmark for a benchmark; names that begin with _ are passed over"
        )
    return offered


def _identity(thing: Any) -> Any:
    return thing


_running: dict[Path, bool] = {}
"""Files that are being run, and whether plugins were looked for meanwhile."""


def _run(path: Path) -> ModuleType:
    if path in _running:
        _running[path] = True
        raise _runs_oodbench(path)
    _running[path] = False
    try:
        return _imported(path)
    finally:
        # Whatever came of it: what was found meanwhile lacks what this file offers.
        if _running.pop(path):
            raise _runs_oodbench(path) from None


def _runs_oodbench(path: Path) -> PluginError:
    return PluginError(f"{path} runs oodbench while it is loaded; put that under if __name__ == '__main__':")


def _imported(path: Path) -> ModuleType:
    # No name that anybody else's module could have; the path tells two files of one name apart.
    name = f"{_OURS}_plugin_{digest(str(path))[:8]}_{re.sub(r'[^0-9A-Za-z]', '_', path.stem)}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"the plugin file {path} is no Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickle look a class's module up by its name.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        sys.modules.pop(name, None)
        _check_contract(module, f"the file {path}")
        raise PluginError(f"the file {path} cannot be imported: {_said(error)}") from error
    _check_contract(module, f"the file {path}")
    return module


def _offered(module: ModuleType) -> Iterator[tuple[Kind, str, Any]]:
    for variable, thing in vars(module).items():
        # What a file imports is somebody else's; of two variables for one thing the first one counts.
        defined_here = getattr(thing, "__module__", None) == module.__name__ or not _has_name(thing)
        kind = kind_of(thing) if defined_here and not variable.startswith("_") else None
        if kind is not None:
            given = getattr(thing, "name", None)
            yield kind, given if isinstance(given, str) else snake_case(getattr(thing, "__name__", variable)), thing


def _has_name(thing: object) -> bool:
    return inspect.isclass(thing) or inspect.isroutine(thing)


def snake_case(name: str) -> str:
    """Return a class name as plugins are named.

    >>> [snake_case(name) for name in ("MyScore", "ODIN", "KNNScore")]
    ['my_score', 'odin', 'knn_score']
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _check_contract(module: ModuleType, whose: str = "it") -> None:
    stated = getattr(module, "OODBENCH_CONTRACT", CONTRACT)
    if stated == CONTRACT:
        return
    newer = isinstance(stated, int) and stated > CONTRACT
    remedy = "upgrade oodbench" if newer else "install a newer version of the plugin, or bring it up to date"
    raise PluginError(
        f"{whose} was written for contract {stated} of plugins ({module.__name__}.OODBENCH_CONTRACT), and this "
        f"oodbench has contract {CONTRACT}; {remedy}"
    )
