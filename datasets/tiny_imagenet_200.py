"""Tiny ImageNet as it was published, and its images kept apart for training as outliers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from oodbench.api import Location
from oodbench.errors import DataError
from oodbench.files import Pictures, none_in, printable, read_file, walk
from oodbench.images import Conversion, RawImages

from .odin_archives import OdinArchive, TinyImageNet, TinyImageNetCrop

HOME = "tiny-imagenet-200"

_GET = (
    "Download http://cs231n.stanford.edu/tiny-imagenet-200.zip and unpack it into the data folder, so that "
    "tiny-imagenet-200/ lies there."
)


@dataclass(frozen=True, kw_only=True)
class TinyImageNet200:
    """Photos of 200 kinds of things, 64×64 colour: 100,000 for training, and the 10,000 for validation to test on.

    The published test images have no labels and are not read. Class names are WordNet's numbers, sorted.
    Source: Le & Yang, CS231N, Stanford 2015. Files: `tiny-imagenet-200/train/<number>/images/*` and
    `tiny-imagenet-200/val/images/*` with `val/val_annotations.txt` in the data folder.
    """

    title: ClassVar[str] = "Tiny ImageNet: 200 kinds of things, 64×64 colour, 100,000 + 10,000"
    source: ClassVar[str] = "Le & Yang 2015"
    how_to_get: ClassVar[str] = _GET
    downloadable: ClassVar[bool] = False

    def locate(self, split: str, data_dir: Path) -> Location:
        """Look for the folder of a split, and for the labels of the validation images."""
        train, (images, labels) = data_dir / HOME / "train", _validation(data_dir)
        if split == "train":
            there = train.is_dir()
            return Location(files=(train,) if there else (), looked_for=(train,), present=there)
        there = images.is_dir() and labels.is_file()
        return Location(files=(images, labels) if there else (), looked_for=(images, labels), present=there)

    def read(self, split: str, data_dir: Path, conversion: Conversion) -> RawImages:
        """Return the images of a split, decoded one after another.

        Raises:
            DataError: there are none, one has no label or cannot be decoded; the message names it.
        """
        if split == "train":
            return _training(data_dir / HOME / "train")
        return _tested(*_validation(data_dir))

    def download(self, data_dir: Path) -> None:
        """Refuse: the images are not ours to fetch.

        Raises:
            DataError: always; it says what to do.
        """
        raise DataError(f"tiny_imagenet_200 cannot be downloaded. {_GET}")


def _validation(data_dir: Path) -> tuple[Path, Path]:
    return data_dir / HOME / "val" / "images", data_dir / HOME / "val" / "val_annotations.txt"


def _training(place: Path) -> RawImages:
    found = walk(place)
    if not found.images:
        raise DataError(none_in(place, found))
    folders = [name.split("/", 1)[0] for name in found.images]
    class_names = tuple(sorted(set(folders)))
    label_of = {name: label for label, name in enumerate(class_names)}
    labels = [label_of[folder] for folder in folders]
    return RawImages(images=Pictures(list(found.images.values())), labels=labels, class_names=class_names)


def _tested(images: Path, labels: Path) -> RawImages:
    lines = read_file(labels).decode("utf-8", errors="replace").splitlines()
    class_of = dict(line.split()[:2] for line in lines if len(line.split()) >= 2)
    found = walk(images)
    if not found.images:
        raise DataError(none_in(images, found))
    if lost := [name for name in found.images if name not in class_of]:
        raise DataError(
            f"{printable(str(labels))} has no label for {len(lost)} of the {len(found.images)} images beside it, such "
            f"as {lost[0]}; unpack tiny-imagenet-200.zip again"
        )
    class_names = tuple(sorted({class_of[name] for name in found.images}))
    label_of = {name: label for label, name in enumerate(class_names)}
    return RawImages(
        images=Pictures(list(found.images.values())),
        labels=[label_of[class_of[name]] for name in found.images],
        class_names=class_names,
    )


@dataclass(frozen=True, kw_only=True)
class TinyImageNetApart:
    """Tiny ImageNet as outliers to train on, and as test images only where these are others.

    Outliers are the 100,000 training images of `tiny_imagenet_200` where they are in the data folder; then the images
    of `tiny_imagenet` (the ODIN authors' archive, made of other images) can be tested on. Else the images of
    `tiny_imagenet` are the outliers, all of them, and there is nothing to test on. No labels.
    It stands where papers train on 80 Million Tiny Images, which was withdrawn in 2020.

    Attributes:
        crop: tests on `tiny_imagenet_crop` instead, which is made of the images of `tiny_imagenet`.
    """

    title: ClassVar[str] = "Tiny ImageNet: outliers to train on, kept apart from what is tested"
    source: ClassVar[str] = "Le & Yang 2015; Liang et al. 2018"
    how_to_get: ClassVar[str] = f"{_GET} To test on Tiny ImageNet as well, see: oodbench data tiny_imagenet."
    downloadable: ClassVar[bool] = False

    crop: bool = False

    def locate(self, split: str, data_dir: Path) -> Location:
        """Look for the training images of Tiny ImageNet, then for its images in the ODIN authors' archives."""
        apart = TinyImageNet200().locate("train", data_dir)
        if split == "train":
            kept = apart if apart.present else TinyImageNet().locate("test", data_dir)
            return replace(kept, looked_for=(*apart.looked_for, *kept.looked_for))
        return self._archive.locate("test", data_dir) if apart.present else apart

    @property
    def _archive(self) -> OdinArchive:
        return TinyImageNetCrop() if self.crop else TinyImageNet()

    def read(self, split: str, data_dir: Path, conversion: Conversion) -> RawImages:
        """Return the images of a split, decoded one after another.

        Raises:
            DataError: there are none, or one cannot be decoded; the message names it.
        """
        whole = TinyImageNet200()
        if split == "test":
            return self._archive.read("test", data_dir, conversion)
        if whole.locate("train", data_dir).present:
            return replace(whole.read("train", data_dir, conversion), labels=None, class_names=())
        return replace(TinyImageNet().read("test", data_dir, conversion), labels=None, class_names=())

    def download(self, data_dir: Path) -> None:
        """Refuse: the images are not ours to fetch.

        Raises:
            DataError: always; it says what to do.
        """
        raise DataError(f"tiny_imagenet_apart cannot be downloaded. {self.how_to_get}")
