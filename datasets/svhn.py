"""Street View House Numbers, cropped digits (format 2)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from oodbench.images import RawImages

from ._torchvision import TorchvisionSet


@dataclass(frozen=True, kw_only=True)
class SVHN(TorchvisionSet):
    """Digits of house numbers, 32×32 colour: 73,257 for training and 26,032 for testing, for non-commercial use only.

    Source: Netzer et al., NIPS workshop 2011. Files: `{train,test}_32x32.mat` in `svhn/`, or right in the data folder.
    """

    title: ClassVar[str] = "House-number digits, 32×32 colour, 73,257 + 26,032 (non-commercial)"
    source: ClassVar[str] = "Netzer et al. 2011"
    folder_name: ClassVar[str] = "svhn"

    def native_files(self, split: str, data_dir: Path) -> list[tuple[Path, ...]]:
        """Return the MATLAB file of a split, in `svhn/` or in the data folder itself."""
        return [(folder / f"{split}_32x32.mat",) for folder in (data_dir / "svhn", data_dir)]

    def read_native(self, split: str, files: tuple[Path, ...]) -> RawImages:
        """Return the images and labels of a MATLAB file; torchvision compares its checksum and makes label 10 a 0."""
        from torchvision.datasets import SVHN as TorchvisionSVHN

        svhn = TorchvisionSVHN(str(files[0].parent), split=split)
        return RawImages(
            images=svhn.data.transpose(0, 2, 3, 1),
            labels=svhn.labels,
            class_names=tuple("0123456789"),
        )

    def download_native(self, data_dir: Path) -> None:
        """Fetch the MATLAB files of both splits into `svhn/`."""
        from torchvision.datasets import SVHN as TorchvisionSVHN

        for split in ("train", "test"):
            TorchvisionSVHN(str(data_dir / "svhn"), split=split, download=True)
