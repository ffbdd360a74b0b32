"""Arrays that are written row by row, over as many starts as it takes: a killed pass goes on after its last piece."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.format import open_memmap

from oodbench.hashing.values import array_digest

from .artifacts import CHECKPOINTS, PASS
from .atomic import TEMPORARY, write_atomic
from .locks import is_at, take
from .space import new_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

PIECE = 4096
"""After so many rows they are written down, with their checksum,"""
SECONDS = 10.0
"""or after so many seconds, where these come first."""

_NOTES = "pieces"


class Unfinished:
    """Named arrays of n rows, filled from the first to the last; see `unfinished`.

    Args:
        folder: where they lie.
        n: how many rows each will have.
    """

    def __init__(self, folder: Path, n: int) -> None:
        self._folder, self._n = folder, n
        self._arrays: dict[str, np.memmap[Any, Any]] = {}
        self._pieces: list[dict[str, Any]] = []
        self._take_up()
        self.done = self._noted
        self._last = time.monotonic()

    def add(self, part: Mapping[str, NDArray[Any]]) -> None:
        """Write the next rows of all arrays.

        Raises:
            OSError: there is no room for them.
        """
        count = len(next(iter(part.values())))
        for name, values in part.items():
            if name not in self._arrays:
                self._arrays[name] = new_array(self._file(name), values.dtype, (self._n, *values.shape[1:]))
            self._arrays[name][self.done : self.done + count] = values
        self.done += count
        if self.done - self._noted >= PIECE or time.monotonic() - self._last >= SECONDS or self.done == self._n:
            self._note()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the arrays."""
        return tuple(self._arrays)

    def move(self, name: str, folder: Path) -> None:
        """Move the file of a whole array into a folder."""
        del self._arrays[name]
        self._file(name).replace(folder / f"{name}.npy")

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.npy"

    @property
    def _noted(self) -> int:
        return int(self._pieces[-1]["end"]) if self._pieces else 0

    def _note(self) -> None:
        start, self._last = self._noted, time.monotonic()
        for array in self._arrays.values():
            array.flush()
        sums = {name: array_digest(array[start : self.done]) for name, array in self._arrays.items()}
        self._pieces.append({"end": self.done, "sums": sums})
        write_atomic(self._folder / _NOTES, json.dumps(self._pieces).encode())

    def _take_up(self) -> None:
        """Go on after the pieces that are as they were written."""
        try:
            pieces = json.loads((self._folder / _NOTES).read_bytes())
            arrays = {name: open_memmap(self._file(name), mode="r+") for name in pieces[0]["sums"]}
            whole = all(len(array) == self._n for array in arrays.values())
            start = 0
            for piece in pieces if whole else ():
                end, sums = piece["end"], piece["sums"]
                if any(array_digest(array[start:end]) != sums[name] for name, array in arrays.items()):
                    break
                self._pieces.append(piece)
                start = end
            self._arrays = arrays if self._pieces else {}
        # There are none, or what is there is of no use: it is written anew.
        except (OSError, ValueError, KeyError, IndexError, TypeError):
            self._arrays, self._pieces = {}, []


@contextmanager
def unfinished(root: Path, key: str, n: int) -> Iterator[Unfinished]:
    """Give arrays to fill, as far as an earlier start has come; they are gone once the block ends without an error.

    Args:
        root: of the artifacts.
        key: hash of everything that goes into them.
        n: how many rows each will have.

    Raises:
        OSError: the folder cannot be written to.
    """
    places = root / CHECKPOINTS
    places.mkdir(parents=True, exist_ok=True)
    folder = places / f"{key}{PASS}"
    folder.mkdir(exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    # Another process is at it: what this one makes is of use to nobody else.
    if take(handle, wait=False) is False or not is_at(handle, folder):
        os.close(handle)
        folder = Path(tempfile.mkdtemp(dir=places, prefix=f".{key[:16]}.", suffix=TEMPORARY))
        handle = os.open(folder, os.O_RDONLY)
        take(handle, wait=False)
    try:
        yield Unfinished(folder, n)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        if folder.name.endswith(TEMPORARY):
            shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)
