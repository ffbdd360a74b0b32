"""How the folders of images are laid out: in train/ and test/ under one of their usual names, or as they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from oodbench.errors import DataError
from oodbench.files import Found, is_hidden, is_image, printable

_ROLES = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "validation": ("val", "valid", "validation", "eval", "evaluation"),
}
_ENDINGS = ("", "set", "data", "images", "split")

ROLE_OF = {f"{name}{ending}": role for role, names in _ROLES.items() for name in names for ending in _ENDINGS}
"""What a folder is for, by its name in small letters and nothing but letters."""

_DEPTH = 3
"""How many folders may enclose everything, or lie above the first image of a class."""


@dataclass(frozen=True, kw_only=True)
class Level:
    """What lies right in a folder.

    Attributes:
        folders: their names, sorted, without hidden ones.
        images: whether there are images.
    """

    folders: tuple[str, ...] = ()
    images: bool = False


Levels: TypeAlias = "Callable[[str], Level]"
"""Gives the level of a folder, named relative to where one begins; "" is that place itself."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the images of each split are.

    Attributes:
        root: folder that encloses everything, "" for none.
        splits: folder of each split that has one, relative to where one began; none where images are not divided.
        unread: names of folders that belong to no split.
    """

    root: str = ""
    splits: Mapping[str, str] = field(default_factory=dict)
    unread: tuple[str, ...] = ()


def on_disk(place: Path) -> Levels:
    """Return what tells the levels of a folder."""

    def level(below: str) -> Level:
        folders, images = [], False
        with os.scandir(place / below) as entries:
            for entry in entries:
                if is_hidden(entry.name):
                    continue
                if entry.is_dir():
                    folders.append(entry.name)
                elif not images:
                    images = is_image(entry.name)
        return Level(folders=tuple(sorted(folders)), images=images)

    return level


def in_archive(found: Found) -> Levels:
    """Return what tells the levels of a ZIP; folders without images are none."""

    def level(below: str) -> Level:
        start = f"{below}/" if below else ""
        rests = [name.removeprefix(start) for name in found.images if name.startswith(start)]
        folders = {rest.partition("/")[0] for rest in rests if "/" in rest}
        return Level(folders=tuple(sorted(folders)), images=any("/" not in rest for rest in rests))

    return level


def layout_of(level: Levels, name: str, where: Path) -> Layout:
    """Return the layout of a folder or ZIP, below the folders that may enclose everything.

    A folder encloses everything where it is the only one, and bears the name of the whole, or holds train/ or test/ or
    several classes.

    Args:
        level: tells what lies in a folder.
        name: of the whole.
        where: it is, for messages.

    Raises:
        DataError: two folders may be the same split, or one split lies beside folders that may be classes.
    """
    root = ""
    for _ in range(_DEPTH):
        here = level(root)
        if found := _splits(level, root, here, where):
            return found
        if here.images or len(here.folders) != 1:
            break
        (only,) = here.folders
        inside = level(_joined(root, only))
        encloses = len(inside.folders) > 1 or any(map(_role, inside.folders))
        if only.lower() != name.lower() and (inside.images or not encloses):
            break
        root = _joined(root, only)
    return Layout(root=root)


def _splits(level: Levels, root: str, here: Level, where: Path) -> Layout | None:
    found: dict[str, str] = {}
    for folder in here.folders:
        if (role := _role(folder)) is None:
            continue
        if role in found:
            raise DataError(
                f"{_named(where)} holds {_named(found[role])}/ and {_named(folder)}/, and both may be the {role} "
                "images; keep one of them"
            )
        found[role] = folder
    if not found:
        return None
    others = [folder for folder in here.folders if folder not in found.values()]
    if len(found) == 1 and (classes := [name for name in others if _has_images(level, _joined(root, name), _DEPTH)]):
        (split,) = found.values()
        raise DataError(
            f"{_named(where)} holds {_named(split)}/ beside {', '.join(map(_named, classes[:3]))}: rename it if it is "
            "a class, or move the others away if it is a part"
        )
    # What others call validation images test where there are no test images: training holds out images of its own.
    unread = [*others, *([found["validation"]] if {"test", "validation"} <= found.keys() else [])]
    splits = {"train": found.get("train"), "test": found.get("test", found.get("validation"))}
    return Layout(
        root=root,
        splits={split: _joined(root, folder) for split, folder in splits.items() if folder is not None},
        unread=tuple(unread),
    )


def _role(folder: str) -> str | None:
    return ROLE_OF.get("".join(filter(str.isalpha, folder.lower())))


def _has_images(level: Levels, folder: str, depth: int) -> bool:
    here = level(folder)
    below = here.folders if depth else ()
    return here.images or any(_has_images(level, _joined(folder, name), depth - 1) for name in below)


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _named(thing: str | Path) -> str:
    return printable(str(thing))
