"""Lists of images: a path a line, with a label behind it or without, in any usual encoding."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import Path

from oodbench.errors import DataError
from oodbench.files import is_image, printable, read_file

_LABEL = re.compile(r"^(?P<path>.+?)[\s,;]+(?P<label>[^\s,;]+)$")

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, kw_only=True)
class Listed:
    """What a list names.

    Attributes:
        paths: of the images; relative ones start at the folder that was named for them.
        labels: one an image, as it is written, or none where the list has none.
    """

    paths: tuple[Path, ...]
    labels: tuple[str, ...] = ()


def read_list(place: Path, root: Path | None = None) -> Listed:
    """Return what a list names.

    Args:
        place: the list.
        root: folder where relative paths start; None for the list's own.

    Raises:
        DataError: it names nothing, a line names no image, or some lines have labels and others have none.
    """
    folder = place.parent if root is None else root
    paths, labels = [], []
    for number, line in enumerate(_text(place).splitlines(), start=1):
        if not line.strip():
            continue
        named, label = _divided(line.strip(), folder)
        if named is None:
            raise DataError(
                f"line {number} of {printable(str(place))} names no image: {printable(line.strip()[:80])!r}; write one "
                "path a line, or a path and a label"
            )
        paths.append(folder / named)
        labels += [] if label is None else [label]
    if not paths:
        raise DataError(f"{printable(str(place))} names no images; write one path a line")
    if labels and len(labels) != len(paths):
        raise DataError(
            f"{printable(str(place))} has {len(labels)} labels for {len(paths)} images; give each image one, or none"
        )
    return Listed(paths=tuple(paths), labels=tuple(map(printable, labels)))


def _divided(line: str, folder: Path) -> tuple[str | None, str | None]:
    """Return the path and the label of a line; no path where it names no image."""
    if is_image(line) or _exists(folder / line):
        return _with_slashes(line, folder), None
    if (parts := _LABEL.match(line)) is None or not is_image(parts["path"]):
        return None, None
    return _with_slashes(parts["path"], folder), parts["label"]


def _with_slashes(path: str, folder: Path) -> str:
    """Return a path as this system writes it, where it was written on Windows."""
    return path.replace("\\", "/") if "\\" in path and not _exists(folder / path) else path


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    # A line of a file that is no list may be too long for a name, or hold a zero.
    except (OSError, ValueError):
        return False


def _text(place: Path) -> str:
    content = read_file(place)
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    # UTF-16 without its mark: every second byte of Latin letters is zero.
    if content[1:2] == b"\0":
        return content.decode("utf-16-le", errors="replace")
    if content[:1] == b"\0":
        return content.decode("utf-16-be", errors="replace")
    # Names of files need not be UTF-8.
    return content.decode("utf-8", errors="surrogateescape")
