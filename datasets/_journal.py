"""A journal of work that goes on after a kill: one line of JSON for each finished piece."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from oodbench.errors import DataError
from oodbench.store.atomic import write_atomic


class Journal:
    """What has been finished, by name; a line that a kill cut short counts as not written.

    Args:
        path: of the file; begun where there is none.
        job: what is done and how; work that was begun as another job is not gone on with.

    Raises:
        DataError: the journal is that of another job, or damaged.
    """

    def __init__(self, path: Path, job: dict[str, Any]) -> None:
        self._path = path
        if not path.is_file():
            write_atomic(path, _line(job))
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            write_atomic(path, whole)
        try:
            begun, *entries = (json.loads(line) for line in whole.splitlines())
            self._entries: dict[str, dict[str, Any]] = {entry["frame"]: entry for entry in entries}
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is damaged ({error}); delete the folder {path.parent} to start anew") from error
        if begun != json.loads(_line(job)):
            raise DataError(
                f"{path.parent} was begun with other settings or other annotations; delete that folder to start "
                "anew, or use the settings of the first line of its journal"
            )

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield all entries by name, in whatever order they were finished."""
        return (self._entries[name] for name in sorted(self._entries))

    def add(self, entry: dict[str, Any]) -> None:
        """Write down a finished piece, `entry["frame"]`."""
        # Not flushed to the disk: what a power cut takes is done again, and comes out the same.
        with self._path.open("ab") as file:
            file.write(_line(entry))
        self._entries[entry["frame"]] = entry


def _line(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, sort_keys=True, ensure_ascii=False).encode() + b"\n"
