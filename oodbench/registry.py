"""Names to plugins, through entry points only: built-ins are found as anybody's are."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Literal, cast

from .errors import PluginError, UnknownName

if TYPE_CHECKING:
    from .api import Dataset, Method, NetworkBuilder
    from .benchmark import Benchmark

Kind = Literal["methods", "datasets", "benchmarks", "networks"]

FOLDER = "folder"
"""The data set plugin that serves every name that no other has, and the benchmark plugin for such images."""


@cache
def _entries(kind: Kind) -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=f"oodbench.{kind}"):
        other = found.setdefault(entry.name, entry)
        if other.value != entry.value:
            raise PluginError(
                f"two packages bring {kind[:-1]} {entry.name!r}: {_origin(other)} and {_origin(entry)}; uninstall one"
            )
    return dict(sorted(found.items()))


def names(kind: Kind) -> list[str]:
    """Return the names of all installed plugins of a kind, sorted, importing none of them."""
    return [name for name in _entries(kind) if (kind, name) != ("benchmarks", FOLDER)]


def origin(kind: Kind, name: str) -> str:
    """Return the distribution and version that a plugin comes from, such as "oodbench 0.1.0"."""
    return _origin(_entry(kind, name))


def _origin(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown distribution"


def _entry(kind: Kind, name: str) -> EntryPoint:
    entries = _entries(kind)
    if name not in entries:
        raise UnknownName(f"no {kind[:-1]} {name!r}{did_you_mean(name, entries)} See: oodbench list {kind}")
    return entries[name]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown name: its nearest neighbours, or the whole choice."""
    known = list(known)
    near = get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    if near:
        return f". Did you mean {' or '.join(map(repr, near))}?"
    return f"; there is: {', '.join(known)}." if known else "; there is none."


def load(kind: Kind, name: str) -> Any:
    """Import a plugin and return what its entry point names.

    Raises:
        UnknownName: nothing installed has this name.
        PluginError: it cannot be imported.
    """
    entry = _entry(kind, name)
    try:
        return entry.load()
    # A plugin is foreign code: whatever goes wrong in it is reported as its own fault.
    except Exception as error:
        raise PluginError(
            f"{kind[:-1]} {name!r} of {_origin(entry)} cannot be imported from {entry.value}: "
            f"{type(error).__name__}: {error}"
        ) from error


def method(name: str) -> type[Method]:
    """Return a method class by name."""
    return cast("type[Method]", load("methods", name))


def benchmark(name: str) -> Benchmark:
    """Return a benchmark by name."""
    from .benchmark import Benchmark

    found = load("benchmarks", name)
    if not isinstance(found, Benchmark):
        raise PluginError(f"benchmark {name!r} of {origin('benchmarks', name)} is {found!r}, not a Benchmark")
    return found


def network(name: str) -> NetworkBuilder:
    """Return a network builder by name."""
    return cast("NetworkBuilder", load("networks", name))


def dataset(name: str, settings: dict[str, object] | None = None) -> Dataset:
    """Return a data set by name; a name that no plugin has is a folder or ZIP of images in the data folder."""
    from .config import configure

    if name in _entries("datasets") and name != FOLDER:
        return cast("Dataset", configure(load("datasets", name), settings or {}, of=name))
    return cast("Dataset", configure(load("datasets", FOLDER), {"name": name, **(settings or {})}, of=name))
