"""Where a run finds its images, keeps what was expensive to make, and tells what it is doing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from oodbench.folders import default_cache_dir, default_data_dir
from oodbench.progress import SILENT, Reporter

from .artifacts import ArtifactStore


@dataclass(frozen=True, kw_only=True, eq=False)
class Workspace:
    """The surroundings of a run.

    Attributes:
        data_dir: where images are looked for.
        artifacts: where decoded images, networks and outputs are kept.
        report: told what is going on.
    """

    data_dir: Path = field(default_factory=default_data_dir)
    artifacts: ArtifactStore = field(default_factory=lambda: ArtifactStore(default_cache_dir()))
    report: Reporter = SILENT

    @classmethod
    def of(
        cls, data_dir: str | Path | None = None, cache_dir: str | Path | None = None, report: Reporter = SILENT
    ) -> Workspace:
        """Return the surroundings that a user named, with defaults for what was not.

        Args:
            data_dir: where images are looked for; default `OODBENCH_DATA`, or `data` in the working folder.
            cache_dir: where artifacts are kept; default `OODBENCH_CACHE`, or the user's cache folder.
            report: told what is going on.
        """
        return cls(
            data_dir=default_data_dir() if data_dir is None else Path(data_dir).expanduser(),
            artifacts=ArtifactStore(default_cache_dir() if cache_dir is None else Path(cache_dir).expanduser()),
            report=report,
        )
