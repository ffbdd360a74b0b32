"""Tsinghua-Tencent 100K as its authors publish it: full frames, and one JSON file with the boxes of all signs."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from oodbench.errors import DataError
from oodbench.hashing.values import digest

ANNOTATIONS = ("annotations.json", "annotations_all.json", "data/annotations.json", "data/annotations_all.json")
"""Where the releases of 2016 and 2021 have their boxes, below the folder that they are unpacked to."""

FOLDERS = ("train", "test", "other")

# A class becomes the name of a folder.
_CLASS_NAME = re.compile(r"\w[\w.-]*", re.ASCII)

Box = tuple[float, float, float, float]
"""Left, top, right and bottom edge in pixels."""


class Finding(StrEnum):
    """What is worth telling about a frame or a box; unless it says otherwise, the frame or sign is left out."""

    BROKEN = "box without four numbers in order"
    UNNAMED = "box without a usable class name"
    OUTSIDE = "box with more than half outside of the frame"
    CLIPPED = "box cut by the border of the frame (kept)"
    SMALL = "box too small"
    IN_OTHER = "sign in a frame of other/"
    NO_ROOM = "frame without room for a background patch (signs kept)"
    UNREADABLE = "frame that cannot be decoded"
    MISSING = "annotated frame that is not there"
    UNANNOTATED = "frame of train/ or test/ without annotations"
    MISPLACED = "annotated frame outside of train/, test/ and other/"


@dataclass(frozen=True, kw_only=True)
class Sign:
    """One annotated sign: where it is in its frame, its class, and its place in the frame's list."""

    category: str
    box: Box
    index: int


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One photo.

    Attributes:
        path: relative to the folder of the annotations, such as "train/123.jpg".
        objects: its annotations as the JSON file has them.
    """

    path: str
    objects: tuple[Any, ...] = ()

    @property
    def folder(self) -> str:
        """One of `FOLDERS`."""
        return self.path.partition("/")[0]

    @property
    def name(self) -> str:
        """A name for its crops that no other frame has, such as "train-123"."""
        return self.path.removesuffix(".jpg").replace("/", "-")

    @cached_property
    def number(self) -> int:
        """A number in 0 … 2⁶⁴ − 1 that depends on the path alone, for choices by chance that never change."""
        return int(digest(self.path)[:16], 16)

    @property
    def split(self) -> str:
        """The published split; a frame of other/ goes to "test" with a chance of one third, as annotated ones did."""
        if self.folder == "other":
            return "train" if self.number % 3 else "test"
        return self.folder

    def signs(self) -> tuple[list[Sign], Counter[Finding]]:
        """Return the signs with a class and a box, and what is wrong with the others."""
        found, findings = [], Counter[Finding]()
        for index, entry in enumerate(self.objects):
            category = entry.get("category") if isinstance(entry, dict) else None
            box = _box(entry.get("bbox")) if isinstance(entry, dict) else None
            if box is None:
                findings[Finding.BROKEN] += 1
            elif not isinstance(category, str) or not _CLASS_NAME.fullmatch(category):
                findings[Finding.UNNAMED] += 1
            else:
                found.append(Sign(category=category, box=box, index=index))
        return found, findings

    def boxes(self) -> list[Box] | None:
        """Return all boxes, or None where one of them is broken, so that nobody knows where its sign is."""
        found = [_box(entry.get("bbox")) if isinstance(entry, dict) else None for entry in self.objects]
        return None if None in found else [box for box in found if box]


def _box(entry: Any) -> Box | None:
    if not isinstance(entry, dict):
        return None
    edges: list[Any] = [entry.get(edge) for edge in ("xmin", "ymin", "xmax", "ymax")]
    # A bool is an int to Python, and the JSON reader knows NaN.
    if not all(type(edge) in (int, float) and math.isfinite(edge) for edge in edges):
        return None
    left, top, right, bottom = map(float, edges)
    return (left, top, right, bottom) if left < right and top < bottom else None


def find_annotations(folder: Path) -> Path | None:
    """Return the first of `ANNOTATIONS` that is there."""
    return next((folder / name for name in ANNOTATIONS if (folder / name).is_file()), None)


@dataclass(frozen=True, kw_only=True)
class Release:
    """What was published, compared with what is on disk.

    Attributes:
        frames: those that are there and can be used, sorted by path.
        findings: paths of the others, by what is wrong with them.
    """

    frames: tuple[Frame, ...]
    findings: Mapping[Finding, list[str]]


def read_release(annotations: Path) -> Release:
    """Return the frames that lie beside a file of annotations, as `{train,test,other}/*.jpg`; none is opened.

    A frame of other/ needs no annotation: it is published as one without signs.

    Raises:
        DataError: the annotations are damaged or of another format.
    """
    objects, misplaced = _objects_by_path(annotations)
    there = {f"{name}/{file.name}" for name in FOLDERS for file in (annotations.parent / name).glob("*.jpg")}
    unannotated = {path for path in there - objects.keys() if not path.startswith("other/")}
    return Release(
        frames=tuple(Frame(path=path, objects=tuple(objects.get(path, ()))) for path in sorted(there - unannotated)),
        findings={
            Finding.MISSING: sorted(objects.keys() - there),
            Finding.UNANNOTATED: sorted(unannotated),
            Finding.MISPLACED: sorted(misplaced),
        },
    )


def _objects_by_path(annotations: Path) -> tuple[dict[str, list[Any]], list[str]]:
    """Return the annotated objects of each frame by its path, and the ids of frames in no known folder."""
    try:
        content = json.loads(annotations.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{annotations} cannot be read ({error}); unpack or download it again") from error
    images = content.get("imgs") if isinstance(content, dict) else None
    if not isinstance(images, dict):
        raise DataError(f'{annotations} has no table "imgs" of frames; put the annotations of TT100K there')
    objects: dict[str, list[Any]] = {}
    misplaced = []
    for key, entry in images.items():
        path = entry.get("path") if isinstance(entry, dict) else None
        if not isinstance(path, str) or path.count("/") != 1 or not path.startswith(tuple(f"{f}/" for f in FOLDERS)):
            misplaced.append(key)
            continue
        listed = entry.get("objects")
        objects.setdefault(path, []).extend(listed if isinstance(listed, list) else [])
    return objects, misplaced
