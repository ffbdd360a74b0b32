"""The resized OOD sets of the ODIN authors' archives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from oodbench.api import Location
from oodbench.errors import DataError
from oodbench.images import Conversion, RawImages

from .folder import ImageFolder, read_folder


@dataclass(frozen=True, kw_only=True)
class OdinArchive:
    """Base of the sets that are unpacked from one of the archives: a folder of images, without labels or splits.

    A folder or ZIP of the set's own name, laid out as users' own images are, does as well.
    """

    folder_name: ClassVar[str]
    archive: ClassVar[str]
    url: ClassVar[str]
    source: ClassVar[str] = "Liang et al., ICLR 2018 (archives of the ODIN authors)"
    downloadable: ClassVar[bool] = False

    @property
    def how_to_get(self) -> str:
        """The address of the archive, and where to unpack it."""
        return (
            f"Download {self.url} and unpack it into the data folder, so that its folder {self.archive} lies there; "
            f"or put your own images into {self.folder_name}/test."
        )

    def _places(self, data_dir: Path) -> list[Path]:
        # The archives hold a folder of their own name in which some lie once more.
        return [data_dir / self.archive / self.archive, data_dir / self.archive]

    def locate(self, split: str, data_dir: Path) -> Location:
        """Look for the unpacked archive, then for a folder or ZIP of the set's own name; there is only a test split."""
        own = ImageFolder(name=self.folder_name).locate(split, data_dir)
        found = [place for place in self._places(data_dir) if split == "test" and place.is_dir()][:1]
        if not found:
            return replace(own, looked_for=(data_dir / self.archive, *own.looked_for))
        return Location(files=(found[0],), looked_for=(found[0],))

    def read(self, split: str, data_dir: Path, conversion: Conversion) -> RawImages:
        """Return the images, in the order of their file names.

        Raises:
            DataError: there are none, or one cannot be decoded; the message names it.
        """
        (place,) = self.locate(split, data_dir).files
        if place in self._places(data_dir):
            return read_folder(place)
        return ImageFolder(name=self.folder_name).read(split, data_dir, conversion)

    def download(self, data_dir: Path) -> None:
        """Refuse: the archives are not ours to fetch.

        Raises:
            DataError: always; it says what to do.
        """
        raise DataError(f"{self.folder_name} cannot be downloaded. {self.how_to_get}")


@dataclass(frozen=True, kw_only=True)
class TinyImageNet(OdinArchive):
    """10,000 images of Tiny ImageNet, resized to 32×32.

    Source: Liang et al., ICLR 2018. Files: `Imagenet_resize/` in the data folder.
    """

    title: ClassVar[str] = "Tiny ImageNet, resized to 32×32 colour, 10,000 (test only)"
    folder_name: ClassVar[str] = "tiny_imagenet"
    archive: ClassVar[str] = "Imagenet_resize"
    url: ClassVar[str] = "https://www.dropbox.com/s/kp3my3412u5k9rl/Imagenet_resize.tar.gz"


@dataclass(frozen=True, kw_only=True)
class LSUN(OdinArchive):
    """10,000 scenes of LSUN, resized to 32×32.

    Source: Liang et al., ICLR 2018. Files: `LSUN_resize/` in the data folder.
    """

    title: ClassVar[str] = "LSUN scenes, resized to 32×32 colour, 10,000 (test only)"
    folder_name: ClassVar[str] = "lsun"
    archive: ClassVar[str] = "LSUN_resize"
    url: ClassVar[str] = "https://www.dropbox.com/s/moqh2wh8696c3yl/LSUN_resize.tar.gz"


@dataclass(frozen=True, kw_only=True)
class TinyImageNetCrop(OdinArchive):
    """10,000 patches of images of Tiny ImageNet.

    Source: Liang et al., ICLR 2018. Files: `Imagenet/` in the data folder.
    """

    title: ClassVar[str] = "Tiny ImageNet, cropped, colour, 10,000 (test only)"
    folder_name: ClassVar[str] = "tiny_imagenet_crop"
    archive: ClassVar[str] = "Imagenet"
    url: ClassVar[str] = "https://www.dropbox.com/s/avgm2u562itwpkl/Imagenet.tar.gz"


@dataclass(frozen=True, kw_only=True)
class LSUNCrop(OdinArchive):
    """10,000 patches of scenes of LSUN.

    Source: Liang et al., ICLR 2018. Files: `LSUN/` in the data folder.
    """

    title: ClassVar[str] = "LSUN scenes, cropped, colour, 10,000 (test only)"
    folder_name: ClassVar[str] = "lsun_crop"
    archive: ClassVar[str] = "LSUN"
    url: ClassVar[str] = "https://www.dropbox.com/s/fhtsw1m3qxlwj6h/LSUN.tar.gz"


@dataclass(frozen=True, kw_only=True)
class ISUN(OdinArchive):
    """8,925 scenes of iSUN, resized to 32×32.

    Source: Liang et al., ICLR 2018. Files: `iSUN/` in the data folder.
    """

    title: ClassVar[str] = "iSUN scenes, resized to 32×32 colour, 8,925 (test only)"
    folder_name: ClassVar[str] = "isun"
    archive: ClassVar[str] = "iSUN"
    url: ClassVar[str] = "https://www.dropbox.com/s/ssz7qxfqae0cca5/iSUN.tar.gz"
