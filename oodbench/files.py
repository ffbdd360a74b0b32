"""Which files of a folder or a ZIP are images, and what they hold: regular files only, each real folder once."""

from __future__ import annotations

import os
import stat
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeAlias

from .errors import DataError, MissingData
from .images import decode

if TYPE_CHECKING:
    from PIL.Image import Image

SHOWN = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""The suffixes that messages name; what else Pillow opens is read as well."""

_UNREAD = frozenset({"EPS", "PDF", "MPEG", "BUFR", "GRIB", "HDF5", "WMF", "IPTC"})
"""Formats that Pillow lists and cannot decode by itself: it runs another program, or knows the header only."""

_UNOPENED = frozenset(
    f".{suffix}"
    for suffix in (
        *("arw", "avif", "bpg", "cr2", "cr3", "dcm", "dng", "exr", "hdr", "heic", "heif", "hif", "jp2", "jxl", "jxr"),
        *("nef", "npy", "orf", "raf", "raw", "rw2", "svg"),
    )
)
"""Suffixes of images that Pillow may not open: a class of nothing else must not vanish."""

_HIDDEN = frozenset(
    {"__macosx", "@eadir", "#recycle", "$recycle.bin", "lost+found", "system volume information"}
    | {"thumbs.db", "desktop.ini"}
)
"""What systems make for themselves, beside what begins with a dot."""

LARGEST = 1 << 29
"""Bytes of the largest file that is read: above what Pillow takes for an attack, 179 million pixels of RGB."""

JUDGED = 10_000
"""After how many files and folders it is asked whether this is a set of images at all."""

SHARE = 0.05
"""Of so many files at least this share are images, or the folder is none of images."""

Told: TypeAlias = "Callable[[int], None]"
"""Told now and then how many files have been looked at."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """A file in a ZIP."""

    archive: Path
    info: zipfile.ZipInfo

    def __str__(self) -> str:
        return f"{printable(self.info.filename)} in {printable(str(self.archive))}"


Source: TypeAlias = "Path | Member"
"""Where the content of an image is."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What lies below a folder, or in a ZIP.

    Attributes:
        images: by their relative names, such as "cat/0001.png", folder by folder and sorted.
        others: relative names of the files that no image format is known for.
        special: how many named pipes, sockets and devices there were.
        hidden: how many hidden files and folders, and how many that systems make.
        again: how many links led to folders that are read already.
    """

    images: Mapping[str, Source] = field(default_factory=dict)
    others: Sequence[str] = ()
    special: int = 0
    hidden: int = 0
    again: int = 0

    @property
    def unopened(self) -> frozenset[str]:
        """The first folders of files that are images by their names, and are not opened here."""
        return frozenset(first_folder(name) for name in self.others if _suffix(name) in _UNOPENED)

    def below(self, folder: str) -> Found:
        """Return what lies below one of its folders, named relative to that; "" is all."""
        if not folder:
            return self
        start = f"{folder}/"
        images = {name.removeprefix(start): at for name, at in self.images.items() if name.startswith(start)}
        others = [name.removeprefix(start) for name in self.others if name.startswith(start)]
        return replace(self, images=images, others=others)

    def passed_over(self) -> str:
        """Return what is no image, such as "18 files of no known image format (.heic 12, .txt 6)", or ""."""
        counts = (
            (len(self.others), f"{len(self.others)} files of no known image format ({by_suffix(self.others)})"),
            (self.special, f"{self.special} pipes, sockets or devices"),
            (self.again, f"{self.again} links to folders that are read already"),
            # Such as .DS_Store: they are everywhere, and nobody misses them.
            (0 if self.images else self.hidden, f"{self.hidden} hidden files or folders"),
        )
        return ", ".join(text for count, text in counts if count)


def by_suffix(names: Sequence[str], most: int = 5) -> str:
    """Return how many files have which suffix, the most frequent ones first.

    >>> by_suffix(["a.txt", "b.heic", "c.heic"])
    '.heic 2, .txt 1'
    """
    counts = Counter(printable(_suffix(name)) or "no suffix" for name in names)
    largest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    others = sum(count for _, count in largest[most:])
    shown = [f"{name} {count}" for name, count in largest[:most]]
    return ", ".join([*shown, *([f"others {others}"] if others else [])])


def first_folder(name: str) -> str:
    """Return the first folder of a relative file name, or "" for a file that lies in none."""
    return name.rpartition("/")[0].split("/")[0]


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


@cache
def suffixes() -> frozenset[str]:
    """Return the suffixes, in small letters, of the files that Pillow opens here."""
    from PIL import Image

    with suppress(ImportError):
        import_module("pillow_heif").register_heif_opener()
    Image.init()
    known = Image.registered_extensions().items()
    return frozenset(suffix for suffix, kind in known if kind in Image.OPEN and kind not in _UNREAD)


def is_image(name: str) -> bool:
    """Return whether a file's name has the suffix of an image."""
    return _suffix(name) in suffixes()


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is hidden, or made by a system for itself.

    >>> is_hidden(".ipynb_checkpoints"), is_hidden("__MACOSX"), is_hidden("cat")
    (True, True, False)
    """
    return name.startswith(".") or name.lower() in _HIDDEN


def printable(text: str) -> str:
    r"""Return a name that every file and terminal takes: composed, and bytes that are no UTF-8 written out.

    >>> printable("caf\udce9")
    'caf\\xe9'
    """
    return unicodedata.normalize("NFC", os.fsencode(text).decode("utf-8", "backslashreplace"))


def in_order(name: str) -> list[str]:
    """Return what relative names are sorted by: folder by folder, so that "a/1" precedes "a-b/1"."""
    return name.split("/")


def walk(folder: Path, told: Told | None = None) -> Found:
    """Return what lies below a folder; links to folders are followed, and each real folder is read once.

    Args:
        folder: is never left upwards by a link.
        told: how many files have been looked at so far.

    Raises:
        DataError: a folder cannot be read, or so many files are no images that this is no set of them.
    """
    return _Walk(folder, told).found()


class _Walk:
    """Goes through real folders first, then through links, so that an image bears the name of its real folder."""

    def __init__(self, root: Path, told: Told | None) -> None:
        self._root, self._told = root, told
        real = root.resolve()
        self._seen = {_identity(parent) for parent in real.parents}
        self._links: list[tuple[Path, str]] = []
        self._images: dict[str, Source] = {}
        self._others: list[str] = []
        self._entries = self._special = self._hidden = self._again = 0

    def found(self) -> Found:
        self._below(self._root, "")
        while self._links:
            links, self._links = sorted(self._links), []
            for link, name in links:
                self._below(link, name)
        return Found(
            images=dict(sorted(self._images.items(), key=lambda item: in_order(item[0]))),
            others=self._others,
            special=self._special,
            hidden=self._hidden,
            again=self._again,
        )

    def _below(self, start: Path, name: str) -> None:
        waiting = [(start, name)]
        while waiting:
            place, inside = waiting.pop()
            try:
                identity = _identity(place)
                if identity in self._seen:
                    self._again += 1
                    continue
                self._seen.add(identity)
                with os.scandir(place) as entries:
                    waiting.extend(self._folders(entries, inside))
            except OSError as error:
                raise DataError(
                    f"the folder {printable(str(place))} cannot be read ({error.strerror or error}); repair it, or "
                    "leave it out"
                ) from error

    def _folders(self, entries: Iterator[os.DirEntry[str]], inside: str) -> Iterator[tuple[Path, str]]:
        for entry in entries:
            self._count()
            name = f"{inside}/{entry.name}" if inside else entry.name
            if is_hidden(entry.name):
                self._hidden += 1
            elif entry.is_dir(follow_symlinks=False):
                yield Path(entry.path), name
            elif entry.is_dir():
                self._links.append((Path(entry.path), name))
            elif not entry.is_file() and Path(entry.path).exists():
                self._special += 1
            # A link to nothing as well: that it cannot be read is told when it is.
            elif is_image(entry.name):
                self._images[name] = Path(entry.path)
            else:
                self._others.append(name)

    def _count(self) -> None:
        self._entries += 1
        if self._told is not None and self._entries % 1000 == 0:
            self._told(self._entries)
        if self._entries % JUDGED == 0 and len(self._images) < SHARE * self._entries:
            raise DataError(
                f"{printable(str(self._root))} is no set of images: of the first {self._entries:,} files and folders "
                f"{len(self._images):,} are images ({by_suffix(self._others)}); give the folder that holds the images"
            )


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def in_zip(archive: Path) -> Found:
    """Return what a ZIP holds, whatever wrote it: backslashes part folders as well.

    Raises:
        DataError: it is damaged, or no regular file.
    """
    try:
        status = archive.stat()
    except OSError as error:
        raise DataError(_not_whole(archive, error)) from error
    return _in_zip(archive, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=8)
def _in_zip(archive: Path, changed: int, size: int) -> Found:  # noqa: ARG001  # part of the cache's key
    try:
        with zipfile.ZipFile(archive) as opened:
            infos = [info for info in opened.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DataError(_not_whole(archive, error)) from error
    images: dict[str, Source] = {}
    others, hidden = [], 0
    for info in infos:
        parts = [part for part in info.filename.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        name = "/".join(parts)
        if any(map(is_hidden, parts)):
            hidden += 1
        elif info.filename.endswith("\\"):
            continue
        elif is_image(name):
            images[name] = Member(archive=archive, info=info)
        elif name:
            others.append(name)
    ordered = dict(sorted(images.items(), key=lambda item: in_order(item[0])))
    return Found(images=ordered, others=others, hidden=hidden)


def _not_whole(archive: Path, error: Exception) -> str:
    return f"{printable(str(archive))} is not a whole ZIP ({error}); copy or download it again"


def read_file(path: Path) -> bytes:
    """Return the content of a regular file; a named pipe, on which reading would wait, is not opened.

    Raises:
        DataError: it cannot be read, is no regular file or too large for an image; the message names it.
    """
    try:
        return _content(path)
    except OSError as error:
        raise DataError(
            f"the image {printable(str(path))} cannot be read ({error.strerror or error}); replace or remove it"
        ) from error


def _content(path: Path) -> bytes:
    # Without waiting, for it may have become a pipe since its folder was listed.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise OSError("it is no regular file")
        _check_size(status.st_size, printable(str(path)))
        return file.read()


def _check_size(size: int, where: str) -> None:
    if size > LARGEST:
        raise DataError(
            f"{where} has {size / 1e9:.1f} GB, and an image at most {LARGEST / 1e9:.1f} GB; replace or remove it"
        )


@dataclass(frozen=True)
class Pictures:
    """Images that are decoded when they are asked for, one after another or by index, in any thread.

    Attributes:
        sources: files, or members of one ZIP.
    """

    sources: Sequence[Source]

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> Image:
        """Return the pixels of an image.

        Raises:
            DataError: it cannot be read or decoded; the message names it.
        """
        source = self.sources[index]
        if isinstance(source, Path):
            return decode(read_file(source), printable(str(source)))
        return decode(_unpacked(_opened(source.archive), source), str(source))

    def __iter__(self) -> Iterator[Image]:
        """Yield the pixels of each image.

        Raises:
            DataError: one cannot be read or decoded; the message names it.
        """
        return (self[i] for i in range(len(self)))


def _opened(archive: Path) -> zipfile.ZipFile:
    """Return a ZIP, open: to open one means to read its whole directory.

    Raises:
        DataError: it is not whole any more.
    """
    try:
        status = archive.stat()
        return _open_zip(archive, status.st_mtime_ns, status.st_size)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(_not_whole(archive, error)) from error


@lru_cache(maxsize=2)
def _open_zip(archive: Path, changed: int, size: int) -> zipfile.ZipFile:  # noqa: ARG001  # part of the cache's key
    return zipfile.ZipFile(archive)


def _unpacked(opened: zipfile.ZipFile, member: Member) -> bytes:
    _check_size(member.info.file_size, str(member))
    try:
        return opened.read(member.info)
    except (zipfile.BadZipFile, OSError, EOFError, zlib.error) as error:
        raise DataError(f"{member} is damaged ({error}); copy or download the ZIP again") from error
    # zipfile has no error of its own for a password and for methods that it does not know.
    except (RuntimeError, NotImplementedError) as error:
        archive = printable(str(member.archive))
        raise DataError(f"{archive} cannot be unpacked ({error}); unpack it to a folder by hand") from error


def images_at(path: Path) -> tuple[list[Source], str]:
    """Return a file, all images below a folder or all in a ZIP, by their paths, and what is passed over there.

    Raises:
        MissingData: there is no such file or folder, or no image in it.
        DataError: the folder cannot be read, or is no set of images.
    """
    if not os.path.lexists(path):
        raise MissingData(f"there is no file or folder {printable(str(path))}")
    is_zip = path.suffix.lower() == ".zip" and path.is_file()
    if not path.is_dir() and not is_zip:
        return [path], ""
    found = in_zip(path) if is_zip else walk(path)
    if not found.images:
        raise MissingData(none_in(path, found))
    return list(found.images.values()), found.passed_over()


def none_in(place: Path, found: Found) -> str:
    """Say that a place has no images, and what it has."""
    passed_over = found.passed_over()
    return (
        f"no images in {printable(str(place))}{f' ({passed_over})' if passed_over else ''}; put some there, as one of "
        f"{', '.join(SHOWN)}"
    )
