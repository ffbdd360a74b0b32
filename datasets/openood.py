"""The data folder of OpenOOD, as its download script lays it out: lists of images, and the images that they name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from oodbench.api import Location
from oodbench.errors import ConfigError, DataError
from oodbench.files import Pictures, printable
from oodbench.images import Conversion, RawImages

from ._centre import Centres
from ._listed import Listed, read_list
from .folder import in_class_order

VARIABLE = "OPENOOD_DATA"
LISTS = "benchmark_imglist"

UNKNOWN = "-1"
"""The label of images that are of no ID class."""


@dataclass(frozen=True, kw_only=True)
class OpenOodList:
    """The images of one of OpenOOD's lists: `benchmark_imglist/<benchmark>/<split>_<name>.txt`.

    The lists of its open-set splits lie a folder deeper: `benchmark_imglist/osr_mnist6/test/test_mnist_6_id_seed1.txt`.
    The folder is the data folder, or the one that `OPENOOD_DATA` names where the data folder has no
    `benchmark_imglist`. A line holds a path, which starts at `images_classic` or `images_largescale`, and a label: the
    index of an ID class, or -1. Class names are the indices as words ("0", "1", …), so that a covariate-shifted set
    that has some of the classes only keeps their names. A list with nothing but -1 has no labels.
    Source: Zhang et al., OpenOOD v1.5, 2023; the lists and folders of its public code (configs/datasets,
    openood/evaluation_api/datasets.py). Deviation: labels that are mappings of several labels are refused.

    Attributes:
        benchmark: folder of the list, such as "cifar10".
        name: what the list is called behind its split, such as "tin"; "" for the benchmark's own name.
        images: "classic" or "largescale", which of the two folders of images its paths start at.
        part: "train", "val" or "test" where the list is of another part than the split that is asked for; "" for that
            split. OpenOOD's validation images are lists of the part "val".
        shorter: brings the shorter side of an image to so many pixels and cuts out the centre, as OpenOOD tests; 0
            resizes the whole image to what the benchmark asks for.
        per_class: reads the first so many images of each class only; 0 for all.
        folders: whether lists lie in a folder that has the name of their split.
    """

    title: ClassVar[str] = "A list of OpenOOD's data folder"
    source: ClassVar[str] = "Zhang et al., OpenOOD v1.5, 2023"
    downloadable: ClassVar[bool] = False

    benchmark: str = "cifar10"
    name: str = ""
    images: Literal["classic", "largescale"] = "classic"
    part: Literal["", "train", "val", "test"] = ""
    shorter: int = 0
    per_class: int = 0
    folders: bool = False

    def __post_init__(self) -> None:
        for name in ("shorter", "per_class"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must not be negative, got {getattr(self, name)}; 0 leaves it out")
        for name in ("benchmark", "name"):
            if "/" in getattr(self, name):
                raise ConfigError(f"{name} is the name of a folder or a list, not a path: {getattr(self, name)!r}")

    @property
    def how_to_get(self) -> str:
        """What to run in a checkout of OpenOOD, and how the folder is named to us."""
        return (
            "Run OpenOOD's scripts/download/download.sh (https://github.com/Jingkang50/OpenOOD), and name its data "
            f"folder, which holds {LISTS}/ and images_{self.images}/: --data-dir, or {VARIABLE}."
        )

    def locate(self, split: str, data_dir: Path) -> Location:
        """Say whether the list, and the first image that it names, are there."""
        place, root = self._list(split, data_dir), self._root(data_dir)
        if not place.is_file():
            return Location(looked_for=(place,), present=False)
        listed = self._chosen(read_list(place, root))
        if not listed.paths[0].is_file():
            return Location(looked_for=(listed.paths[0],), present=False)
        return Location(files=(place,), listed=listed.paths, looked_for=(place, root))

    def read(self, split: str, data_dir: Path, conversion: Conversion) -> RawImages:
        """Return the images in the order of the list, decoded one after another.

        Raises:
            DataError: a line is none of an image with a label, or an image cannot be decoded; the message names it.
        """
        place = self._list(split, data_dir)
        listed = self._chosen(read_list(place, self._root(data_dir)))
        pictures = Pictures(listed.paths)
        # A conversion of another kind cuts out by itself, as the user said.
        cuts = self.shorter and type(conversion) is Conversion
        images = Centres(pictures, self.shorter, self._size(conversion)) if cuts else pictures
        if set(listed.labels) <= {UNKNOWN}:
            return RawImages(images=images)
        strange = next((label for label in listed.labels if not label.isdecimal()), None)
        if strange is not None:
            raise DataError(
                f"{printable(str(place))} has the label {strange!r} beside others; labels are indices of classes, or "
                f"all {UNKNOWN}"
            )
        class_names = in_class_order(set(listed.labels))
        label_of = {name: label for label, name in enumerate(class_names)}
        return RawImages(images=images, labels=[label_of[name] for name in listed.labels], class_names=class_names)

    def download(self, data_dir: Path) -> None:
        """Refuse: OpenOOD has a script for it.

        Raises:
            DataError: always; it says what to do.
        """
        raise DataError(f"OpenOOD's images cannot be downloaded. {self.how_to_get}")

    def _home(self, data_dir: Path) -> Path:
        named = os.environ.get(VARIABLE)
        return Path(named).expanduser() if named and not (data_dir / LISTS).is_dir() else data_dir

    def _list(self, split: str, data_dir: Path) -> Path:
        part, name = self.part or split, self.name or self.benchmark
        folder = self._home(data_dir) / LISTS / self.benchmark
        return (folder / part if self.folders else folder) / f"{part}_{name}.txt"

    def _root(self, data_dir: Path) -> Path:
        return self._home(data_dir) / f"images_{self.images}"

    def _size(self, conversion: Conversion) -> tuple[int, int]:
        size = conversion.size or (self.shorter, self.shorter)
        if max(size) > self.shorter:
            raise ConfigError(
                f"shorter={self.shorter} leaves no centre of {size[0]}×{size[1]} pixels; raise it, or leave it out"
            )
        return size

    def _chosen(self, listed: Listed) -> Listed:
        """Return the first images of each class, where not all are wanted."""
        if not self.per_class:
            return listed
        taken: dict[str, int] = {}
        kept = [i for i, label in enumerate(listed.labels) if self._takes(label, taken)]
        if not kept:
            return listed
        return Listed(paths=tuple(listed.paths[i] for i in kept), labels=tuple(listed.labels[i] for i in kept))

    def _takes(self, label: str, taken: dict[str, int]) -> bool:
        taken[label] = taken.get(label, 0) + 1
        return taken[label] <= self.per_class
