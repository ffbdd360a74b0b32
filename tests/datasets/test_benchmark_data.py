"""All images of a benchmark: loaded, skipped with a reason, or an error."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from oodbench.benchmark import Benchmark, OodSet, Part, Recipe
from oodbench.data.loading import load_benchmark
from oodbench.errors import DataError, MissingData
from oodbench.images import Conversion, ImageSet
from oodbench.store.artifacts import ArtifactStore
from oodbench.store.workspace import Workspace
from oodbench.training.config import TrainConfig

Pixels = NDArray[np.uint8]
Load = Callable[..., ImageSet]
MakePixels = Callable[..., Pixels]
Encode = Callable[[Pixels], bytes]
WriteFolder = Callable[[Mapping[str, bytes]], None]
WriteZip = Callable[[str, Mapping[str, bytes]], Path]


def recipes() -> dict[str, Recipe]:
    return {"default": Recipe(default=TrainConfig(epochs=1))}


@pytest.fixture
def benchmark() -> Benchmark:
    """Digits 2 and 6 against noise."""
    return Benchmark(
        name="small",
        title="small",
        source="here",
        id_train=Part(dataset="digits", split="train", classes=("2", "6")),
        id_test=Part(dataset="digits", classes=("2", "6")),
        seen={"seen": Part(dataset="digits", split="train", classes=("0", "3"))},
        ood=(
            OodSet(name="noise", part=Part(dataset="uniform", settings={"count": 5}), role="anomaly"),
            OodSet(name="seen", part=Part(dataset="digits", classes=("0", "3")), role="seen"),
        ),
        conversion=Conversion(size=(8, 8), channels=1),
        network="tinynet",
        recipes=recipes(),
    )


@pytest.fixture
def load_all(data_dir: Path, cache_dir: Path, heard) -> Callable:
    return lambda benchmark: load_benchmark(
        benchmark, Workspace(data_dir=data_dir, artifacts=ArtifactStore(cache_dir), report=heard)
    )


MISSING = OodSet(name="letters", part=Part(dataset="letters"), role="anomaly")


def test_a_benchmark_s_training_and_test_images_are_those_of_its_parts(
    benchmark: Benchmark, load_all: Callable, load: Load
) -> None:
    data = load_all(benchmark)
    expected = [
        load("digits", split, size=(8, 8), channels=1, classes=("2", "6")).fingerprint for split in ("train", "test")
    ]
    assert expected == [data.id_train.fingerprint, data.id_test.fingerprint]


def test_a_benchmark_s_seen_images_are_training_images(benchmark: Benchmark, load_all: Callable, load: Load) -> None:
    expected = load("digits", "train", size=(8, 8), channels=1, classes=("0", "3"))
    assert expected.fingerprint == load_all(benchmark).seen["seen"].fingerprint


def test_a_benchmark_without_seen_images_has_none(benchmark: Benchmark, load_all: Callable) -> None:
    without = replace(benchmark, seen={}, ood=benchmark.ood[:1])
    assert load_all(without).seen == {}


def test_ood_sets_come_in_the_order_of_the_benchmark(benchmark: Benchmark, load_all: Callable) -> None:
    assert list(load_all(benchmark).ood) == ["noise", "seen"]


def test_a_benchmark_s_number_of_classes_is_that_of_its_parts(benchmark: Benchmark, load_all: Callable) -> None:
    assert load_all(benchmark).n_classes == 2


def test_the_definition_of_an_ood_set_is_found_by_its_name(benchmark: Benchmark, load_all: Callable) -> None:
    assert load_all(benchmark).ood_set("seen") == benchmark.ood[1]


def test_a_missing_ood_set_is_skipped(benchmark: Benchmark, load_all: Callable) -> None:
    data = load_all(replace(benchmark, ood=(MISSING, *benchmark.ood)))
    assert (list(data.ood), list(data.missing)) == (["noise", "seen"], ["letters"])


def test_a_missing_ood_set_is_reported_with_the_reason(
    benchmark: Benchmark, load_all: Callable, heard, data_dir: Path
) -> None:
    data = load_all(replace(benchmark, ood=(MISSING, *benchmark.ood)))
    assert heard.messages == [f"small: skipping the OOD set 'letters': {data.missing['letters']}"]


def test_a_damaged_ood_set_is_not_skipped(benchmark: Benchmark, load_all: Callable, write_folder: WriteFolder) -> None:
    write_folder({"letters/test/a.png": b"broken"})
    with pytest.raises(DataError, match="a.png cannot be decoded"):
        load_all(replace(benchmark, ood=(MISSING, *benchmark.ood)))


def test_a_benchmark_without_any_ood_set_is_an_error_that_says_how_to_get_one(
    benchmark: Benchmark, load_all: Callable
) -> None:
    with pytest.raises(MissingData, match="small has no OOD test set to score. no test images of letters: looked for"):
        load_all(replace(benchmark, seen={}, ood=(MISSING,)))


@pytest.mark.parametrize("which", ["id_train", "id_test", "seen"])
def test_missing_id_or_seen_images_are_an_error(which: str, benchmark: Benchmark, load_all: Callable) -> None:
    split = "test" if which == "id_test" else "train"
    letters = Part(dataset="letters", split=split)
    without = replace(benchmark, **{which: {"seen": letters} if which == "seen" else letters})
    with pytest.raises(MissingData, match=f"no {split} images of letters"):
        load_all(without)


def test_classes_on_one_side_only_are_an_error_that_names_them(benchmark: Benchmark, load_all: Callable) -> None:
    other = Part(dataset="digits", classes=("2", "7"))
    with pytest.raises(DataError, match=r"different classes \(6, 7 on one side only\); give both splits the same"):
        load_all(replace(benchmark, id_test=other))


def test_the_same_classes_in_another_order_are_an_error_that_says_so(benchmark: Benchmark, load_all: Callable) -> None:
    other = Part(dataset="digits", classes=("6", "2"))
    with pytest.raises(DataError, match=r"different classes \(in another order\)"):
        load_all(replace(benchmark, id_test=other))


def test_a_single_class_is_loaded(benchmark: Benchmark, load_all: Callable) -> None:
    train, test = (Part(dataset="digits", split=split, classes=("2",)) for split in ("train", "test"))
    data = load_all(replace(benchmark, id_train=train, id_test=test))
    assert data.class_names == ("2",)


def test_id_images_without_labels_on_both_sides_are_of_one_class(benchmark: Benchmark, load_all: Callable) -> None:
    train, test = (
        Part(dataset="uniform", split=split, settings={"count": 3, "seed": seed})
        for seed, split in enumerate(("train", "test"))
    )
    data = load_all(replace(benchmark, id_train=train, id_test=test))
    assert data.class_names == ("in-distribution",)
    assert data.id_train.labels.tolist() == [0, 0, 0]


@pytest.mark.parametrize("which", ["id_train", "id_test"])
def test_id_images_without_labels_are_an_error(which: str, benchmark: Benchmark, load_all: Callable) -> None:
    noise = Part(dataset="uniform", split="train", settings={"count": 3})
    with pytest.raises(DataError, match=r"small: the in-distribution images of uniform \(train\) have no labels"):
        load_all(replace(benchmark, **{which: noise}))


def test_images_of_another_shape_are_an_error_that_names_both_sets(
    write_folder: Callable, benchmark: Benchmark, load_all: Callable, png: Encode
) -> None:
    write_folder({"letters/test/a.png": png(np.zeros((4, 4), dtype=np.uint8))})
    open_shape = replace(benchmark, conversion=Conversion(), ood=(MISSING,), seen={})

    with pytest.raises(DataError, match=r"images of letters \(test\) have the shape \(1, 4, 4\), those of digits"):
        load_all(open_shape)


def test_name_near_that_of_a_data_set_is_asked_about(benchmark: Benchmark, load_all: Callable) -> None:
    with pytest.raises(MissingData, match="Did you mean 'mnist'"):
        load_all(replace(benchmark, id_test=Part(dataset="mnst")))


def test_test_images_that_are_training_images_as_well_are_left_out(
    benchmark: Benchmark, load_all: Callable, heard, data_dir: Path
) -> None:
    from PIL import Image

    for split, seeds in (("train", range(8)), ("test", range(6, 12))):
        for k in seeds:
            folder = data_dir / "pets" / split / ("cat" if k % 2 else "dog")
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.random.default_rng(k).integers(0, 255, (8, 8), np.uint8)).save(folder / f"{k}.png")
    pets = replace(benchmark, id_train=Part(dataset="pets", split="train"), id_test=Part(dataset="pets"))
    data = load_all(pets)

    assert (len(data.id_train), len(data.id_test)) == (8, 4)
    assert data.id_test.labels.tolist() == [0, 0, 1, 1]
    assert "leaving out 2 images of pets (test): they are training images as well" in heard.messages


def test_ood_images_that_are_id_test_images_as_well_are_told(benchmark: Benchmark, load_all: Callable, heard) -> None:
    same = replace(benchmark.ood[0], name="same", part=benchmark.id_test)
    data = load_all(replace(benchmark, ood=(same, *benchmark.ood)))

    told = [line for line in heard.messages if "ID test images" in line]
    assert told == [f"{len(data.id_test)} images of same are ID test images as well: they cannot be told apart"]
    assert len(data.ood["same"]) == len(data.id_test)


def test_a_test_set_of_training_images_only_is_an_error(benchmark: Benchmark, load_all: Callable) -> None:
    with pytest.raises(DataError, match=r"every image of digits \(train\) is among the training images"):
        load_all(replace(benchmark, id_test=replace(benchmark.id_train)))


@pytest.fixture
def divided(benchmark: Benchmark, write_folder: WriteFolder, png: Encode, pixels: MakePixels) -> Callable:
    """Return a function that makes a benchmark of a folder that is divided by the names of its files.

    The hashes of a/0, b/0 and b/3 put them among the test images, those of a/1, b/1 and b/2 among the training images.
    """

    def make(*names: str) -> Benchmark:
        write_folder({f"mine/{name}.png": png(pixels(8, 8, seed=i)) for i, name in enumerate(names)})
        part = Part(dataset="mine", split="train", settings={"test_share": 0.5})
        return replace(benchmark, id_train=part, id_test=replace(part, split="test"), seen={}, ood=benchmark.ood[:1])

    return make


def test_a_class_without_training_images_cannot_be_learnt(
    divided: Callable, data_dir: Path, cache_dir: Path, heard
) -> None:
    rare = divided("a/0", "a/1", "b/0", "b/3")
    store = ArtifactStore(cache_dir)
    with pytest.raises(DataError, match="^small: no training images of b; add some, or leave the class out$"):
        load_benchmark(rare, Workspace(data_dir=data_dir, artifacts=store, report=heard))

    assert (
        load_benchmark(rare, Workspace(data_dir=data_dir, artifacts=store, report=heard), train_needed=False).n_classes
        == 2
    )
    found = ["mine (train): 1 image in 2 classes: a 1, b 0", "mine (test): 3 images in 2 classes: a 1, b 2"]
    assert heard.messages == found * 2


def test_a_class_without_test_images_is_told(divided: Callable, load_all: Callable, heard) -> None:
    load_all(divided("a/0", "a/1", "b/1", "b/2"))

    assert heard.messages[2:] == ["small: no test images of b: the accuracy says nothing of them"]
