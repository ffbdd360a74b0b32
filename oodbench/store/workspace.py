"""Where a run finds its images, keeps what was expensive to make, and tells what it is doing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oodbench.folders import default_cache_dir, default_data_dir
from oodbench.progress import SILENT, Reporter

from .artifacts import ArtifactStore
from .pixels import PixelLimit
from .usage import parse_size

PIXEL_CACHE = "20GB"
"""How many bytes of decoded pixels a run keeps, where nobody says."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Workspace:
    """The surroundings of a run.

    Attributes:
        data_dir: where images are looked for.
        artifacts: where decoded images, networks and outputs are kept.
        report: told what is going on.
        pixels: how many bytes of decoded pixels may be kept.
        skip_damaged: whether images that cannot be decoded are left out; else they are an error.
        sources: rows of the images that were found, by their keys: parts of one set share them.
    """

    data_dir: Path = field(default_factory=default_data_dir)
    artifacts: ArtifactStore = field(default_factory=lambda: ArtifactStore(default_cache_dir()))
    report: Reporter = SILENT
    pixels: PixelLimit = field(default_factory=lambda: PixelLimit(parse_size(PIXEL_CACHE)))
    skip_damaged: bool = False
    sources: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        data_dir: str | Path | None = None,
        cache_dir: str | Path | None = None,
        report: Reporter = SILENT,
        *,
        pixel_cache: str | int = PIXEL_CACHE,
        skip_damaged: bool = False,
    ) -> Workspace:
        """Return the surroundings that a user named, with defaults for what was not.

        Args:
            data_dir: where images are looked for; default `OODBENCH_DATA`, or `data` in the working folder.
            cache_dir: where artifacts are kept; default `OODBENCH_CACHE`, or the user's cache folder.
            report: told what is going on.
            pixel_cache: how many bytes of decoded pixels may be kept, such as "20GB".
            skip_damaged: leave out images that cannot be decoded.

        Raises:
            ConfigError: the size is none.
        """
        return cls(
            data_dir=default_data_dir() if data_dir is None else Path(data_dir).expanduser(),
            artifacts=ArtifactStore(default_cache_dir() if cache_dir is None else Path(cache_dir).expanduser()),
            report=report,
            pixels=PixelLimit(parse_size(str(pixel_cache), "--pixel-cache")),
            skip_damaged=skip_damaged,
        )
