"""MNIST and Fashion-MNIST in their IDX files, plain or compressed with gzip."""

from __future__ import annotations

import gzip
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from oodbench.images import RawImages

from ._torchvision import TorchvisionSet


@dataclass(frozen=True, kw_only=True)
class MNIST(TorchvisionSet):
    """Handwritten digits, 28×28 grey: 60,000 for training and 10,000 for testing.

    Source: LeCun, Cortes & Burges. Files: `MNIST/raw/*-ubyte` or `*-ubyte.gz` in the data folder.
    """

    title: ClassVar[str] = "Handwritten digits, 28×28 grey, 60,000 + 10,000"
    source: ClassVar[str] = "LeCun, Cortes & Burges 1998"
    folder_name: ClassVar[str] = "mnist"
    native_folder: ClassVar[str] = "MNIST"
    class_names: ClassVar[tuple[str, ...]] = tuple("0123456789")

    @classmethod
    def _torchvision(cls) -> Any:
        from torchvision import datasets

        return datasets.MNIST

    def native_files(self, split: str, data_dir: Path) -> list[tuple[Path, ...]]:
        """Return the IDX files of a split: plain ones, then compressed ones."""
        raw = data_dir / self.native_folder / "raw"
        stem = {"train": "train", "test": "t10k"}[split]
        plain = tuple(raw / f"{stem}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1"))
        return [plain, tuple(file.with_name(f"{file.name}.gz") for file in plain)]

    def read_native(self, split: str, files: tuple[Path, ...]) -> RawImages:
        """Return the images and labels of IDX files."""
        from torchvision.datasets.mnist import read_image_file, read_label_file

        with tempfile.TemporaryDirectory() as aside:
            images, labels = (_plain(file, Path(aside)) for file in files)
            return RawImages(
                images=read_image_file(str(images)).numpy(),
                labels=read_label_file(str(labels)).numpy(),
                class_names=self.class_names,
            )

    def download_native(self, data_dir: Path) -> None:
        """Fetch the four IDX files."""
        self._torchvision()(root=str(data_dir), download=True)


def _plain(file: Path, aside: Path) -> Path:
    """Return a file that is not compressed: itself, or a copy in the folder `aside`."""
    if file.suffix != ".gz":
        return file
    unpacked = aside / file.stem
    with gzip.open(file) as packed, unpacked.open("wb") as out:
        shutil.copyfileobj(packed, out)
    return unpacked


@dataclass(frozen=True, kw_only=True)
class FashionMNIST(MNIST):
    """Articles of clothing, 28×28 grey: 60,000 for training and 10,000 for testing.

    Source: Xiao, Rasul & Vollgraf, 2017. Files: as MNIST, in `FashionMNIST/raw/`.
    """

    title: ClassVar[str] = "Articles of clothing, 28×28 grey, 60,000 + 10,000"
    source: ClassVar[str] = "Xiao, Rasul & Vollgraf 2017"
    folder_name: ClassVar[str] = "fashion_mnist"
    native_folder: ClassVar[str] = "FashionMNIST"
    class_names: ClassVar[tuple[str, ...]] = (
        "tshirt",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle_boot",
    )

    @classmethod
    def _torchvision(cls) -> Any:
        from torchvision import datasets

        return datasets.FashionMNIST
