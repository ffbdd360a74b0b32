"""Shared by the data sets that torchvision reads: native files first, then a folder or ZIP of that name."""

from __future__ import annotations

import contextlib
import http.client
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from oodbench.api import Location
from oodbench.errors import DataError
from oodbench.images import Conversion, RawImages

from .folder import ImageFolder


@dataclass(frozen=True, kw_only=True)
class TorchvisionSet(ABC):
    """Base of the data sets that torchvision downloads, checks and reads."""

    folder_name: ClassVar[str]
    downloadable: ClassVar[bool] = True

    @property
    def how_to_get(self) -> str:
        """The command, and the way without it."""
        return f"Run: oodbench data --download {self.folder_name} (or put a folder or ZIP of images there)."

    @abstractmethod
    def native_files(self, split: str, data_dir: Path) -> list[tuple[Path, ...]]:
        """Return the alternatives of files in torchvision's layout, each whole in itself."""

    @abstractmethod
    def read_native(self, split: str, files: tuple[Path, ...]) -> RawImages:
        """Return the images of a split from one of these alternatives."""

    @abstractmethod
    def download_native(self, data_dir: Path) -> None:
        """Let torchvision fetch the files of all splits."""

    def locate(self, split: str, data_dir: Path) -> Location:
        """Look for the native files, then for a folder or ZIP of images."""
        alternatives = self.native_files(split, data_dir)
        for files in alternatives:
            if all(file.is_file() for file in files):
                return Location(files=files, looked_for=files)
        own = ImageFolder(name=self.folder_name).locate(split, data_dir)
        lacking = tuple(next(file for file in files if not file.is_file()) for files in alternatives)
        return replace(own, looked_for=lacking + own.looked_for)

    def read(self, split: str, data_dir: Path, conversion: Conversion) -> RawImages:
        """Return the images of a split.

        Raises:
            DataError: a file is damaged; the message names it.
        """
        files = self.locate(split, data_dir).files
        if files not in self.native_files(split, data_dir):
            return ImageFolder(name=self.folder_name).read(split, data_dir, conversion)
        with naming(files):
            return self.read_native(split, files)

    def download(self, data_dir: Path) -> None:
        """Fetch the official files of all splits; torchvision shows the progress and compares the checksums.

        Raises:
            DataError: the files cannot be fetched, or their checksums differ.
        """
        try:
            # What is printed on the way is no result.
            with contextlib.redirect_stdout(sys.stderr):
                self.download_native(data_dir)
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            raise DataError(
                f"{self.folder_name} could not be downloaded to {data_dir}: {error}; "
                "try again later, or put the files there by hand (oodbench data says where)"
            ) from error


@contextlib.contextmanager
def naming(files: tuple[Path, ...]) -> Iterator[None]:
    """Turn whatever a reader stumbles over into an error that names the files."""
    try:
        yield
    # The readers answer damaged files with anything from AssertionError to zlib.error.
    except Exception as error:
        listed = " or ".join(map(str, files))
        raise DataError(
            f"{listed} is damaged or not in the official format ({type(error).__name__}: {error}); "
            "delete it and download it again"
        ) from error
