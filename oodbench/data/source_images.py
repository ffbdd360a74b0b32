"""Images of a part of a benchmark, wherever their pixels come from: a file in the cache, or their sources once more."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from oodbench.decoded import DecodedImages
from oodbench.errors import StoreError
from oodbench.image_rows import MappedImages, Rows
from oodbench.progress import Pace
from oodbench.store.artifacts import CHECKPOINTS, SEEN
from oodbench.store.atomic import own_file, write_atomic
from oodbench.store.space import reserve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oodbench.store.workspace import Workspace

IMAGES, DIGESTS = "images", "digests"
"""Kinds of artifacts: decoded images with what is known of them, and the latter alone."""

SECONDS_BETWEEN_NOTES = 10.0
"""What was learned of images is written down so often, so that a start that was killed goes on there."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of a set once all of its images were seen.

    Attributes:
        digests: uint8, shape (n, 16).
        damaged: why images could not be decoded, by their rows.
    """

    digests: NDArray[np.uint8]
    damaged: Mapping[int, str]


class SourceImages(Rows):
    """Rows of one part, decoded when they are asked for, and kept in the cache where that pays.

    What a run uses once is not kept: pixels are written to a file when they are asked for a second time, or, where that
    is known to come, the first time, as long as the limit of the workspace leaves room.

    Args:
        decode: gives the rows from their sources, when the first of them is decoded.
        shape: (n, channels, height, width).
        name: of the set, for messages.
        key: of the artifacts.
        facts: noted in them.
        labels: the same, or None.
        workspace: where they are, with the limit of pixels.
        known: what is known from an earlier start; None before all images were seen.
        again: whether pixels will be used after all were seen.
        kept: all pixels, where they are in the cache.
    """

    def __init__(
        self,
        decode: Callable[[], DecodedImages],
        shape: tuple[int, ...],
        *,
        name: str,
        key: str,
        facts: Mapping[str, Any],
        labels: NDArray[np.int64] | None,
        workspace: Workspace,
        known: Known | None = None,
        again: bool = False,
        kept: MappedImages | None = None,
    ) -> None:
        super().__init__(shape)
        self.name, self.key, self.again = name, key, again
        self.facts, self.labels, self._decode, self._workspace = facts, labels, decode, workspace
        self._known = known
        self._decoded: DecodedImages | None = None
        self._read = np.zeros(len(self), dtype=bool)
        self._kept: MappedImages | _Filling | None = kept
        self._may_keep = True
        self._noted = time.monotonic()

    @property
    def digests(self) -> NDArray[np.uint8]:
        """What tells each image from all others, uint8, shape (n, 16); the images that were not seen yet are decoded.

        Raises:
            DataError: one cannot be decoded.
        """
        return self.look().digests

    @property
    def damaged(self) -> Mapping[int, str]:
        """Which rows stand for images that could not be decoded, and why."""
        return {} if self._known is None else self._known.damaged

    @property
    def identity(self) -> str | None:
        """The key of the sources, before all images were seen."""
        return self.key if self._known is None else None

    @property
    def is_kept(self) -> bool:
        """Whether all pixels are in a file."""
        return isinstance(self._kept, MappedImages)

    def look(self) -> Known:
        """Return what is known of the images, after those that were not seen yet were decoded.

        Raises:
            DataError: one cannot be decoded.
        """
        if self._known is None:
            try:
                self._see_the_rest()
            except BaseException:
                # What was written of a file is of no use to anybody.
                if isinstance(self._kept, _Filling):
                    self._kept.close()
                    self._kept = None
                raise
        assert self._known is not None
        return self._known

    def _see_the_rest(self) -> None:
        left = np.flatnonzero(~self._sources().seen)
        pace = Pace(self._workspace.report, f"decoding {self.name}", len(self), len(self) - len(left))
        step = max(1, self.window // 2)
        for start in range(0, len(left), step):
            some = left[start : start + step]
            self.take(some, left[start + step : start + step + self.window])
            pace.went_on(len(some))
        if self._known is None:
            self._take_down()

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        """Return images; those of a slice are still in the file, where they are kept."""
        return self._kept[index] if isinstance(self._kept, MappedImages) else super().__getitem__(index)

    def take(self, rows: NDArray[np.intp], ahead: NDArray[np.intp] | None = None) -> NDArray[np.uint8]:
        """Return images."""
        if self._kept is None and self._may_keep and (self.again or self._read[rows].any()):
            self._begin_to_keep()
        images = (self._kept or self._sources()).take(rows, ahead)
        if not self.is_kept:
            self._read[rows] = True
            self._after_decoding()
        return images

    def _sources(self) -> DecodedImages:
        if self._decoded is None:
            self._decoded = self._decode()
            if self._known is not None:
                everything = np.ones(len(self), dtype=bool)
                self._decoded.know(everything, self._known.digests, self._known.damaged)
            else:
                self._go_on()
        return self._decoded

    def _after_decoding(self) -> None:
        """Write down what was learned: all of it where all images were seen, else now and then."""
        if self._known is None and time.monotonic() - self._noted >= SECONDS_BETWEEN_NOTES:
            self._note()
        is_full = isinstance(self._kept, _Filling) and self._kept.is_full
        if is_full or (self._known is None and self._sources().seen.all()):
            self._take_down()

    def _take_down(self) -> None:
        """Keep what is known of all images, and their pixels where all are in a file."""
        decoded, artifacts = self._sources(), self._workspace.artifacts
        if isinstance(self._kept, _Filling) and self._kept.is_full:
            filling = self._kept
            if artifacts.find(IMAGES, self.key, quick=True) is None:
                artifacts.save(IMAGES, self.key, lambda aside: self._write(decoded, aside, filling))
            filling.close()
            self._kept = MappedImages(artifacts.folder(IMAGES, self.key) / "images.npy", self.shape)
        elif artifacts.find(DIGESTS, self.key, quick=True) is None:
            artifacts.save(DIGESTS, self.key, lambda aside: self._write(decoded, aside, None))
        self._known = Known(digests=decoded.learned, damaged=dict(decoded.damaged))
        self._journal.unlink(missing_ok=True)

    def _write(self, decoded: DecodedImages, aside: Path, filling: _Filling | None) -> dict[str, Any]:
        if filling is not None:
            filling.move_to(aside / "images.npy")
        np.save(aside / "digests.npy", decoded.learned)
        if self.labels is not None:
            np.save(aside / "labels.npy", self.labels)
        damaged = {str(row): fault for row, fault in decoded.damaged.items()}
        return {**self.facts, "shape": list(self.shape), **({"damaged": damaged} if damaged else {})}

    def _begin_to_keep(self) -> None:
        self._may_keep = False
        if self._workspace.pixels.takes(self.nbytes):
            self._kept = _Filling(self._workspace.artifacts.root / CHECKPOINTS / self.key, self.shape, self._sources())

    @property
    def _journal(self) -> Path:
        return self._workspace.artifacts.root / CHECKPOINTS / f"{self.key}{SEEN}"

    def _note(self) -> None:
        """Write down what was learned so far."""
        decoded = self._sources()
        content = io.BytesIO()
        faults = json.dumps({str(row): fault for row, fault in decoded.damaged.items()})
        np.savez(content, seen=decoded.seen, learned=decoded.learned, faults=np.array(faults))
        # Where it cannot be written, these images are decoded again.
        with suppress(OSError):
            write_atomic(self._journal, content.getvalue())
        self._noted = time.monotonic()

    def _go_on(self) -> None:
        """Take up what was learned before a start was killed."""
        assert self._decoded is not None
        try:
            with np.load(self._journal) as noted:
                seen, learned, faults = noted["seen"], noted["learned"], json.loads(str(noted["faults"]))
            if seen.shape != (len(self),) or learned.shape != (len(self), 16):
                return
        # There is none, or it is damaged.
        except Exception:  # noqa: BLE001
            return
        self._decoded.know(seen, learned, {int(row): fault for row, fault in faults.items()})


class _Filling:
    """A file of pixels in which the rows are written that are decoded; it goes with its process until it is full.

    Args:
        place: beside which it lies.
        shape: (n, channels, height, width).
        decoded: gives the rows.

    Raises:
        StoreError: there is no room for it.
    """

    def __init__(self, place: Path, shape: tuple[int, ...], decoded: DecodedImages) -> None:
        self._decoded, self._size = decoded, int(np.prod(shape[1:]))
        self._filled = np.zeros(shape[0], dtype=bool)
        header = io.BytesIO()
        np.lib.format.write_array_header_2_0(
            header, {"descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)), "fortran_order": False, "shape": shape}
        )
        self._start = len(header.getvalue())
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            self._handle, self._path = own_file(place)
            os.pwrite(self._handle, header.getvalue(), 0)
            reserve(self._path, self._start + shape[0] * self._size)
        except OSError as error:
            raise StoreError(
                f"no room for {shape[0] * self._size / 1e9:.1f} GB of pixels in {place.parent.parent} "
                f"({error.strerror or error}); free space, name another folder (--cache-dir) or keep fewer "
                "(--pixel-cache)"
            ) from error

    @property
    def is_full(self) -> bool:
        return bool(self._filled.all())

    def take(self, rows: NDArray[np.intp], ahead: NDArray[np.intp] | None = None) -> NDArray[np.uint8]:
        there = self._filled[rows]
        if not there.any():
            images = self._decoded.take(rows, self._lacking(ahead))
            for row, image in zip(rows.tolist(), images, strict=True):
                self._put(row, image)
            return images
        images = np.empty((len(rows), *self._decoded.shape[1:]), dtype=np.uint8)
        for i in np.flatnonzero(there):
            images[i] = self._got(int(rows[i]))
        if not there.all():
            images[~there] = self.take(rows[~there], ahead)
        return images

    def _lacking(self, rows: NDArray[np.intp] | None) -> NDArray[np.intp] | None:
        return None if rows is None else rows[~self._filled[rows]]

    def _put(self, row: int, image: NDArray[np.uint8]) -> None:
        # Not through a map: its pages would count as memory of this process.
        try:
            os.pwrite(self._handle, image.tobytes(), self._start + row * self._size)
        except OSError as error:
            raise StoreError(
                f"cannot write to the cache folder ({error.strerror or error}); free space, name another one "
                "(--cache-dir) or keep fewer pixels (--pixel-cache)"
            ) from error
        self._filled[row] = True

    def _got(self, row: int) -> NDArray[np.uint8]:
        content = os.pread(self._handle, self._size, self._start + row * self._size)
        return np.frombuffer(content, dtype=np.uint8).reshape(self._decoded.shape[1:])

    def move_to(self, path: Path) -> None:
        self._path.replace(path)
        path.chmod(0o644)

    def close(self) -> None:
        os.close(self._handle)
        self._path.unlink(missing_ok=True)


def stand_ins(keys: Sequence[str], n: int) -> NDArray[np.uint8]:
    """Return what stands for the digests of images that nobody has seen, different for all, uint8, shape (n, 16).

    Args:
        keys: what tells the set from others.
        n: number of its images.
    """
    from oodbench.hashing.values import digest

    digests = np.empty((n, 16), dtype=np.uint8)
    digests[:, :8] = np.frombuffer(bytes.fromhex(digest(list(keys)))[:8], dtype=np.uint8)
    digests[:, 8:] = np.arange(n, dtype=np.uint64).view(np.uint8).reshape(n, 8)
    return digests
