"""Locks between the processes that work in one folder; they end with their process, however that ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK = ".oodbench.lock"
"""How the names of lock files end."""


def take(handle: int, *, wait: bool) -> bool | None:
    """Lock an open file or folder until it is closed, or its process ends.

    Args:
        handle: of the file or folder.
        wait: for another one to close it.

    Returns:
        Whether it is locked now; None where its file system knows no locks.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def is_at(handle: int, path: Path) -> bool:
    """Return whether a path still leads to an open file or folder."""
    try:
        there, opened = path.stat(), os.fstat(handle)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (opened.st_dev, opened.st_ino)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only one, of all processes and threads, that is in such a block of the same path; others wait.

    Args:
        path: of what is changed; a file beside it is the lock, and is gone afterwards.

    Raises:
        OSError: the folder cannot be written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}{LOCK}")
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT)
        # Whoever had it before took the file away: then there is another one to wait for.
        if take(handle, wait=True) is None or is_at(handle, lock):
            break
        os.close(handle)
    try:
        yield
    finally:
        with suppress(OSError):
            lock.unlink()
        os.close(handle)
