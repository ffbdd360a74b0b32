"""Where things lie: the folders of images and of artifacts, and the files below a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from .errors import ConfigError


def default_cache_dir() -> Path:
    """Return the folder for artifacts: `OODBENCH_CACHE`, or `oodbench` in the user's cache folder."""
    if chosen := os.environ.get("OODBENCH_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "oodbench"


def default_data_dir() -> Path:
    """Return the folder where images are looked for: `OODBENCH_DATA`, or `data` in the working folder."""
    return Path(os.environ.get("OODBENCH_DATA") or "data").expanduser()


def files_below(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder, in no order; links to folders are followed."""
    for place, _, names in os.walk(folder, followlinks=True):
        yield from (Path(place) / name for name in names)


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
    name = path.name.removesuffix(".zip")
    if name in ("", ".", ".."):
        raise ConfigError(
            f"{text} has no name that results could be kept under; move the images into a folder with one"
        )
    return name, str(path).removesuffix(".zip")
