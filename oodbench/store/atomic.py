"""Files and folders that are whole or absent: written aside, flushed, then renamed into place."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from .locks import is_at, take

TEMPORARY = ".oodbench.tmp"
"""How the names of files and folders end that are being written."""


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that a reader finds all of it or none of it, whenever the process dies.

    Args:
        path: the file; its folder is made where it is missing.
        content: all bytes of the file.

    Raises:
        OSError: the folder cannot be written to; nothing is left behind.
    """
    with file_atomic(path) as file:
        file.write(content)


@contextmanager
def file_atomic(path: Path) -> Iterator[IO[bytes]]:
    """Give an open file to write to; it becomes `path` when the block ends without an error.

    Args:
        path: the file; its folder is made where it is missing.

    Yields:
        A file beside `path`, open for writing bytes.

    Raises:
        OSError: the folder cannot be written to; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = own_file(path)
    # Keeps the lock while the file gets its name, after it is closed.
    guard = os.dup(handle)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files that only their owner may read; results are there to be shared.
        aside.chmod(0o644)
        os.replace(aside, path)  # noqa: PTH105  # the one call that tests break on purpose
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    finally:
        os.close(guard)


@contextmanager
def folder_atomic(path: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it becomes `path` when the block ends without an error.

    Where `path` exists already at that moment (another process was faster), that one stays.

    Args:
        path: the folder to be made.

    Yields:
        A folder beside `path`, to write into.

    Raises:
        OSError: the folder cannot be written to; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = _own_folder(path)
    try:
        yield aside
        for file in aside.rglob("*"):
            if file.is_file():
                with file.open("rb") as opened:
                    os.fsync(opened.fileno())
        aside.chmod(0o755)
        try:
            aside.rename(path)
        except OSError:
            if not path.is_dir():
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        os.close(handle)


def own_file(path: Path) -> tuple[int, Path]:
    """Return a new file beside a path, open and locked: that says to others that somebody writes it.

    Its folder must be there. Once it is closed, or its process has ended, the next start removes it.
    """
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{_short(path.name)}.", suffix=TEMPORARY)
        if take(handle, wait=True) is None or is_at(handle, Path(name)):
            return handle, Path(name)
        os.close(handle)


def _own_folder(path: Path) -> tuple[int, Path]:
    while True:
        name = tempfile.mkdtemp(dir=path.parent, prefix=f".{_short(path.name)}.", suffix=TEMPORARY)
        handle = os.open(name, os.O_RDONLY)
        if take(handle, wait=True) is None or is_at(handle, Path(name)):
            return handle, Path(name)
        os.close(handle)


def _short(name: str) -> str:
    # A file system takes 255 bytes; a name may have as many already.
    return os.fsencode(name)[:200].decode("utf-8", "ignore")


def abandoned(paths: Iterator[Path]) -> Iterator[Path]:
    """Yield those of some files and folders that nobody is writing any more, while they are held.

    Args:
        paths: with names as `file_atomic`, `folder_atomic` and `locked` give them.
    """
    for path in paths:
        with suppress(OSError):
            handle = os.open(path, os.O_RDONLY)
            try:
                if take(handle, wait=False) and is_at(handle, path):
                    yield path
            finally:
                os.close(handle)


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it, as far as it can be."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        path.unlink()
