"""Parts of data sets: what may be in them, which classes are kept, and what is said where they are missing."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from oodbench.benchmark import Part
from oodbench.data.parts import load_part
from oodbench.errors import DataError, MissingData
from oodbench.folders import default_data_dir
from oodbench.images import Conversion, ImageSet, RawImages
from oodbench.plugins import registry
from oodbench.progress import SILENT
from oodbench.store.artifacts import ArtifactStore
from oodbench.store.workspace import Workspace

Pixels = NDArray[np.uint8]
Load = Callable[..., ImageSet]
MakePixels = Callable[..., Pixels]
Encode = Callable[[Pixels], bytes]
WriteFolder = Callable[[Mapping[str, bytes]], None]
WriteZip = Callable[[str, Mapping[str, bytes]], Path]


def reads(monkeypatch: pytest.MonkeyPatch, name: str, raw: RawImages) -> None:
    """Make the data set plugin of a name read this."""
    monkeypatch.setattr(type(registry.dataset(name)), "read", lambda *_: raw)


def test_missing_images_name_every_place_and_how_to_get_them(data_dir: Path, load: Load) -> None:
    raw = data_dir / "MNIST" / "raw"
    places = (
        raw / "t10k-images-idx3-ubyte",
        raw / "t10k-images-idx3-ubyte.gz",
        data_dir / "mnist" / "test",
        data_dir / "mnist.zip",
    )
    with pytest.raises(MissingData) as caught:
        load("mnist")
    assert str(caught.value) == (
        f"no test images of mnist: looked for {' or '.join(map(str, places))}. "
        "Run: oodbench data --download mnist (or put a folder or ZIP of images there)."
    )


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "svhn", "cifar10", "cifar100"])
def test_each_downloadable_set_says_so_where_it_is_missing(name: str, load: Load) -> None:
    with pytest.raises(MissingData, match=f"Run: oodbench data --download {name} "):
        load(name)


def test_a_missing_folder_names_the_folder_and_the_zip(data_dir: Path, load: Load) -> None:
    with pytest.raises(MissingData, match=f"looked for {data_dir}/pets/test or {data_dir}/pets.zip. Put images"):
        load("pets")


def test_classes_are_picked_and_relabelled_in_the_order_given(load: Load) -> None:
    whole, some = load("digits"), load("digits", classes=("7", "2"))
    expected = [{7: 0, 2: 1}[label] for label in whole.labels.tolist() if label in (7, 2)]
    assert some.labels.tolist() == expected


def test_picked_classes_keep_their_images(load: Load) -> None:
    whole, some = load("digits"), load("digits", classes=("7", "2"))
    np.testing.assert_array_equal(whole.images[np.isin(whole.labels, (2, 7))], some.images)


def test_picked_classes_are_the_class_names(load: Load) -> None:
    assert load("digits", classes=("7", "2")).class_names == ("7", "2")


def test_an_unknown_class_is_an_error_that_names_the_classes(pets: Path, load: Load) -> None:
    with pytest.raises(DataError, match=r"pets \(test\) has no class 'cow'; its classes are: cat, dog"):
        load("pets", classes=("cat", "cow"))


def test_classes_of_a_set_without_labels_cannot_be_picked(load: Load) -> None:
    with pytest.raises(DataError, match="has no labels, so the classes 2, 6 cannot be picked from it"):
        load("uniform", size=(4, 4), channels=1, classes=("2", "6"), settings={"count": 3})


@pytest.mark.parametrize(("labels", "span"), [((0, 2), "0 to 2"), ((-1, 1), "-1 to 1")])
def test_labels_outside_of_the_class_names_are_an_error(
    labels: tuple[int, ...], span: str, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = RawImages(images=np.zeros((2, 4, 4), np.uint8), labels=labels, class_names=("a", "b"))
    reads(monkeypatch, "digits", raw)
    with pytest.raises(DataError, match=f"labels from {span}, outside of its 2 classes"):
        load("digits")


def test_more_labels_than_images_are_an_error(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = RawImages(images=np.zeros((2, 4, 4), np.uint8), labels=[0, 1, 1], class_names=("a", "b"))
    reads(monkeypatch, "digits", raw)
    with pytest.raises(DataError, match="has 2 images but 3 labels"):
        load("digits")


@pytest.mark.parametrize("images", [np.zeros((0, 4, 4), np.uint8), iter(())], ids=["array", "pictures"])
@pytest.mark.parametrize("size", [None, (4, 4), (8, 8)])
def test_an_empty_set_is_an_error(images: object, size: object, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    reads(monkeypatch, "digits", RawImages(images=images))
    with pytest.raises(DataError, match=r"digits \(test\) holds no images"):
        load("digits", size=size)


def test_images_that_are_not_bytes_are_an_error(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    reads(monkeypatch, "digits", RawImages(images=np.zeros((2, 4, 4))))
    with pytest.raises(DataError, match="images must be uint8 of shape .*, got float64"):
        load("digits")


def test_images_are_looked_for_in_data_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OODBENCH_DATA", raising=False)
    assert default_data_dir() == Path("data")


def test_the_environment_says_where_images_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OODBENCH_DATA", str(tmp_path))
    assert default_data_dir() == tmp_path


def test_a_part_is_not_downloaded_unless_asked_for(
    data_dir: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(registry.dataset("mnist")), "download", lambda *_: pytest.fail("downloaded"))
    with pytest.raises(MissingData):
        load_part(
            Part(dataset="mnist"),
            Conversion(),
            Workspace(data_dir=data_dir, artifacts=ArtifactStore(cache_dir), report=SILENT),
        )
