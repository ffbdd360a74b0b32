"""Files and folders that are whole or absent: written aside, flushed, then renamed into place."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


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
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files that only their owner may read; results are there to be shared.
        Path(name).chmod(0o644)
        os.replace(name, path)  # noqa: PTH105  # the one call that tests break on purpose
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


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
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"))
    try:
        yield aside
        for file in aside.iterdir():
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
