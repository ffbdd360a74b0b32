"""CIFAR-10 and CIFAR-100 in their Python batches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from oodbench.images import RawImages

from ._torchvision import TorchvisionSet


@dataclass(frozen=True, kw_only=True)
class CIFAR10(TorchvisionSet):
    """Small photos of ten kinds of things, 32×32 colour: 50,000 for training and 10,000 for testing.

    Source: Krizhevsky, 2009. Files: `cifar-10-batches-py/` in the data folder.
    """

    title: ClassVar[str] = "Photos of ten kinds of things, 32×32 colour, 50,000 + 10,000"
    source: ClassVar[str] = "Krizhevsky 2009"
    folder_name: ClassVar[str] = "cifar10"
    native_folder: ClassVar[str] = "cifar-10-batches-py"
    batches: ClassVar[tuple[str, ...]] = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")

    @classmethod
    def _torchvision(cls) -> Any:
        from torchvision import datasets

        return datasets.CIFAR10

    def native_files(self, split: str, data_dir: Path) -> list[tuple[Path, ...]]:
        """Return the batch files of both splits (torchvision reads none without the others) and the class names'."""
        return [tuple(data_dir / self.native_folder / name for name in self.batches)]

    def read_native(self, split: str, files: tuple[Path, ...]) -> RawImages:
        """Return the images and labels of the batches; torchvision compares their checksums."""
        cifar = self._torchvision()(str(files[0].parent.parent), train=split == "train")
        return RawImages(images=cifar.data, labels=cifar.targets, class_names=tuple(cifar.classes))

    def download_native(self, data_dir: Path) -> None:
        """Fetch and unpack the archive."""
        self._torchvision()(str(data_dir), download=True)


@dataclass(frozen=True, kw_only=True)
class CIFAR100(CIFAR10):
    """Small photos of a hundred kinds of things, 32×32 colour: 50,000 for training and 10,000 for testing.

    Source: Krizhevsky, 2009. Files: `cifar-100-python/` in the data folder.
    """

    title: ClassVar[str] = "Photos of a hundred kinds of things, 32×32 colour, 50,000 + 10,000"
    folder_name: ClassVar[str] = "cifar100"
    native_folder: ClassVar[str] = "cifar-100-python"
    batches: ClassVar[tuple[str, ...]] = ("train", "test", "meta")

    @classmethod
    def _torchvision(cls) -> Any:
        from torchvision import datasets

        return datasets.CIFAR100
