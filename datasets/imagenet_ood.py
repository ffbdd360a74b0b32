"""OOD sets for ImageNet classifiers as their authors lay them out: SSB, NINCO and ImageNet-OOD."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from oodbench.api import Location
from oodbench.errors import DataError
from oodbench.files import Pictures, none_in, printable, walk
from oodbench.images import Conversion, RawImages

from ._centre import Centres
from ._listed import read_list
from .folder import read_folder

_LARGER = 256 / 224
"""The shorter side of an image before the centre is cut out, as a multiple of the centre's."""


@dataclass(frozen=True, kw_only=True)
class _ImageNetOod:
    """Base of the sets: test images in folders of classes, which a user fetches.

    Attributes:
        centre: cuts out the centre of each image after its shorter side was brought to 8/7 of the size that the
            benchmark asks for, as ImageNet classifiers are tested (256 and 224); else the whole image is resized.
    """

    folder_name: ClassVar[str]
    downloadable: ClassVar[bool] = False
    how_to_get: ClassVar[str]

    centre: bool = True

    @abstractmethod
    def _images(self, data_dir: Path) -> RawImages:
        """Return the images as they are."""

    def read(self, split: str, data_dir: Path, conversion: Conversion) -> RawImages:
        """Return the test images, decoded one after another.

        Raises:
            DataError: there are none, or one cannot be decoded; the message names it.
        """
        raw, size = self._images(data_dir), conversion.size
        if not self.centre or size is None or not isinstance(raw.images, Pictures):
            return raw
        centres = Centres(raw.images, round(max(size) * _LARGER), size)
        return RawImages(images=centres, labels=raw.labels, class_names=raw.class_names, notes=raw.notes)

    def download(self, data_dir: Path) -> None:
        """Refuse: the images are not ours to fetch.

        Raises:
            DataError: always; it says what to do.
        """
        raise DataError(f"{self.folder_name} cannot be downloaded. {self.how_to_get}")


@dataclass(frozen=True, kw_only=True)
class NINCO(_ImageNetOod):
    """NINCO: 5,879 images of 64 classes, each checked by hand to show nothing that ImageNet-1K has a class for.

    Source: Bitterwolf et al., "In or Out? Fixing ImageNet Out-of-Distribution Detection Evaluation", ICML 2023.
    Files: `NINCO/NINCO_OOD_classes/<class>/*` in the data folder, as its archive is unpacked.
    """

    title: ClassVar[str] = "NINCO: images of no ImageNet class, checked one by one (test only)"
    source: ClassVar[str] = "Bitterwolf et al., ICML 2023"
    folder_name: ClassVar[str] = "ninco"
    how_to_get: ClassVar[str] = (
        "Download the archive that https://github.com/j-cb/NINCO names and unpack it into the data folder, so that "
        "NINCO/NINCO_OOD_classes lies there."
    )

    def locate(self, split: str, data_dir: Path) -> Location:
        """Look for the folder of classes; there is only a test split."""
        place = data_dir / "NINCO" / "NINCO_OOD_classes"
        return _folder(place if split == "test" and place.is_dir() else None, (place,))

    def _images(self, data_dir: Path) -> RawImages:
        return read_folder(data_dir / "NINCO" / "NINCO_OOD_classes")


@dataclass(frozen=True, kw_only=True)
class SSB(_ImageNetOod):
    """ImageNet's part of the Semantic Shift Benchmark: classes of ImageNet-21K-P, near to or far from known ones.

    Source: Vaze et al., "Open-Set Recognition: A Good Closed-Set Classifier is All You Need?", ICLR 2022.
    Files: `ssb/imagenet_ssb_splits.json`, of its repository, and `ssb/imagenet21k_val/<synset>/*`, which its download
    script makes. OpenOOD's ssb_hard is a copy of the hard half.

    Attributes:
        level: "hard" for the classes nearest to ImageNet-1K's, "easy" for the others.
    """

    title: ClassVar[str] = "Semantic Shift Benchmark, ImageNet: 1,000 hard or easy classes of ImageNet-21K (test only)"
    source: ClassVar[str] = "Vaze et al., ICLR 2022"
    folder_name: ClassVar[str] = "ssb"
    how_to_get: ClassVar[str] = (
        "Run download_datasets(['imagenet_21k']) of https://github.com/sgvaze/SSB, move the folder imagenet21k_val "
        "that it makes into ssb/ in the data folder, and copy SSB/splits/imagenet_ssb_splits.json beside it."
    )

    level: Literal["hard", "easy"] = "hard"

    def locate(self, split: str, data_dir: Path) -> Location:
        """Look for the list of classes and for the folder of their images; there is only a test split."""
        splits, place = self._places(data_dir)
        there = split == "test" and splits.is_file() and place.is_dir()
        return Location(files=(splits, place) if there else (), looked_for=(splits, place), present=there)

    def _places(self, data_dir: Path) -> tuple[Path, Path]:
        home = data_dir / self.folder_name
        return home / "imagenet_ssb_splits.json", home / "imagenet21k_val"

    def _images(self, data_dir: Path) -> RawImages:
        splits, place = self._places(data_dir)
        classes = sorted(set(_classes(splits, self.level.capitalize())))
        there = {path.name for path in place.iterdir() if path.is_dir()}
        if lost := [name for name in classes if name not in there]:
            raise DataError(
                f"{printable(str(place))} lacks {len(lost)} of the {len(classes)} {self.level} classes, such as "
                f"{lost[0]}; fetch them too"
            )
        sources, labels = [], []
        for label, name in enumerate(classes):
            found = walk(place / name)
            if not found.images:
                raise DataError(none_in(place / name, found))
            sources += list(found.images.values())
            labels += [label] * len(found.images)
        return RawImages(images=Pictures(sources), labels=labels, class_names=tuple(classes))


@dataclass(frozen=True, kw_only=True)
class ImageNetOOD(_ImageNetOod):
    """ImageNet-OOD: 31,807 images of 637 classes of ImageNet-21K with new meaning and little other shift.

    Source: Yang et al., "ImageNet-OOD: Deciphering Modern Out-of-Distribution Detection Algorithms", ICLR 2024.
    Files: `imagenet-ood/imagenetood.txt`, of its repository (a line: `synset/synset_number.JPEG`), and the images that
    it names below `imagenet-ood/`, or below `imagenet21k/` beside that.
    """

    title: ClassVar[str] = "ImageNet-OOD: new classes of ImageNet-21K with little other shift (test only)"
    source: ClassVar[str] = "Yang et al., ICLR 2024"
    folder_name: ClassVar[str] = "imagenet-ood"
    how_to_get: ClassVar[str] = (
        "Copy imagenetood.txt of https://github.com/princetonvisualai/imagenetood into imagenet-ood/ in the data "
        "folder, and the images that it names beside it, or have the whole of ImageNet-21K in imagenet21k/<synset>/."
    )

    def locate(self, split: str, data_dir: Path) -> Location:
        """Look for the list, and for the first image that it names; there is only a test split."""
        place, roots = self._places(data_dir)
        if split != "test" or not place.is_file():
            return Location(looked_for=(place,), present=False)
        root = self._root(place, roots)
        if root is None:
            return Location(looked_for=roots, present=False)
        return Location(files=(place,), listed=read_list(place, root).paths, looked_for=(place, root))

    def _places(self, data_dir: Path) -> tuple[Path, tuple[Path, ...]]:
        home = data_dir / self.folder_name
        return home / "imagenetood.txt", (home, data_dir / "imagenet21k")

    def _root(self, place: Path, roots: Sequence[Path]) -> Path | None:
        return next((root for root in roots if read_list(place, root).paths[0].is_file()), None)

    def _images(self, data_dir: Path) -> RawImages:
        place, roots = self._places(data_dir)
        paths = read_list(place, self._root(place, roots)).paths
        classes = sorted({path.parent.name for path in paths})
        label_of = {name: label for label, name in enumerate(classes)}
        labels = [label_of[path.parent.name] for path in paths]
        return RawImages(images=Pictures(paths), labels=labels, class_names=tuple(classes))


def _folder(place: Path | None, looked_for: tuple[Path, ...]) -> Location:
    return Location(files=() if place is None else (place,), looked_for=looked_for, present=place is not None)


def _classes(file: Path, level: str) -> list[str]:
    """Return the unknown classes of a level, as a list of splits names them.

    Raises:
        DataError: it is no such list.
    """
    try:
        names = json.loads(file.read_text(encoding="utf-8"))["unknown_classes"][level]
        return [str(name) for name in names]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{printable(str(file))} does not say which classes are {level.lower()} ({type(error).__name__}: {error}); "
            "copy imagenet_ssb_splits.json of the SSB repository again"
        ) from error
