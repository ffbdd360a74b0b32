"""Images are decoded once and cached under everything that went into them."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from oodbench.benchmark import Part
from oodbench.data.parts import load_part
from oodbench.errors import DataError
from oodbench.images import Conversion, ImageSet, RawImages
from oodbench.plugins import registry
from oodbench.store.artifacts import ArtifactStore
from oodbench.store.workspace import Workspace

Pixels = NDArray[np.uint8]
Load = Callable[..., ImageSet]
MakePixels = Callable[..., Pixels]
Encode = Callable[[Pixels], bytes]
WriteFolder = Callable[[Mapping[str, bytes]], None]
WriteZip = Callable[[str, Mapping[str, bytes]], Path]


@pytest.fixture
def no_reading(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make the data set plugin of a name unable to read."""

    def forbid(name: str) -> None:
        def fail(*_: object) -> RawImages:
            pytest.fail(f"{name} was read again")

        monkeypatch.setattr(type(registry.dataset(name)), "read", fail)

    return forbid


def array_files(cache_dir: Path) -> list[Path]:
    return sorted(cache_dir.rglob("*.npy"))


@pytest.mark.parametrize("name", ["pets", "digits"])
def test_images_are_decoded_once(name: str, pets: Path, load: Load, no_reading: Callable[[str], None]) -> None:
    first = load(name)
    no_reading(name)
    assert first.fingerprint == load(name).fingerprint


def test_cached_images_keep_labels_and_class_names(pets: Path, load: Load) -> None:
    load("pets")
    again = load("pets")
    assert (again.labels.tolist(), again.class_names) == ([0, 0, 1], ("cat", "dog"))


def test_cached_images_are_mapped_and_not_read_into_memory(pets: Path, load: Load) -> None:
    assert isinstance(load("pets").images[:2], np.memmap)


def test_a_zip_with_other_content_is_decoded_anew(
    pets: Path, two_classes: dict[str, bytes], png: Encode, pixels: MakePixels, write_zip: WriteZip, load: Load
) -> None:
    load("pets")
    write_zip("pets", {**two_classes, "test/cat/0.png": png(pixels(4, 4, 3, seed=9))})
    np.testing.assert_array_equal(pixels(4, 4, 3, seed=9).transpose(2, 0, 1), load("pets").images[0])


def test_a_zip_that_was_only_touched_is_not_decoded_anew(
    pets: Path, load: Load, no_reading: Callable[[str], None]
) -> None:
    first = load("pets")
    pets.touch()
    no_reading("pets")
    assert first.fingerprint == load("pets").fingerprint


def test_a_changed_file_in_a_folder_is_decoded_anew(
    two_classes: dict[str, bytes], png: Encode, pixels: MakePixels, write_folder: WriteFolder, load: Load
) -> None:
    write_folder({f"pets/{name}": content for name, content in two_classes.items()})
    load("pets")
    write_folder({"pets/test/cat/0.png": png(pixels(4, 4, 3, seed=9))})
    np.testing.assert_array_equal(pixels(4, 4, 3, seed=9).transpose(2, 0, 1), load("pets").images[0])


def test_a_file_that_is_gone_from_a_folder_is_gone_from_the_set(
    two_classes: dict[str, bytes], data_dir: Path, write_folder: WriteFolder, load: Load
) -> None:
    write_folder({f"pets/{name}": content for name, content in two_classes.items()})
    load("pets")
    (data_dir / "pets/test/cat/1.png").unlink()
    assert len(load("pets")) == 2


def test_a_file_that_moved_to_another_class_gets_another_label(
    two_classes: dict[str, bytes], data_dir: Path, write_folder: WriteFolder, load: Load
) -> None:
    write_folder({f"pets/{name}": content for name, content in two_classes.items()})
    load("pets")
    (data_dir / "pets/test/cat/1.png").rename(data_dir / "pets/test/dog/1.png")
    assert load("pets").labels.tolist() == [0, 1, 1]


def test_a_damaged_cached_array_is_noticed_and_made_again(pets: Path, cache_dir: Path, load: Load) -> None:
    first = load("pets").fingerprint
    for file in array_files(cache_dir):
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
    assert first == load("pets").fingerprint


def test_a_lost_cached_array_is_noticed_and_made_again(pets: Path, cache_dir: Path, load: Load) -> None:
    first = load("pets").fingerprint
    array_files(cache_dir)[0].unlink()
    assert first == load("pets").fingerprint


@pytest.mark.parametrize("manifest", ["", "{}", "[]", '{"files": {"images.npy": "0"}}'])
def test_a_broken_manifest_is_noticed_and_made_again(manifest: str, pets: Path, cache_dir: Path, load: Load) -> None:
    first = load("pets").fingerprint
    (file,) = cache_dir.rglob("artifact.json")
    file.write_text(manifest)
    assert first == load("pets").fingerprint


@pytest.mark.parametrize("other", [{"size": (2, 2)}, {"channels": 1}, {"size": (4, 5), "channels": 3}])
def test_each_conversion_is_cached_apart(other: dict[str, object], pets: Path, load: Load) -> None:
    load("pets")
    shape = load("pets", **other).shape
    assert shape == (other.get("channels", 3), *other.get("size", (4, 4)))


def test_settings_of_a_data_set_are_cached_apart(load: Load) -> None:
    counts = [len(load("uniform", size=(2, 2), channels=1, settings={"count": count})) for count in (3, 4, 3)]
    assert counts == [3, 4, 3]


def test_sets_of_one_plugin_are_cached_apart(
    pets: Path, two_classes: dict[str, bytes], write_zip: WriteZip, load: Load
) -> None:
    write_zip("cats", {name: content for name, content in two_classes.items() if "cat" in name})
    assert (len(load("pets")), len(load("cats"))) == (3, 2)


def test_a_failed_decoding_leaves_nothing_in_the_cache(
    two_classes: dict[str, bytes], cache_dir: Path, write_zip: WriteZip, load: Load
) -> None:
    write_zip("pets", {**two_classes, "test/dog/1.png": b"broken"})
    with pytest.raises(DataError):
        load("pets")
    assert [path for path in cache_dir.rglob("*") if path.is_file() or path.suffix == ".tmp"] == []


def test_decoding_is_reported_while_it_lasts(pets: Path, data_dir: Path, cache_dir: Path, heard) -> None:
    load_part(
        Part(dataset="pets"),
        Conversion(),
        Workspace(data_dir=data_dir, artifacts=ArtifactStore(cache_dir), report=heard),
    )
    (task,) = heard.tasks
    assert re.fullmatch(r"decoding pets \(test\), [\d,]+ images a second", task)


def test_a_source_that_cannot_be_read_is_not_blamed_on_the_cache(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> RawImages:
        raise PermissionError(13, "Permission denied", "/secret.png")

    monkeypatch.setattr(type(registry.dataset("digits")), "read", fail)
    with pytest.raises(DataError, match=r"digits \(test\) cannot be read: .*Permission denied: '/secret.png'"):
        load("digits")
