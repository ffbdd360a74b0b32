"""Where things lie: the folders of images and of artifacts, and what they are called."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import ConfigError
from .files import printable


def default_cache_dir() -> Path:
    """Return the folder for artifacts: `OODBENCH_CACHE`, or `oodbench` in the user's cache folder."""
    if chosen := os.environ.get("OODBENCH_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "oodbench"


def default_data_dir() -> Path:
    """Return the folder where images are looked for: `OODBENCH_DATA`, or `data` in the working folder."""
    return Path(os.environ.get("OODBENCH_DATA") or "data").expanduser()


def is_path(text: str) -> bool:
    """Return whether a name means a folder or a ZIP of images, rather than something registered."""
    return "/" in text or "\\" in text or text.startswith((".", "~")) or Path(text).suffix.lower() == ".zip"


def place(text: str) -> tuple[str, str]:
    """Return the name and the data set of what a user calls a set: a registered one, or a path of images.

    Raises:
        ConfigError: the path has no name that a folder of results could have.

    >>> place("svhn")
    ('svhn', 'svhn')
    """
    if not is_path(text):
        return text, text
    given = Path(text).expanduser()
    # Links keep the names that a user gave them, but what ".." is only the file system knows.
    path = given.resolve() if ".." in given.parts else given.absolute()
    is_zip = path.name.lower().endswith(".zip")
    name = printable(path.name[:-4] if is_zip else path.name)
    if name in ("", ".", ".."):
        raise ConfigError(
            f"{printable(text)} has no name that results could be kept under; move the images into a folder with one"
        )
    without = str(path)[:-4] if is_zip else str(path)
    # Without its suffix, unless that says which of two is meant.
    return name, str(path) if path.is_dir() or Path(without).is_dir() else without


def check_name(name: str) -> None:
    """Refuse a name that no folder of results could have; "" is none.

    Raises:
        ConfigError: it holds a slash, say.
    """
    if name in (".", "..") or any(sign in "/\\" or not sign.isprintable() for sign in name):
        parts = "".join(sign if sign.isprintable() else "-" for sign in name).replace("\\", "/").split("/")
        better = "-".join(part for part in parts if part.strip("."))
        raise ConfigError(
            f"results are kept in a folder of the name, which {name!r} cannot be; give another, such as "
            f"name={better or 'mine'!r}"
        )
