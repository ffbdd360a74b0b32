"""What is installed from elsewhere: it counts by name and version, not by its code."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path

from .source import NOT_HASHED

_FOLDERS = {"site-packages", "dist-packages"}
"""What installers put packages into, wherever these lie."""

_PLACES = tuple(Path(sysconfig.get_path(name)) for name in ("purelib", "platlib"))

_OURS = __name__.partition(".")[0]


@cache
def is_installed(module: str | None) -> bool:
    """Return whether a module belongs to Python or to an installed distribution other than this one."""
    top = (module or "").partition(".")[0]
    if top in NOT_HASHED or top in sys.stdlib_module_names:
        return True
    file = getattr(sys.modules.get(module or ""), "__file__", None)
    if top == _OURS or file is None:
        return False
    path = Path(file)
    return not _FOLDERS.isdisjoint(path.parts) or any(path.is_relative_to(place) for place in _PLACES)


def versions_of(modules: Iterable[str]) -> dict[str, str]:
    """Return the version of each installed package that modules are of, by its name.

    Not those of this package, and of those whose versions are part of every record.
    """
    tops = {module.partition(".")[0] for module in modules if is_installed(module)} - NOT_HASHED
    names = {name for top in tops for name in _distributions().get(top, ())}
    return {name: metadata.version(name) for name in sorted(names)}


@cache
def _distributions() -> dict[str, list[str]]:
    return {top: list(names) for top, names in metadata.packages_distributions().items()}
