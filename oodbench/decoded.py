"""Images that are decoded when they are asked for: by threads, ahead of whoever asks, in order and bounded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from .errors import DataError
from .image_rows import Rows
from .images import Conversion, check_alike, check_bright, converted, digest_of, is_deep

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image


class Gallery(Protocol):
    """Pictures that are decoded by index, in any thread and any order."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Image:
        """Return the pixels of an image.

        Raises:
            DataError: it cannot be decoded; the message names it.
        """


class _Decoded(NamedTuple):
    """An image as a thread hands it over.

    Attributes:
        pixels: uint8, shape (channels, height, width).
        digest: see `digest_of`.
        brightest: its largest value, of an image with 16 bits a channel; else None.
        fault: why it could not be decoded; its pixels are then black.
    """

    pixels: NDArray[np.uint8]
    digest: bytes
    brightest: int | None = None
    fault: str = ""


class DecodedImages(Rows):
    """Images of files, decoded and converted when they are asked for.

    Decoding, resizing and hashing let go of Python's lock, so threads do as well as processes, and hand over pixels at
    no cost. Each image is hashed where it is decoded: whoever has gone through all rows once has their digests.

    Args:
        gallery: gives each picture.
        conversion: what they are brought to.
        name: of the set, for messages.
        skip_damaged: whether a picture that cannot be decoded is black, and noted, instead of an error.
    """

    def __init__(self, gallery: Gallery, conversion: Conversion, name: str, *, skip_damaged: bool = False) -> None:
        import numpy as np

        self._gallery, self._conversion, self._name, self._skips = gallery, conversion, name, skip_damaged
        self._faults: dict[int, str] = {}
        self._brightest: int | None = None
        self._waiting: dict[int, Future[_Decoded]] = {}
        super().__init__((len(gallery), *self._shape_of_an_image()))
        self.learned = np.zeros((len(self), 16), dtype=np.uint8)
        self.seen = np.zeros(len(self), dtype=bool)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_waiting": {}}

    @property
    def damaged(self) -> Mapping[int, str]:
        """Which of the rows that were seen could not be decoded, and why."""
        return self._faults

    def know(self, seen: NDArray[np.bool_], learned: NDArray[np.uint8], faults: Mapping[int, str]) -> None:
        """Take over what was learned of rows in an earlier start.

        Args:
            seen: which rows, shape (n,).
            learned: their digests, shape (n, 16); of other rows anything.
            faults: which of them could not be decoded, and why.

        Raises:
            DataError: some could not be decoded, and are not to be left out.
        """
        self.seen, self.learned = seen.copy(), learned.copy()
        for row, fault in faults.items():
            self._note_fault(row, fault)

    def take(self, rows: NDArray[np.intp], ahead: NDArray[np.intp] | None = None) -> NDArray[np.uint8]:
        """Return images, and let threads begin with those that come next.

        Raises:
            DataError: one cannot be decoded, or has another size than the others; the message names it.
        """
        import numpy as np

        line: list[int] = [*rows.tolist(), *(() if ahead is None else ahead.tolist())]
        wanted = set(line)
        # Whoever jumps elsewhere does not come back for what was made ready.
        for row in [row for row in self._waiting if row not in wanted]:
            self._waiting.pop(row).cancel()
        images = np.empty((len(rows), *self.shape[1:]), dtype=np.uint8)
        begun = 0
        for i, row in enumerate(line[: len(rows)]):
            while begun < min(len(line), i + 1 + self.window):
                self._begin(line[begun])
                begun += 1
            # The same row may stand there twice.
            decoded = self._begin(row).result()
            del self._waiting[row]
            images[i] = self._noted(row, decoded)
        if self._brightest is not None and self.seen.all():
            check_bright(self._brightest, self._name)
        return images

    def _begin(self, row: int) -> Future[_Decoded]:
        if row not in self._waiting:
            self._waiting[row] = _pool().submit(self._decode, row)
        return self._waiting[row]

    def _decode(self, row: int) -> _Decoded:
        import numpy as np

        try:
            picture = self._gallery[row]
        except DataError as error:
            if not self._skips:
                raise
            return _Decoded(np.zeros(self.shape[1:], dtype=np.uint8), bytes(16), fault=str(error))
        image = converted(picture, self._conversion, self._name)
        pixels = channels_first(image)
        check_alike(pixels.shape, self.shape[1:], self._name)
        return _Decoded(pixels, digest_of(pixels), int(image.max()) if is_deep(picture) else None)

    def _noted(self, row: int, decoded: _Decoded) -> NDArray[np.uint8]:
        """Return the pixels of an image, after what is to be learned of it was."""
        import numpy as np

        if not self.seen[row]:
            self.learned[row] = np.frombuffer(decoded.digest, dtype=np.uint8)
            self.seen[row] = True
            if decoded.brightest is not None:
                self._brightest = max(self._brightest or 0, decoded.brightest)
        if decoded.fault:
            self._note_fault(row, decoded.fault)
        return decoded.pixels

    def _note_fault(self, row: int, fault: str) -> None:
        if not self._skips:
            raise DataError(fault)
        self._faults[row] = fault

    def _shape_of_an_image(self) -> tuple[int, int, int]:
        """Return channels, height and width; where the conversion leaves them open, as the first image has them."""
        size, channels = self._conversion.size, self._conversion.channels
        if size is not None and channels is not None:
            return channels, *size
        faults = []
        for row in range(len(self._gallery)):
            try:
                picture = self._gallery[row]
            except DataError as error:
                faults.append(error)
                if self._skips:
                    continue
                raise
            channels, height, width = channels_first(converted(picture, self._conversion, self._name)).shape
            return channels, height, width
        raise faults[0] if faults else DataError(f"{self._name} holds no images; an empty set cannot be used or scored")


def channels_first(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return pixels of shape (height, width) or (height, width, channels) with the channels first, in one piece."""
    import numpy as np

    return np.ascontiguousarray(image[np.newaxis] if image.ndim == 2 else image.transpose(2, 0, 1))


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_MOST_THREADS = 32


@cache
def _pool() -> ThreadPoolExecutor:
    """Return the threads that decode for all sets of this process."""
    return ThreadPoolExecutor(min(_MOST_THREADS, processors()), thread_name_prefix="decoding")
