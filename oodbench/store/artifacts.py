"""What was expensive to make (decoded images, networks, outputs), kept under the hash of what went into it."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from oodbench.errors import StoreError
from oodbench.hashing.values import file_digest

from .atomic import folder_atomic

_MANIFEST = "artifact.json"


class ArtifactStore:
    """A folder of artifacts, each a folder of files with their checksums.

    Args:
        root: made when the first artifact is saved.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._verified: dict[Path, dict[str, Any]] = {}

    def folder(self, kind: str, key: str) -> Path:
        """Return where an artifact is or would be."""
        return self.root / kind / key[:2] / key

    def find(self, kind: str, key: str) -> Path | None:
        """Return the folder of a whole artifact, or None where there is none.

        A damaged one (checksum, missing file) is removed, so that it is made again.
        """
        path = self.folder(kind, key)
        if path in self._verified:
            return path
        if not path.is_dir():
            return None
        manifest = _verify(path)
        if manifest is None:
            shutil.rmtree(path, ignore_errors=True)
            return None
        self._verified[path] = manifest
        return path

    def facts(self, kind: str, key: str) -> dict[str, Any]:
        """Return what was noted when a whole artifact was saved."""
        path = self.find(kind, key)
        if path is None:
            raise StoreError(f"no artifact {kind}/{key[:12]} in {self.root}; run the command again to make it")
        facts: dict[str, Any] = self._verified[path]["facts"]
        return facts

    def checksum(self, kind: str, key: str, file: str) -> str:
        """Return the SHA-256 of one file of a whole artifact."""
        path = self.find(kind, key)
        if path is None:
            raise StoreError(f"no artifact {kind}/{key[:12]} in {self.root}; run the command again to make it")
        return str(self._verified[path]["files"][file])

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
        try:
            with ExitStack() as stack:
                asides = [stack.enter_context(folder_atomic(self.folder(kind, key))) for key in keys]
                for aside, facts in zip(asides, write(asides), strict=True):
                    files = {file.name: file_digest(file) for file in sorted(aside.iterdir())}
                    manifest = {"files": files, "facts": dict(facts or {})}
                    (aside / _MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True))
        except OSError as error:
            raise StoreError(
                f"cannot write to the cache folder {self.root} ({error.strerror or error}); "
                "free space or name another one: --cache-dir or OODBENCH_CACHE"
            ) from error
        found = [self.find(kind, key) for key in keys]
        for key, path in zip(keys, found, strict=True):
            if path is None:
                raise StoreError(
                    f"the artifact {self.folder(kind, key)} changed while it was written; run the command again"
                )
        return [path for path in found if path is not None]


def _verify(path: Path) -> dict[str, Any] | None:
    try:
        manifest: dict[str, Any] = json.loads((path / _MANIFEST).read_text())
        whole = all(file_digest(path / name) == checksum for name, checksum in manifest["files"].items())
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None
    return manifest if whole else None
