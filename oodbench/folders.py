"""Where things lie: the folders of images and of artifacts, and the files below a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


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
