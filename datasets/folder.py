"""A folder of images, or a ZIP of one: how users bring their own data."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, ClassVar, TypeVar

from oodbench.api import Location
from oodbench.errors import ConfigError, DataError
from oodbench.folders import files_below
from oodbench.images import SUFFIXES, Conversion, RawImages, decode

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")

LIST = "images.txt"


@dataclass(frozen=True, kw_only=True)
class ImageFolder:
    """Images in `<data folder>/<name>/{train,test}/<class>/*`, or in `<name>.zip` with that inside.

    Sets without labels have their images right in `train/` or `test/`. A ZIP may hold the folder `<name>` or start at
    `train/` and `test/`. A folder without these two is a test set as it is, or is divided by `test_share`. A test set
    can also be a list of paths, one a line, in `<name>/images.txt`, as the public code of Masana et al. (BMVC 2018)
    reads them; relative ones start at the list's folder. Order: by class name, then by file name; that of a list is
    its own. Files that are no images are passed over.

    Attributes:
        name: of the folder or ZIP, or its absolute path.
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
        whole = data_dir / self.name
        folder, listed = whole / split, whole / LIST
        archive = data_dir / f"{self.name}.zip"
        there = (
            (folder, folder.is_dir()),
            (archive, archive.is_file() and split in _splits(archive, whole.name)),
            (listed, split == "test" and listed.is_file()),
            (whole, (split == "test" or self.test_share is not None) and _is_undivided(whole)),
        )
        files = [place for place, is_there in there if is_there][:1]
        looked_for = (folder, archive, listed) if listed.parent.is_dir() and split == "test" else (folder, archive)
        named = tuple(_listed(listed)) if files == [listed] else ()
        return Location(files=tuple(files), listed=named, looked_for=looked_for, present=bool(files))

    def read(self, split: str, data_dir: Path, conversion: Conversion) -> RawImages:
        """Return the images of a split, decoded one after another.

        Raises:
            DataError: the ZIP is damaged, there are no images, or one cannot be decoded; the message names it.
        """
        location = self.locate(split, data_dir)
        (place,) = location.files
        if place == data_dir / self.name:
            return read_folder(place, None if self.test_share is None else self._chooses(split))
        if place.is_dir():
            return read_folder(place)
        if place.name == LIST:
            return _read_list(place, list(location.listed))
        members_in_zip = _members(place, Path(self.name).name, split)
        return _labelled(list(members_in_zip), _decode_members(place, list(members_in_zip.values())), place)

    def _chooses(self, split: str) -> Callable[[str], bool]:
        """Return what says of a file's name whether it belongs to a split of an undivided folder."""
        share = self.test_share
        assert share is not None

        def chooses(name: str) -> bool:
            # A hash rather than a draw: an image stays where it is when others are added.
            tests = int.from_bytes(sha256(name.encode()).digest()[:8]) < share * 2**64
            return tests == (split == "test")

        return chooses

    def download(self, data_dir: Path) -> None:
        """Refuse: only the user has these images."""
        raise DataError(f"{self.name} cannot be downloaded. {self.how_to_get}")


def _is_undivided(folder: Path) -> bool:
    """Return whether a folder holds images or classes, and neither train/ nor test/ nor a list."""
    return folder.is_dir() and not any((folder / name).exists() for name in ("train", "test", LIST))


def read_folder(place: Path, chooses: Callable[[str], bool] | None = None) -> RawImages:
    """Return all images below a folder, with its folders as classes where it has any.

    Args:
        place: the folder.
        chooses: says of each image's relative name whether it is wanted; None takes all. A class keeps its label
            where none of its images is.

    Raises:
        DataError: there are none, or one cannot be decoded; the message names it.
    """
    paths = (path for path in files_below(place) if path.suffix.lower() in SUFFIXES)
    members = _in_order({path.relative_to(place).as_posix(): path for path in paths})
    chosen = {name: path for name, path in members.items() if chooses is None or chooses(name)}
    return _labelled(list(chosen), _decode_files(list(chosen.values())), place, known=list(members))


def _listed(listed: Path) -> list[Path]:
    # Names of files need not be UTF-8.
    lines = listed.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    return [listed.parent / line.strip() for line in lines if line.strip()]


def _read_list(listed: Path, paths: list[Path]) -> RawImages:
    if not paths:
        raise DataError(f"{listed} names no images; write one path a line")
    return RawImages(images=_decode_files(paths))


def _splits(archive: Path, name: str) -> frozenset[str]:
    """Return the splits that a ZIP holds; for a damaged one both, so that reading it says what is wrong with it."""
    try:
        return _splits_of(archive, name, archive.stat().st_mtime_ns)
    except (zipfile.BadZipFile, OSError):
        return frozenset({"train", "test"})


@lru_cache
def _splits_of(archive: Path, name: str, changed: int) -> frozenset[str]:  # noqa: ARG001  # part of the cache's key
    with zipfile.ZipFile(archive) as opened:
        return frozenset(_below(member, name)[0] for member in opened.namelist() if _below(member, name))


def _below(member: str, name: str) -> tuple[str, ...]:
    """Return the path of a ZIP's member without the folder `name` that may enclose everything."""
    parts = PurePosixPath(member).parts
    return parts[1:] if parts[:1] == (name,) else parts


def _labelled(names: list[str], images: Iterator[Image], place: Path, known: list[str] | None = None) -> RawImages:
    """Return images with the labels that their relative file names, such as "cat/0001.png", say.

    Classes are those of `known` names, or of these where there are no others.
    """
    if not names:
        raise DataError(f"no images in {place}; put some there, as one of {', '.join(sorted(SUFFIXES))}")
    folders, all_folders = ([_class_of(name) for name in each] for each in (names, known or names))
    if "" in all_folders:
        if set(all_folders) != {""}:
            raise DataError(f"{place} holds images beside class folders; move them into a class, or all out of them")
        return RawImages(images=images)
    class_names = tuple(sorted(set(all_folders)))
    label_of = {name: label for label, name in enumerate(class_names)}
    return RawImages(images=images, labels=[label_of[folder] for folder in folders], class_names=class_names)


def _class_of(name: str) -> str:
    """Return the first folder of a relative file name, or "" for a file that lies in none."""
    return name.rpartition("/")[0].split("/")[0]


def _in_order(named: dict[str, T]) -> dict[str, T]:
    """Return a mapping sorted by its relative file names: folder by folder, so that "a/1" precedes "a-b/1"."""
    return dict(sorted(named.items(), key=lambda item: item[0].split("/")))


def _decode_files(paths: list[Path]) -> Iterator[Image]:
    for path in paths:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(f"the image {path} cannot be read ({error}); replace or remove it") from error
        yield decode(content, str(path))


def _members(archive: Path, name: str, split: str) -> dict[str, zipfile.ZipInfo]:
    """Return the images of a split in a ZIP, by their names below the split's folder, sorted."""
    try:
        with zipfile.ZipFile(archive) as opened:
            infos = opened.infolist()
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{archive} is not a whole ZIP ({error}); copy or download it again") from error
    found = {}
    for info in infos:
        below = _below(info.filename, name)
        if below[:1] == (split,) and PurePosixPath(info.filename).suffix.lower() in SUFFIXES and not info.is_dir():
            found["/".join(below[1:])] = info
    if not found:
        raise DataError(f"{archive} has no images in {name}/{split}/ or {split}/")
    return _in_order(found)


def _decode_members(archive: Path, infos: list[zipfile.ZipInfo]) -> Iterator[Image]:
    with zipfile.ZipFile(archive) as opened:
        for info in infos:
            try:
                content = opened.read(info)
            except (zipfile.BadZipFile, OSError, EOFError, zlib.error) as error:
                raise DataError(
                    f"{info.filename} in {archive} is damaged ({error}); copy or download the ZIP again"
                ) from error
            # zipfile has no error of its own for a password and for methods that it does not know.
            except RuntimeError as error:
                raise DataError(f"{archive} cannot be unpacked ({error}); unpack it to a folder by hand") from error
            yield decode(content, f"{info.filename} in {archive}")
