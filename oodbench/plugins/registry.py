"""Names to plugins, through entry points and plugin files only: built-ins are found as anybody's are.

Nothing that is wrong with one plugin keeps another from being found: `faults` tells what cannot be used, and why.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from oodbench.benchmark import Benchmark
from oodbench.errors import PluginError, UnknownName, did_you_mean
from oodbench.suite import Suite

from .plugin import Plugin, of_entry_point, of_file
from .shapes import FOLDER, KINDS, Kind, folded

if TYPE_CHECKING:
    from oodbench.api import Dataset, Layout, Method, NetworkBuilder

__all__ = ["FOLDER", "KINDS", "Kind", "Plugin"]

FILES = "OODBENCH_PLUGINS"
"""Environment variable with plugin files, separated as the paths in PATH are."""

_added: list[Path] = []


def add_file(path: Path) -> None:
    """Offer what a single Python file brings, from now on and in this process only."""
    if path not in _added:
        _added.append(path)
        forget()


def added_files() -> tuple[Path, ...]:
    """Return the files that were added in this process."""
    return tuple(_added)


def forget() -> None:
    """Look for plugins anew at the next call: something was installed, removed or added."""
    for found in (_files, _installed, _found, _loaded):
        found.cache_clear()


@cache
def _files() -> dict[Path, list[Plugin] | PluginError]:
    """Return what each plugin file offers, or what is wrong with it."""
    named = [Path(text) for text in os.environ.get(FILES, "").split(os.pathsep) if text]
    return {path: _offered(path) for path in map(_whole, (*named, *_added))}


def _whole(path: Path) -> Path:
    return path.expanduser().absolute()


def _offered(path: Path) -> list[Plugin] | PluginError:
    try:
        return of_file(path)
    except PluginError as error:
        return error


@cache
def _installed() -> dict[Kind, EntryPoints]:
    """Return the entry points of each kind: every look goes through all that is installed, and so there is one."""
    everything = entry_points()
    return {kind: everything.select(group=f"oodbench.{kind}") for kind in KINDS}


@cache
def _found(kind: Kind) -> tuple[dict[str, Plugin], dict[Plugin, PluginError]]:
    """Return the plugins that own their names, by name, and why the others are refused."""
    installed = [of_entry_point(kind, entry) for entry in _installed()[kind]]
    in_files = [plugin for offer in _files().values() if isinstance(offer, list) for plugin in offer]
    rivals: dict[str, dict[tuple[str, str, str], Plugin]] = {}
    for plugin in (*installed, *(plugin for plugin in in_files if plugin.kind == kind)):
        # A distribution that is on the path twice is no rival of itself.
        claim = (plugin.name, plugin.origin, plugin.where)
        rivals.setdefault(folded(plugin.name), {}).setdefault(claim, plugin)
    alone: dict[str, Plugin] = {}
    refused: dict[Plugin, PluginError] = {}
    for claims in rivals.values():
        # A name of oodbench is nobody else's; of two strangers, none is the right one.
        owners = [plugin for plugin in claims.values() if plugin.built_in] or list(claims.values())
        if len(owners) == 1:
            alone[owners[0].name] = owners[0]
        for plugin in claims.values():
            if [plugin] != owners:
                taken_by = " and ".join(f"{owner.origin} ({owner.where})" for owner in owners if owner is not plugin)
                reason = f"cannot be used: the name is taken by {taken_by}; rename or uninstall one of them"
                refused[plugin] = plugin.refuse(reason)
    return dict(sorted(alone.items())), refused


@cache
def _loaded(plugin: Plugin) -> Any:
    found = plugin.load()
    parts = found.members if isinstance(found, Suite) else (found,) if isinstance(found, Benchmark) else ()
    for benchmark in parts:
        if reason := _lacking(benchmark):
            raise plugin.refuse(f"cannot be used: {reason}")
    return found


def _lacking(benchmark: Benchmark) -> str:
    """Say which plugin a benchmark names that is not there, or return ""."""
    needs: tuple[tuple[Kind, str], ...] = (("networks", benchmark.network), ("layouts", benchmark.layout))
    for kind, wanted in needs:
        known = names(kind)
        if wanted not in known:
            return f"it names the {kind[:-1]} {wanted!r}, which nothing installed brings; there is: {', '.join(known)}"
    return ""


def names(kind: Kind) -> list[str]:
    """Return the names of all plugins of a kind, sorted, importing none of those that are installed."""
    return [name for name in _found(kind)[0] if (kind, name) != ("benchmarks", FOLDER)]


def spelled(kind: Kind, name: str) -> str:
    """Return a name as its plugin is registered, or unchanged where there is none."""
    return next((known for known in _found(kind)[0] if folded(known) == folded(name)), name)


def find(kind: Kind, name: str) -> Plugin:
    """Return a plugin by name, not imported yet; "-" and "_" are one, and so are small and capital letters.

    Raises:
        UnknownName: nobody offers this name.
        PluginError: several do, and none of them is oodbench.
    """
    alone, refused = _found(kind)
    if plugin := alone.get(spelled(kind, name)):
        return plugin
    for plugin, error in refused.items():
        if folded(plugin.name) == folded(name):
            raise error
    raise UnknownName(f"no {kind[:-1]} {name!r}{did_you_mean(name, names(kind))} See: oodbench list {kind}")


def origin(kind: Kind, name: str) -> str:
    """Return the distribution and version that a plugin comes from, such as "oodbench 0.1.0"."""
    return find(kind, name).origin


def load(kind: Kind, name: str) -> Any:
    """Import a plugin and return what is registered under its name.

    Raises:
        UnknownName: nobody offers this name.
        PluginError: it cannot be used; the message says why.
    """
    return _loaded(find(kind, name))


def usable(kind: Kind) -> dict[str, Any]:
    """Return all plugins of a kind that can be used, imported, by name; `faults` tells about the others."""
    found = {}
    for name in names(kind):
        with suppress(PluginError):
            found[name] = _loaded(find(kind, name))
    return found


def faults() -> list[str]:
    """Return a sentence about everything that is offered and cannot be used, importing what others bring.

    What comes with oodbench is imported where that is quick: its networks would import PyTorch.
    """
    reasons = [str(offer) for offer in _files().values() if isinstance(offer, PluginError)]
    for kind in KINDS:
        alone, refused = _found(kind)
        reasons += map(str, refused.values())
        for plugin in alone.values():
            if plugin.built_in and kind == "networks":
                continue
            try:
                _loaded(plugin)
            except PluginError as error:
                reasons.append(str(error))
    return reasons


def in_file(path: Path) -> list[Plugin]:
    """Return what a file brings that was added before.

    Raises:
        PluginError: the file, or something that it offers, cannot be used.
    """
    offer = _files()[_whole(path)]
    if isinstance(offer, PluginError):
        raise offer
    for plugin in offer:
        if error := _found(plugin.kind)[1].get(plugin):
            raise error
        _loaded(plugin)
    return offer


def method(name: str) -> type[Method]:
    """Return a method class by name."""
    return cast("type[Method]", load("methods", name))


def benchmark(name: str) -> Benchmark:
    """Return a benchmark by name.

    Raises:
        UnknownName: nobody offers this name, or it is that of the maker of benchmarks from folders.
        PluginError: it cannot be used; the message says why.
    """
    if folded(name) == FOLDER:
        raise UnknownName(
            f"no benchmark {name!r}; images of your own are named by their folder: give a path, such as ./photos"
        )
    return cast("Benchmark", load("benchmarks", name))


def suite(name: str) -> Suite:
    """Return a suite by name."""
    return cast("Suite", load("suites", name))


def network(name: str) -> NetworkBuilder:
    """Return a network builder by name."""
    return cast("NetworkBuilder", load("networks", name))


def layout(name: str) -> Layout:
    """Return a table layout by name."""
    return cast("Layout", load("layouts", name))


def dataset(name: str, settings: Mapping[str, object] | None = None) -> Dataset:
    """Return a data set by name; a name that no plugin has is a folder or ZIP of images in the data folder.

    Folders have names of their own, so that here "-" and "_" are two.
    """
    from oodbench.settings import configure

    alone, refused = _found("datasets")
    contested = {plugin.name for plugin in refused}
    if name != FOLDER and (name in alone or name in contested):
        return cast("Dataset", configure(load("datasets", name), settings or {}, of=name))
    return cast("Dataset", configure(load("datasets", FOLDER), {"name": name, **(settings or {})}, of=name))
