"""Small builders of odd files, folders, ZIPs, lists and arrays, for the table of what must happen to each."""

from __future__ import annotations

import io
import os
import socket
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def pixels(k: int, channels: int = 3) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return a picture of 8×8 pixels that no other number gives."""
    return np.random.default_rng(k).integers(0, 256, (8, 8, channels), dtype=np.uint8)


def picture(k: int) -> Image.Image:
    return Image.fromarray(pixels(k))


def encoded(image: Image.Image, kind: str = "png", **settings: Any) -> bytes:
    written = io.BytesIO()
    image.save(written, kind, **settings)
    return written.getvalue()


def png(k: int) -> bytes:
    return encoded(picture(k))


def pngs(*names: str) -> dict[str, bytes]:
    """Return different pictures under these names."""
    return {name: png(k) for k, name in enumerate(names)}


def classes(*names: str, each: int = 4, suffix: str = ".png") -> dict[str, bytes]:
    """Return pictures of these class folders."""
    return pngs(*(f"{name}/{i}{suffix}" for name in names for i in range(each)))


def below(prefix: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"{prefix}/{name}": content for name, content in files.items()}


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files below a folder, and return it."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def zipped(archive: Path, files: Mapping[str, bytes]) -> Path:
    """Write a ZIP, and return its path."""
    with zipfile.ZipFile(archive, "w") as opened:
        for name, content in files.items():
            # An info keeps backslashes as they are.
            info = zipfile.ZipInfo("x")
            info.filename = name
            opened.writestr(info, content)
    return archive


def deep(values: np.ndarray[Any, Any], kind: str = "png") -> bytes:
    """Return a grey picture of whole numbers wider than 8 bits."""
    return encoded(Image.fromarray(values), kind)


def grey(k: int, top: int, dtype: Any = np.uint16) -> np.ndarray[Any, Any]:
    """Return grey values from 0 to `top`, both of which are there."""
    values = np.random.default_rng(k).integers(0, top + 1, (8, 8))
    values[0, :2] = 0, top
    return values.astype(dtype)


def twelve_bit_tiff(k: int) -> bytes:
    """Return a TIFF that says that its grey values have 12 bits, which no common library writes."""
    values = grey(k, 4095).ravel().tolist()
    packed = bytes(
        byte
        for a, b in zip(values[::2], values[1::2], strict=True)
        for byte in (a >> 4, (a & 15) << 4 | b >> 8, b & 255)
    )
    tags = [(256, 8), (257, 8), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 8), (279, len(packed))]
    start = 8 + len(packed)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<I", start) + packed + struct.pack("<H", len(tags)) + entries + b"\0\0\0\0"


def deep_rgb(k: int, top: int) -> bytes:
    """Return a PNG of 16 bits a channel in three channels, which Pillow reads and does not write."""
    values = np.random.default_rng(k).integers(0, top + 1, (8, 8, 3)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def with_pipe(folder: Path, name: str) -> Path:
    os.mkfifo(folder / name)
    return folder


def with_socket(folder: Path, name: str) -> Path:
    here = Path.cwd()
    # The path of a socket may have a hundred letters only.
    os.chdir(folder)
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(name)
    os.chdir(here)
    return folder


def linked(folder: Path, **links: str) -> Path:
    """Add links, by name, to places relative to the folder."""
    for name, target in links.items():
        (folder / name).symlink_to(target)
    return folder


def huge_member(archive: Path) -> Path:
    """Write a ZIP whose member says that it has 3 GB, and holds next to nothing."""
    zipped(archive, classes("cat", "dog"))
    content = archive.read_bytes()
    # Its size unpacked, in the central directory.
    place = content.index(b"PK\1\2") + 24
    archive.write_bytes(content[:place] + struct.pack("<I", 3_000_000_000) + content[place + 4 :])
    return archive
