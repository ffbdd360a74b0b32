"""Room on the disk: reserved before it is mapped, so that a full disk is an error and not the end of the process."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import DTypeLike

_UNSUPPORTED = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


def reserve(path: Path, size: int) -> None:
    """Make a file so large that all of it can be written.

    Args:
        path: a file.
        size: in bytes.

    Raises:
        OSError: there is no such room, with the file's name.
    """
    # Where a system cannot, pages are found when they are written, as before.
    allocate = getattr(os, "posix_fallocate", None)
    if allocate is None or size == 0:
        return
    with path.open("r+b") as file:
        try:
            allocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise OSError(error.errno, error.strerror, str(path)) from error


def reason(error: OSError) -> str:
    """Return why something cannot be written, in a word: NumPy knows only how much of it could."""
    if error.errno is None and "requested and" in str(error):
        return os.strerror(errno.ENOSPC)
    return error.strerror or str(error)


def new_array(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    """Return a new array in a file, memory-mapped, to be written; all of its room is there.

    Args:
        path: a `.npy` file.
        dtype: of the values.
        shape: of the array.

    Raises:
        OSError: there is no room for it.
    """
    from numpy.lib.format import open_memmap

    array = open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    reserve(path, path.stat().st_size)
    return array
