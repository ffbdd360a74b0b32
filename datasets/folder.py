"""A folder of images, or a ZIP of one: how users bring their own data."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from operator import itemgetter
from pathlib import Path
from typing import ClassVar

from oodbench.api import Location
from oodbench.errors import ConfigError, DataError
from oodbench.files import SHARE, Found, Pictures, by_suffix, first_folder, in_zip, none_in, printable, walk
from oodbench.images import Conversion, RawImages

from ._layout import in_archive, layout_of, on_disk
from ._listed import read_list

LIST = "images.txt"

_OTHERS = 200
"""So many other files may lie beside a few images."""


@dataclass(frozen=True, kw_only=True)
class ImageFolder:
    """Images in `<data folder>/<name>/{train,test}/<class>/*`, or in `<name>.zip` with that inside.

    `train` and `test` may have capitals and their usual other names (training_set, Test, val, …); validation images
    are the test set where there is no other, and else not read. Sets without labels have their images right in
    `train/` or `test/`. A folder or ZIP without these two is a test set as it is, or is divided by `test_share`. Both
    may hold one folder with everything in it. A test set can also be a list of paths, one a line and with a label
    behind it or without, in `<name>/images.txt`, as the public code of Masana et al. (BMVC 2018) reads them; relative
    ones start at the list's folder. Order: by class name, or by number where all class names are whole numbers, then
    by file name; that of a list is its own. Hidden files, and files that are no images, are passed over.

    Attributes:
        name: of the folder or ZIP, or its absolute path; with ".zip" behind it of the ZIP only.
        test_share: of a folder that is not divided, the share of each class that tests; the rest trains. Which images
            these are follows from their names alone. None takes all of them for testing.
    """

    title: ClassVar[str] = "Your own images: any folder, or a ZIP of one"
    source: ClassVar[str] = "<data folder>/<name>/{train,test}/<class>/*, or <name>.zip"
    how_to_get: ClassVar[str] = (
        "Put images into <data folder>/<name>/test/<class>/, or right into test/ where they have no labels."
    )
    downloadable: ClassVar[bool] = False

    name: str
    test_share: float | None = None

    def __post_init__(self) -> None:
        if self.test_share is not None and not 0.0 < self.test_share < 1.0:
            raise ConfigError(f"test_share must be between 0 and 1, got {self.test_share}")

    def locate(self, split: str, data_dir: Path) -> Location:
        """Say whether the folder of the split, or the ZIP, is there; the folder is looked for first."""
        whole, archive = self._folder(data_dir), self._archive(data_dir)
        looked_for = [*([whole / split] if whole else []), archive]
        if whole and whole.is_dir() and split == "test":
            looked_for.append(whole / LIST)
        try:
            place = self._place(split, data_dir)
        # What is wrong with it is said when it is read.
        except (DataError, OSError):
            there = whole if whole is not None and whole.is_dir() else archive
            return Location(files=(there,), looked_for=tuple(looked_for))
        if place is None:
            return Location(looked_for=tuple(looked_for), present=False)
        listed = read_list(place.file).paths if place.is_list else ()
        return Location(files=(place.file,), listed=listed, looked_for=tuple(looked_for), divided=place.divided)

    def read(self, split: str, data_dir: Path, conversion: Conversion) -> RawImages:
        """Return the images of a split, decoded one after another.

        Raises:
            DataError: the ZIP is damaged, there are no images, or one cannot be decoded; the message names it.
        """
        place = self._place(split, data_dir)
        if place is None:
            raise DataError(f"no {split} images of {self.name}. {self.how_to_get}")
        if place.is_list:
            return _read_list(place.file)
        chooses = None if place.divided or self.test_share is None else self._chooses(split)
        notes = [_unread(place)] if place.unread else []
        if place.file.is_dir():
            return read_folder(place.file, chooses, notes)
        return _labelled(in_zip(place.file).below(place.inner), place.file, chooses, notes)

    def _place(self, split: str, data_dir: Path) -> _Place | None:
        """Return where the images of a split lie, or None where there are none.

        Raises:
            DataError: the folders are ambiguous, or the ZIP is damaged.
        """
        return next(self._places(split, self._folder(data_dir), self._archive(data_dir)), None)

    def _places(self, split: str, whole: Path | None, archive: Path) -> Iterator[_Place]:
        """Yield where the images of a split lie, what is preferred first."""
        there = whole if whole is not None and whole.is_dir() else None
        folder = None if there is None else layout_of(on_disk(there), there.name, there)
        if there and folder and split in folder.splits:
            yield _Place(file=there / folder.splits[split], unread=folder.unread)
        zipped = layout_of(in_archive(in_zip(archive)), archive.stem, archive) if archive.is_file() else None
        if zipped and split in zipped.splits:
            yield _Place(file=archive, inner=zipped.splits[split], unread=zipped.unread)
        listed = there / folder.root / LIST if there and folder else archive / LIST
        if split == "test" and listed.is_file():
            yield _Place(file=listed, is_list=True)
        if split == "train" and self.test_share is None:
            return
        if there and folder and not folder.splits and not listed.is_file():
            yield _Place(file=there / folder.root, divided=False)
        if zipped and not zipped.splits:
            yield _Place(file=archive, inner=zipped.root, divided=False)

    def _folder(self, data_dir: Path) -> Path | None:
        """Return where a folder would be, or None where a ZIP is named."""
        whole = data_dir / self.name
        return None if whole.suffix.lower() == ".zip" and whole.is_file() else whole

    def _archive(self, data_dir: Path) -> Path:
        whole = data_dir / self.name
        if whole.suffix.lower() == ".zip" and whole.is_file():
            return whole
        usual = data_dir / f"{self.name}.zip"
        capitals = data_dir / f"{self.name}.ZIP"
        return capitals if capitals.is_file() and not usual.is_file() else usual

    def _chooses(self, split: str) -> Callable[[str], bool]:
        """Return what says of a file's name whether it belongs to a split of an undivided folder."""
        share = self.test_share
        assert share is not None

        def chooses(name: str) -> bool:
            # A hash rather than a draw: an image stays where it is when others are added.
            tests = int.from_bytes(sha256(os.fsencode(name)).digest()[:8]) < share * 2**64
            return tests == (split == "test")

        return chooses

    def download(self, data_dir: Path) -> None:
        """Refuse: only the user has these images."""
        raise DataError(f"{self.name} cannot be downloaded. {self.how_to_get}")


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where the images of a split lie: in a folder, in a folder of a ZIP, or where a list says."""

    file: Path
    inner: str = ""
    is_list: bool = False
    divided: bool = True
    unread: tuple[str, ...] = field(default=())


def _unread(place: _Place) -> str:
    names = ", ".join(f"{printable(name)}/" for name in place.unread[:5])
    return f"{names} {'is' if len(place.unread) == 1 else 'are'} not read: neither training nor test images"


def read_folder(place: Path, chooses: Callable[[str], bool] | None = None, notes: Sequence[str] = ()) -> RawImages:
    """Return all images below a folder, with its folders as classes where it has any.

    Args:
        place: the folder.
        chooses: says of each image's relative name whether it is wanted; None takes all. A class keeps its label
            where none of its images is.
        notes: what else is to be told of it.

    Raises:
        DataError: there are none, or one cannot be decoded; the message names it.
    """
    return _labelled(walk(place), place, chooses, notes)


def _labelled(found: Found, place: Path, chooses: Callable[[str], bool] | None, notes: Sequence[str]) -> RawImages:
    """Return images with the labels that their relative file names, such as "cat/0001.png", say."""
    if not found.images:
        raise DataError(none_in(place, found))
    if (n_others := len(found.others)) >= _OTHERS and len(found.images) < SHARE * n_others:
        raise DataError(
            f"{printable(str(place))} is no set of images: {len(found.images)} of its files are images, and {n_others} "
            f"are not ({by_suffix(found.others)}); give the folder that holds the images"
        )
    chosen = {name: source for name, source in found.images.items() if chooses is None or chooses(name)}
    if not chosen:
        raise DataError(
            f"all {len(found.images)} images of {printable(str(place))} fall to the other part by their names; add "
            "some, or divide them into train/ and test/"
        )
    passed_over = found.passed_over()
    said = (*notes, *([f"passing over {passed_over}"] if passed_over else []))
    folders, all_folders = ([_class_of(name) for name in each] for each in (chosen, found.images))
    if "" in all_folders:
        if set(all_folders) != {""}:
            raise DataError(
                f"{printable(str(place))} holds images beside class folders; move them into a class, or all out of them"
            )
        return RawImages(images=Pictures(list(chosen.values())), notes=said)
    if vanished := sorted({printable(name) for name in found.unopened if name} - set(all_folders)):
        raise DataError(
            f"the images of the class {', '.join(vanished[:5])} in {printable(str(place))} are of formats that Pillow "
            f"does not open here ({passed_over}); convert them to PNG or JPEG, or move them away"
        )
    class_names = in_class_order(set(all_folders))
    label_of = {name: label for label, name in enumerate(class_names)}
    # By label, and within a class by name, as they are already.
    labelled = sorted(zip((label_of[name] for name in folders), chosen.values(), strict=True), key=itemgetter(0))
    labels, sources = zip(*labelled, strict=True)
    return RawImages(images=Pictures(sources), labels=labels, class_names=class_names, notes=said)


def in_class_order(names: set[str]) -> tuple[str, ...]:
    """Return the names of classes in the order of their labels: as numbers where all are whole numbers.

    >>> in_class_order({"10", "9", "1"}), in_class_order({"b", "10", "9"})
    (('1', '9', '10'), ('10', '9', 'b'))
    """
    if all(name.isascii() and name.isdecimal() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def _class_of(name: str) -> str:
    """Return the class that a relative file name says, or "" for a file that lies in no folder."""
    return printable(first_folder(name))


def _read_list(place: Path) -> RawImages:
    listed = read_list(place)
    pictures = Pictures(listed.paths)
    if not listed.labels:
        return RawImages(images=pictures)
    class_names = in_class_order(set(listed.labels))
    label_of = {name: label for label, name in enumerate(class_names)}
    return RawImages(images=pictures, labels=[label_of[name] for name in listed.labels], class_names=class_names)
