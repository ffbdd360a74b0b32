"""Images in rows that are asked for by index: those of a file that is opened then, and some of others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import StoreError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class _Rows:
    """What rows have in common with an array.

    Args:
        shape: (n, channels, height, width).
    """

    ndim = 4

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        """Of the pixels: uint8."""
        import numpy as np

        return np.dtype(np.uint8)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        """Return what the array of all images has: such as its mean, or its pixels in another shape."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self[:], name)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: FBT001  # NumPy's own
        import numpy as np

        return np.array(self[:], dtype=dtype, copy=True if copy is None else copy)


class MappedImages(_Rows):
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

    def _opened(self) -> NDArray[np.uint8]:
        import numpy as np

        try:
            mapped: NDArray[np.uint8] = np.load(self._file, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise StoreError(f"{self._file} cannot be read ({error}); run the command again to make it") from error
        if mapped.shape != self.shape or mapped.dtype != self.dtype:
            raise StoreError(f"{self._file} is not what it was; run the command again to make it")
        return mapped


class ChosenImages(_Rows):
    """Some rows of others, which are read when they are asked for.

    Args:
        images: an array of shape (n, channels, height, width), or such rows.
        chosen: which, integers of shape (m,).
    """

    def __init__(self, images: Any, chosen: NDArray[np.intp]) -> None:
        super().__init__((len(chosen), *images.shape[1:]))
        self._images, self._chosen = images, chosen

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        """Return images."""
        rows: NDArray[np.uint8] = self._images[self._chosen[index]]
        return rows
