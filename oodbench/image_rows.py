"""Images in rows that are asked for by index: those of a mapped file, some of others, or one set after another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import StoreError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

READ_AHEAD = 32 << 20
"""Bytes of pixels that may be made ready before they are asked for."""


class Rows:
    """What rows have in common with an array.

    Whoever asks for consecutive ones, part by part, is taken to go on so: what follows is made ready meanwhile.

    Args:
        shape: (n, channels, height, width).
    """

    ndim = 4

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self._end = -1

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        """Of the pixels: uint8."""
        import numpy as np

        return np.dtype(np.uint8)

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels."""
        n, channels, height, width = self.shape
        return n * channels * height * width

    @property
    def window(self) -> int:
        """How many rows may be made ready before they are asked for."""
        return max(16, min(1024, READ_AHEAD // max(1, self.nbytes // max(1, len(self)))))

    @property
    def digests(self) -> NDArray[np.uint8] | None:
        """What tells each image from all others, uint8, shape (n, 16); None where the rows do not know."""
        return None

    @property
    def identity(self) -> str | None:
        """What tells these rows from others before all of them were seen; None where all were, or no matter."""
        return None

    @property
    def source(self) -> Rows:
        """The rows that these are some of; themselves where they are a whole."""
        return self

    @property
    def damaged(self) -> Mapping[int, str]:
        """Which rows stand for images that could not be decoded, and why; they are known once all were seen."""
        return {}

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        for start in range(0, len(self), self.window):
            yield from self[start : start + self.window]

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        """Return images at an index of any kind that arrays take for their first dimension."""
        import numpy as np

        rows = _positions(index, len(self))
        if rows.ndim == 0:
            image: NDArray[np.uint8] = self.take(rows[np.newaxis])[0]
            return image
        return self.take(rows, self._following(rows))

    def take(self, rows: NDArray[np.intp], ahead: NDArray[np.intp] | None = None) -> NDArray[np.uint8]:
        """Return images.

        Args:
            rows: which, shape (m,).
            ahead: which will probably be asked for next, at most `window` of them.

        Returns:
            uint8, shape (m, channels, height, width).
        """
        raise NotImplementedError

    def _following(self, rows: NDArray[np.intp]) -> NDArray[np.intp] | None:
        """Return what will be asked for next where rows follow those of the last request."""
        import numpy as np

        if not len(rows):
            return None
        first, last = int(rows[0]), int(rows[-1])
        goes_on = first == self._end and last - first == len(rows) - 1
        self._end = last + 1
        return np.arange(last + 1, min(last + 1 + self.window, len(self))) if goes_on else None

    def __getattr__(self, name: str) -> Any:
        """Return what the array of all images has: such as its mean, or its pixels in another shape."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self[:], name)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: FBT001  # NumPy's own
        import numpy as np

        return np.array(self[:], dtype=dtype, copy=True if copy is None else copy)


class MappedImages(Rows):
    """Images in a file, which is opened, and mapped into memory, when the first of them are asked for.

    To send them to another process costs no more than to send the file's name.

    Args:
        file: a `.npy` file of uint8.
        shape: of what it holds: (n, channels, height, width).
    """

    def __init__(self, file: Path, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self._file = file
        self._mapped: NDArray[np.uint8] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_mapped": None}

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        """Return images; those of a slice are still in the file.

        Raises:
            StoreError: the file is gone, or is another one.
        """
        if self._mapped is None:
            self._mapped = self._opened()
        rows: NDArray[np.uint8] = self._mapped[index]
        return rows

    def take(self, rows: NDArray[np.intp], ahead: NDArray[np.intp] | None = None) -> NDArray[np.uint8]:
        """Return images; the system reads ahead.

        Raises:
            StoreError: the file is gone, or is another one.
        """
        return self[rows]

    def _opened(self) -> NDArray[np.uint8]:
        import numpy as np

        try:
            mapped: NDArray[np.uint8] = np.load(self._file, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise StoreError(f"{self._file} cannot be read ({error}); run the command again to make it") from error
        if mapped.shape != self.shape or mapped.dtype != self.dtype:
            raise StoreError(f"{self._file} is not what it was; run the command again to make it")
        return mapped


class ChosenImages(Rows):
    """Some rows of others, which are read when they are asked for.

    Args:
        images: an array of shape (n, channels, height, width), or such rows.
        chosen: which, integers of shape (m,).
    """

    def __init__(self, images: Any, chosen: NDArray[np.intp]) -> None:
        super().__init__((len(chosen), *images.shape[1:]))
        self._images, self._chosen = images, chosen

    @property
    def digests(self) -> NDArray[np.uint8] | None:
        """Those of the chosen rows, where the others know theirs."""
        whole = self._images.digests if isinstance(self._images, Rows) else None
        return None if whole is None else whole[self._chosen]

    @property
    def identity(self) -> str | None:
        """That of the others, and which are chosen."""
        from .hashing.values import array_digest

        whole = self._images.identity if isinstance(self._images, Rows) else None
        return None if whole is None else f"{whole} {array_digest(self._chosen)}"

    @property
    def source(self) -> Rows:
        """The rows that these are some of, where they are no array."""
        return self._images.source if isinstance(self._images, Rows) else self

    @property
    def damaged(self) -> Mapping[int, str]:
        """Those of the chosen rows."""
        whole = self._images.damaged if isinstance(self._images, Rows) else {}
        return {i: whole[row] for i, row in enumerate(self._chosen.tolist()) if row in whole} if whole else {}

    def take(self, rows: NDArray[np.intp], ahead: NDArray[np.intp] | None = None) -> NDArray[np.uint8]:
        """Return images."""
        return taken(self._images, self._chosen[rows], None if ahead is None else self._chosen[ahead])


class JoinedImages(Rows):
    """Rows of one after those of another.

    Args:
        first: an array of shape (n, channels, height, width), or such rows.
        second: the same, shape (m, channels, height, width).
    """

    def __init__(self, first: Any, second: Any) -> None:
        super().__init__((len(first) + len(second), *first.shape[1:]))
        self._parts = (first, second)

    def take(self, rows: NDArray[np.intp], ahead: NDArray[np.intp] | None = None) -> NDArray[np.uint8]:
        """Return images."""
        import numpy as np

        images = np.empty((len(rows), *self.shape[1:]), dtype=self.dtype)
        start = 0
        for part in self._parts:
            here = (rows >= start) & (rows < start + len(part))
            if here.any():
                then = None if ahead is None else ahead[(ahead >= start) & (ahead < start + len(part))] - start
                images[here] = taken(part, rows[here] - start, then)
            start += len(part)
        return images


def taken(images: Any, rows: NDArray[np.intp], ahead: NDArray[np.intp] | None = None) -> NDArray[np.uint8]:
    """Return images of an array, or of rows that are told which ones will probably be asked for next.

    Args:
        images: an array of shape (n, channels, height, width), or rows.
        rows: which, shape (m,).
        ahead: the next ones; None where nobody knows.
    """
    if isinstance(images, Rows):
        return images.take(rows, ahead)
    array: NDArray[np.uint8] = images[rows]
    return array


def _positions(index: Any, n: int) -> NDArray[np.intp]:
    """Return which of n rows an index stands for; of no dimension where it is a single one."""
    import numpy as np

    if isinstance(index, slice):
        return np.arange(*index.indices(n))
    if isinstance(index, np.ndarray) and index.dtype.kind == "i" and index.ndim == 1:
        if len(index) and not -n <= index.min() <= index.max() < n:
            raise IndexError(f"there are {n} images, and no image {index.max() if index.max() >= n else index.min()}")
        return np.where(index < 0, index + n, index)
    positions: NDArray[np.intp] = np.asarray(np.arange(n)[index])
    return positions
