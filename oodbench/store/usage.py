"""What the cache holds: sizes, when it was last used, and what may go."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from oodbench.errors import ConfigError

from .artifacts import CHECKPOINTS, MANIFEST, PASS, SEEN, ArtifactStore
from .atomic import remove

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}

_MADE_AGAIN = {
    "images": "decoding them once more",
    "digests": "decoding these images once more",
    "sources": "reading them once more",
    "networks": "training them once more",
    "outputs": "one pass through the network",
    CHECKPOINTS: "nothing but what stopped trainings and passes had reached",
}
"""What it costs to do without."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Something in the cache that can be removed by itself.

    Attributes:
        kind: the family, such as "networks".
        path: a folder, or the file of a checkpoint.
        size: in bytes.
        used: when it was last used, in seconds since 1970.
    """

    kind: str
    path: Path
    size: int
    used: float


def made_again(kind: str) -> str:
    """Return what it costs to do without the things of a kind."""
    return _MADE_AGAIN.get(kind, "making them once more")


def kept_in(store: ArtifactStore) -> list[Kept]:
    """Return everything in a cache, the least recently used first; what is no part of one is not looked at."""
    found = [*_artifacts(store.root), *_checkpoints(store.root)]
    return sorted(found, key=lambda one: (one.used, str(one.path)))


def left_in(store: ArtifactStore) -> list[Kept]:
    """Return what nobody can use any more: what ended processes were writing, and what was set aside.

    A checkpoint of a network that is there is of no use either.
    """
    unfinished = [_as_kept("unfinished", path) for path in store.left_behind()]
    folder = store.root / CHECKPOINTS
    aside = [_as_kept("set aside", path) for path in sorted(folder.glob("*.unusable"))]
    done = [
        _as_kept("finished", path)
        for path in sorted(folder.glob("*.pt"))
        if (store.folder("networks", path.stem) / MANIFEST).is_file()
    ]
    return [*unfinished, *aside, *done]


def above(kept: Sequence[Kept], size: int) -> list[Kept]:
    """Return what must go for the rest to be no larger than a size.

    Args:
        kept: the least recently used first, which go first.
        size: in bytes.
    """
    total, gone = sum(one.size for one in kept), []
    for one in kept:
        if total <= size:
            break
        gone.append(one)
        total -= one.size
    return gone


def discard(things: Sequence[Kept]) -> None:
    """Remove things from the cache, each at once: who looks for one meanwhile finds it whole or not at all."""
    for one in things:
        if one.path.is_dir():
            # Without it the folder is no artifact any more.
            remove(one.path / MANIFEST)
        remove(one.path)


def parse_size(text: str, of: str = "--keep") -> int:
    """Return a size in bytes.

    Args:
        text: such as "20GB".
        of: the option that says it, for messages.

    Raises:
        ConfigError: it is none.

    >>> parse_size("20GB"), parse_size("1.5 MB"), parse_size("0")
    (20000000000, 1500000, 0)
    """
    match = re.fullmatch(r"\s*(\d{1,12}(?:\.\d{1,6})?)\s*([KMGT]?B?)\s*", text.upper())
    unit = match[2] if match else ""
    unit = unit if unit in _UNITS else f"{unit}B"
    if match is None or unit not in _UNITS:
        raise ConfigError(f"{of} must be a size such as 20GB or 500MB, got {text!r}")
    return int(float(match[1]) * _UNITS[unit])


def in_words(size: int) -> str:
    """Return a size as people write it.

    >>> in_words(20_000_000_000), in_words(999)
    ('20.0 GB', '999 B')
    """
    for unit in ("TB", "GB", "MB", "KB"):
        if size >= _UNITS[unit]:
            return f"{size / _UNITS[unit]:,.1f} {unit}"
    return f"{size} B"


def _artifacts(root: Path) -> Iterator[Kept]:
    for manifest in root.glob(f"*/??/*/{MANIFEST}"):
        folder = manifest.parent
        if re.fullmatch("[0-9a-f]{64}", folder.name) and folder.name.startswith(folder.parent.name):
            yield _as_kept(folder.parent.parent.name, folder)


def _checkpoints(root: Path) -> Iterator[Kept]:
    for pattern in ("*.pt", f"*{PASS}", f"*{SEEN}"):
        for path in (root / CHECKPOINTS).glob(pattern):
            yield _as_kept(CHECKPOINTS, path)


def _as_kept(kind: str, path: Path) -> Kept:
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    manifest = path / MANIFEST
    return Kept(
        kind=kind,
        path=path,
        size=sum(_size(file) for file in files),
        used=_used(manifest if manifest.is_file() else path),
    )


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    # Somebody else removed it.
    except OSError:
        return 0


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
