"""A data folder, a cache and short ways to fill the one and to load from it."""

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from oodbench.benchmark import Part
from oodbench.data.parts import load_part
from oodbench.images import Conversion, ImageSet
from oodbench.progress import SILENT, Silent
from oodbench.store.artifacts import ArtifactStore
from oodbench.store.workspace import Workspace

Pixels = NDArray[np.uint8]
Load = Callable[..., ImageSet]


class Heard(Silent):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.tasks: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)

    def warning(self, text: str) -> None:
        self.messages.append(text)

    def progress(self, task: str, done: int, total: int) -> None:
        self.tasks.append(task)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def load(data_dir: Path, cache_dir: Path) -> Load:
    """Load a part with a store that has verified nothing yet, as a new process does."""

    def load_one(name: str, split: str = "test", *, size: Any = None, channels: Any = None, **of_part: Any) -> ImageSet:
        part = Part(dataset=name, split=split, **of_part)
        return load_part(
            part,
            Conversion(size=size, channels=channels),
            Workspace(data_dir=data_dir, artifacts=ArtifactStore(cache_dir), report=SILENT),
        )

    return load_one


@pytest.fixture
def pixels() -> Callable[..., Pixels]:
    """Make random uint8 arrays."""

    def make(*shape: int, seed: int = 0) -> Pixels:
        return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)

    return make


@pytest.fixture
def png() -> Callable[[Pixels], bytes]:
    def encode(image: Pixels) -> bytes:
        written = io.BytesIO()
        Image.fromarray(image).save(written, "png")
        return written.getvalue()

    return encode


@pytest.fixture
def write_folder(data_dir: Path) -> Callable[[Mapping[str, bytes]], None]:
    """Write files, named relative to the data folder."""

    def write(files: Mapping[str, bytes]) -> None:
        for name, content in files.items():
            path = data_dir / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    return write


@pytest.fixture
def write_zip(data_dir: Path) -> Callable[[str, Mapping[str, bytes]], Path]:
    """Write `<name>.zip` into the data folder; its members are stored without compression."""

    def write(name: str, files: Mapping[str, bytes]) -> Path:
        archive = data_dir / f"{name}.zip"
        with zipfile.ZipFile(archive, "w") as opened:
            for member, content in files.items():
                opened.writestr(member, content)
        return archive

    return write


@pytest.fixture
def two_classes(pixels: Callable[..., Pixels], png: Callable[[Pixels], bytes]) -> dict[str, bytes]:
    """Two cats and a dog."""
    names = ("test/cat/0.png", "test/cat/1.png", "test/dog/0.png")
    return {name: png(pixels(4, 4, 3, seed=i)) for i, name in enumerate(names)}


@pytest.fixture
def pets(two_classes: dict[str, bytes], write_zip: Callable[[str, Mapping[str, bytes]], Path]) -> Path:
    """A ZIP of them."""
    return write_zip("pets", two_classes)


@pytest.fixture
def heard() -> Heard:
    return Heard()
