"""`oodbench new`: a small package with a plugin that works as written, rendered from the files in `templates/`."""

from __future__ import annotations

import importlib.util
import keyword
import os
import re
import shutil
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from typing import Literal, get_args

from oodbench.api import CONTRACT
from oodbench.errors import ConfigError

from . import registry

What = Literal["method", "dataset", "benchmark"]
WHATS: tuple[What, ...] = get_args(What)

_SUFFIX = ".template"

_LONGEST = 60


def scaffold(what: What, name: str, parent: Path) -> list[Path]:
    """Write a package with one plugin to a new folder, and return its files.

    Args:
        what: kind of the plugin.
        name: of the plugin, the distribution and the folder, such as "my-score".
        parent: folder that the new one is made in.

    Raises:
        ConfigError: the name cannot be used or is taken, or the folder is there already or cannot be written.
    """
    package = name.replace("-", "_")
    _check_name(what, name, package)
    folder = parent / name
    if os.path.lexists(folder):
        raise ConfigError(f"{folder} is there already; choose another name, or another folder with --dir")
    words = {
        "name": name,
        "package": package,
        "title": name.replace("-", " ").replace("_", " ").capitalize(),
        "class_name": "".join(word.capitalize() for word in re.split("[-_]", name)),
        "contract": str(CONTRACT),
    }
    sources = _templates(files(__package__) / "templates" / what)
    rendered = {Template(path).substitute(words): Template(text).substitute(words) for path, text in sources.items()}
    made = not os.path.lexists(parent)
    try:
        _write(rendered, folder)
    except OSError as error:
        # Half a package would be in the way of the next try.
        shutil.rmtree(parent if made else folder, ignore_errors=True)
        raise ConfigError(f"cannot write to {folder} ({error.strerror or error}); choose another --dir") from error
    return [folder / path for path in sorted(rendered)]


def _write(rendered: Mapping[str, str], folder: Path) -> None:
    for path, text in rendered.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def _templates(place: Traversable, below: str = "") -> dict[str, str]:
    """Return the texts of all templates in a folder by their paths, which are templates as well."""
    found: dict[str, str] = {}
    for entry in place.iterdir():
        if entry.is_dir():
            found |= _templates(entry, f"{below}{entry.name}/")
        elif entry.name.endswith(_SUFFIX):
            found[below + entry.name.removesuffix(_SUFFIX)] = entry.read_text(encoding="utf-8")
    return found


def _check_name(what: What, name: str, package: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", name) or keyword.iskeyword(package):
        raise ConfigError(f"{name!r} cannot be a name; use small letters, digits and hyphens, such as my-{what}")
    if len(name) > _LONGEST:
        raise ConfigError(f"the name has {len(name)} letters; choose one of at most {_LONGEST}, such as my-{what}")
    kind: registry.Kind = f"{what}s"  # type: ignore[assignment]  # mypy does not follow the words
    if registry.spelled(kind, name) in registry.names(kind):
        taken_by = registry.origin(kind, name)
        raise ConfigError(
            f"there is a {what} {registry.spelled(kind, name)!r} already, of {taken_by}; choose another name"
        )
    if importlib.util.find_spec(package) is not None:
        raise ConfigError(f"a Python package {package!r} is installed already; choose another name, such as my-{name}")
