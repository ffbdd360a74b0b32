"""Where things lie: the folders of images and of artifacts."""

from __future__ import annotations

import os
from pathlib import Path


def default_cache_dir() -> Path:
    """Return the folder for artifacts: `OODBENCH_CACHE`, or `oodbench` in the user's cache folder."""
    if chosen := os.environ.get("OODBENCH_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "oodbench"


def default_data_dir() -> Path:
    """Return the folder where images are looked for: `OODBENCH_DATA`, or `data` in the working folder."""
    return Path(os.environ.get("OODBENCH_DATA") or "data").expanduser()
