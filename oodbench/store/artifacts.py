"""What was expensive to make (decoded images, networks, outputs), kept under the hash of what went into it."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from oodbench.errors import StoreError
from oodbench.hashing.values import digest, file_digest

from .atomic import TEMPORARY, abandoned, folder_atomic, remove, write_atomic
from .space import reason

MANIFEST = "artifact.json"
CHECKPOINTS = "checkpoints"
"""The folder of what goes on where it was stopped, beside those of the artifacts: trainings, passes, first looks."""
PASS, SEEN = ".pass", ".seen"
"""How the names end there of passes through a network, and of what was learned of images before all were seen."""

_USED = 3600
"""Seconds in which the date of an artifact's last use is right."""
_OLD = 24 * 3600
"""After so many seconds what older versions were writing is left behind: it bears no lock."""


class ArtifactStore:
    """A folder of artifacts, each a folder of files with their checksums.

    Args:
        root: made when the first artifact is saved.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[Path, dict[str, Any]] = {}
        self._unread: set[Path] = set()

    def folder(self, kind: str, key: str) -> Path:
        """Return where an artifact is or would be."""
        return self.root / kind / key[:2] / key

    def find(self, kind: str, key: str, *, quick: bool = False) -> Path | None:
        """Return the folder of a whole artifact, or None where there is none.

        A damaged one (checksum, missing file) is removed, so that it is made again.

        Args:
            kind: the family, such as "networks".
            key: the hash of everything that went into it.
            quick: read its files only where their sizes or dates are not those that they were saved with; see
                `read_unread`.
        """
        path = self.folder(kind, key)
        if path in self._known and (quick or path not in self._unread):
            return path
        if not path.is_dir():
            return None
        manifest = _manifest(path)
        if manifest is not None:
            as_saved = _stamps(path, manifest["files"]) == manifest.get("stamps")
            if quick and as_saved:
                self._unread.add(path)
            elif _is_whole(path, manifest):
                self._unread.discard(path)
                if not as_saved:
                    _stamp(path, manifest)
            else:
                manifest = None
        if manifest is None:
            self._known.pop(path, None)
            self._unread.discard(path)
            shutil.rmtree(path, ignore_errors=True)
            return None
        _note_use(path)
        self._known[path] = manifest
        return path

    def read_unread(self) -> None:
        """Read all artifacts that were found quickly: a disk may lose bits without a new date.

        Raises:
            StoreError: one is damaged; it is removed, and made again the next time.
        """
        for path in sorted(self._unread):
            if not _is_whole(path, self._known[path]):
                del self._known[path]
                self._unread.discard(path)
                shutil.rmtree(path, ignore_errors=True)
                raise StoreError(
                    f"{path} was damaged, and is removed; run the command again, which makes it anew, and look after "
                    "the disk"
                )
        self._unread.clear()

    def facts(self, kind: str, key: str) -> dict[str, Any]:
        """Return what was noted when a whole artifact was saved."""
        facts: dict[str, Any] = self._manifest(kind, key)["facts"]
        return facts

    def checksum(self, kind: str, key: str, file: str) -> str:
        """Return the SHA-256 of one file of a whole artifact."""
        return str(self._manifest(kind, key)["files"][file])

    def _manifest(self, kind: str, key: str) -> dict[str, Any]:
        path = self.folder(kind, key)
        if path not in self._known and self.find(kind, key) is None:
            raise StoreError(f"no artifact {kind}/{key[:12]} in {self.root}; run the command again to make it")
        return self._known[path]

    def save(self, kind: str, key: str, write: Callable[[Path], Mapping[str, Any] | None]) -> Path:
        """Make an artifact, whole or not at all.

        Args:
            kind: the family, such as "networks".
            key: the hash of everything that goes into it.
            write: fills the folder it is given with files and returns facts to note (JSON values), or None.

        Returns:
            The folder of the artifact.

        Raises:
            StoreError: the cache folder cannot be written to.
        """
        (path,) = self.save_several(kind, [key], lambda asides: [write(asides[0])])
        return path

    def save_several(
        self,
        kind: str,
        keys: Sequence[str],
        write: Callable[[Sequence[Path]], Sequence[Mapping[str, Any] | None]],
    ) -> list[Path]:
        """Make artifacts that come from one piece of work, each whole or not at all.

        Args:
            kind: the family, such as "outputs".
            keys: a hash for each.
            write: fills the folders it is given with files and returns facts to note for each.

        Returns:
            The folders of the artifacts.

        Raises:
            StoreError: the cache folder cannot be written to.
        """
        with self.writing(), ExitStack() as stack:
            asides = [stack.enter_context(folder_atomic(self.folder(kind, key))) for key in keys]
            for aside, facts in zip(asides, write(asides), strict=True):
                files = {file.name: file_digest(file) for file in sorted(aside.iterdir())}
                manifest = _signed({"files": files, "facts": dict(facts or {})})
                manifest["stamps"] = _stamps(aside, files)
                (aside / MANIFEST).write_bytes(_as_json(manifest))
        found = [self.find(kind, key) for key in keys]
        for key, path in zip(keys, found, strict=True):
            if path is None:
                raise StoreError(
                    f"the artifact {self.folder(kind, key)} changed while it was written; run the command again"
                )
        return [path for path in found if path is not None]

    def discard(self, kind: str, key: str) -> None:
        """Remove an artifact, if it is there: another one is to take its place."""
        path = self.folder(kind, key)
        self._known.pop(path, None)
        self._unread.discard(path)
        # Without it the folder is no artifact any more, at once.
        remove(path / MANIFEST)
        remove(path)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Say of what cannot be written within the block where that was to be.

        Raises:
            StoreError: something cannot be written.
        """
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"cannot write to the cache folder {self.root} ({reason(error)}); "
                "free space or name another one: --cache-dir or OODBENCH_CACHE; oodbench cache shows what may go"
            ) from error

    def left_behind(self) -> Iterator[Path]:
        """Yield what processes that ended were writing, while nobody else can take it up."""
        yield from abandoned(path for pattern in _PLACES for path in self.root.glob(f"{pattern}/.*{TEMPORARY}"))
        for pattern in _PLACES:
            for path in self.root.glob(f"{pattern}/.*.tmp"):
                if not path.name.endswith(TEMPORARY) and _age(path) > _OLD:
                    yield path

    def sweep(self) -> None:
        """Remove what processes that ended were writing; what others are writing stays."""
        for path in self.left_behind():
            remove(path)


_PLACES = ("*", "*/??")
"""Where things are written: checkpoints, and artifacts by the first two digits of their keys."""


def _signed(content: dict[str, Any]) -> dict[str, Any]:
    return {**content, "sha256": digest(content)}


def _as_json(manifest: Mapping[str, Any]) -> bytes:
    return json.dumps(manifest, indent=1, sort_keys=True).encode()


def _manifest(path: Path) -> dict[str, Any] | None:
    """Return what is noted of an artifact, or None where that is not whole."""
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
        signed = _signed({name: manifest[name] for name in ("files", "facts")})
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return manifest if signed["sha256"] == manifest.get("sha256") else None


def _is_whole(path: Path, manifest: Mapping[str, Any]) -> bool:
    try:
        return all(file_digest(path / name) == checksum for name, checksum in manifest["files"].items())
    except OSError:
        return False


def _stamps(path: Path, files: Mapping[str, str]) -> dict[str, list[int]] | None:
    """Return size and dates of files: whoever changes one cannot set back the last of them."""
    try:
        stats = {name: (path / name).stat() for name in files}
    except OSError:
        return None
    return {name: [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns] for name, stat in stats.items()}


def _stamp(path: Path, manifest: Mapping[str, Any]) -> None:
    """Note the dates of a whole artifact that was copied, so that it is not read again at the next start."""
    with suppress(OSError):
        write_atomic(path / MANIFEST, _as_json({**manifest, "stamps": _stamps(path, manifest["files"])}))


def _note_use(path: Path) -> None:
    with suppress(OSError):
        if _age(path / MANIFEST) > _USED:
            os.utime(path / MANIFEST)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
