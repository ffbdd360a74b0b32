"""OpenOOD's data folder, on a small tree of its form: lists, images, benchmarks."""

from __future__ import annotations

import json

import numpy as np
import pytest

import oodbench
from oodbench.data.loading import load_benchmark
from oodbench.errors import ConfigError, DataError, MissingData
from oodbench.images import CentreCrop, Conversion
from oodbench.plugins import registry
from oodbench.store.artifacts import ArtifactStore
from oodbench.store.workspace import Workspace
from tests.helpers import Listener

IMAGES = {"classic": "images_classic", "largescale": "images_largescale"}


@pytest.fixture
def home(write_folder, png, pixels, data_dir):
    """Return a function that writes a list and its images: labels by path below the folder of images."""
    seeds = iter(range(1000))

    def make(place, labels, images="classic", shape=(32, 32, 3)):
        lines = [f"{path} {label}" for path, label in labels.items()]
        write_folder({f"benchmark_imglist/{place}.txt": "\n".join(lines).encode()})
        write_folder({f"{IMAGES[images]}/{path}": png(pixels(*shape, seed=next(seeds))) for path in labels})
        return data_dir

    return make


def read(settings, data_dir, split="test", size=(32, 32)):
    conversion = Conversion(size=size, channels=3)
    return registry.dataset("openood_list", settings).read(split, data_dir, conversion)


def test_images_and_labels_come_in_the_order_of_the_list(home):
    data_dir = home("cifar10/test_cifar10", {"cifar10/test/cat/2.png": 3, "cifar10/test/car/1.png": 1})
    raw = read({"benchmark": "cifar10"}, data_dir)
    assert raw.class_names == ("1", "3")
    assert list(raw.labels) == [1, 0]
    assert len(list(raw.images)) == 2


def test_class_names_are_indices_in_the_order_of_numbers(home):
    data_dir = home("cifar100/test_cifar100", {f"cifar100/{i}.png": label for i, label in enumerate((10, 9, 0))})
    assert read({"benchmark": "cifar100"}, data_dir).class_names == ("0", "9", "10")


def test_a_list_of_no_id_class_has_no_labels(home):
    data_dir = home("cifar10/test_tin", {"tin/test/1.png": -1, "tin/test/2.png": -1})
    raw = read({"benchmark": "cifar10", "name": "tin"}, data_dir)
    assert raw.labels is None
    assert raw.class_names == ()


def test_validation_images_are_a_list_of_their_own(home):
    data_dir = home("cifar10/val_cifar10", {"cifar10/test/1.png": 0})
    assert len(read({"benchmark": "cifar10", "part": "val"}, data_dir).images) == 1


def test_only_the_first_images_of_each_class_are_read_where_that_is_asked_for(home):
    labels = {f"imagenet_1k/train/{i}.png": i % 2 for i in range(6)}
    data_dir = home("imagenet/train_imagenet", labels, "largescale")
    raw = read({"benchmark": "imagenet", "images": "largescale", "per_class": 2}, data_dir, "train")
    assert list(raw.labels) == [0, 1, 0, 1]


def test_the_centre_is_that_of_torchvision(home, data_dir):
    from PIL import Image
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

    home("cifar10/test_texture", {"texture/1.png": -1}, shape=(47, 90, 3))
    (ours,) = read({"benchmark": "cifar10", "name": "texture", "shorter": 40}, data_dir).images
    steps = Compose([Resize(40, interpolation=InterpolationMode.BILINEAR), CenterCrop(32)])
    theirs = steps(Image.open(data_dir / "images_classic/texture/1.png").convert("RGB"))
    assert np.array_equal(np.asarray(ours), np.asarray(theirs))


def test_images_are_left_whole_for_a_conversion_that_cuts_out_by_itself(home):
    data_dir = home("cifar10/test_texture", {"texture/1.png": -1}, shape=(47, 90, 3))
    dataset = registry.dataset("openood_list", {"name": "texture", "shorter": 40})
    (image,) = dataset.read("test", data_dir, CentreCrop(size=(32, 32), channels=3, resize=40)).images
    assert image.size == (90, 47)


def test_the_folder_may_be_named_by_a_variable(home, tmp_path, monkeypatch):
    data_dir = home("cifar10/test_cifar10", {"cifar10/1.png": 0})
    monkeypatch.setenv("OPENOOD_DATA", str(data_dir))
    dataset = registry.dataset("openood_list")
    assert dataset.locate("test", tmp_path).present
    monkeypatch.delenv("OPENOOD_DATA")
    assert not dataset.locate("test", tmp_path).present


def test_a_list_without_its_images_is_not_there(home, data_dir):
    home("cifar10/test_cifar10", {"cifar10/1.png": 0})
    (data_dir / "images_classic/cifar10/1.png").unlink()
    location = registry.dataset("openood_list").locate("test", data_dir)
    assert not location.present
    assert location.looked_for == (data_dir / "images_classic/cifar10/1.png",)


def test_a_label_that_is_no_index_is_refused(home):
    data_dir = home("cifar10/test_cifar10", {"cifar10/1.png": 0, "cifar10/2.png": "cat"})
    with pytest.raises(DataError, match="has the label 'cat' beside others"):
        read({}, data_dir)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"per_class": -1}, "per_class must not be negative"), ({"name": "../x"}, "name is the name of a folder")],
)
def test_settings_that_cannot_be_are_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        registry.dataset("openood_list", settings)


def test_a_centre_larger_than_the_shorter_side_is_refused(home):
    data_dir = home("cifar10/test_cifar10", {"cifar10/1.png": 0})
    with pytest.raises(ConfigError, match="shorter=16 leaves no centre of 32×32"):
        read({"shorter": 16}, data_dir)


def test_how_to_get_it_names_the_script_and_the_variable(data_dir):
    with pytest.raises(DataError, match=r"scripts/download/download.sh .*OPENOOD_DATA"):
        registry.dataset("openood_list").download(data_dir)


LISTS = {
    "openood-cifar10": ("cifar10", ("cifar100", "tin"), ("mnist", "svhn", "texture", "places365"), ("cifar10c",)),
    "openood-cifar100": ("cifar100", ("cifar10", "tin"), ("mnist", "svhn", "texture", "places365"), ("cifar100c",)),
    "openood-imagenet200": (
        "imagenet200",
        ("ssb_hard", "ninco"),
        ("inaturalist", "textures", "openimage_o"),
        ("imagenet200_v2", "imagenet200_c", "imagenet200_r"),
    ),
    "openood-imagenet": (
        "imagenet",
        ("ssb_hard", "ninco"),
        ("inaturalist", "textures", "openimage_o"),
        ("imagenet_v2", "imagenet_c", "imagenet_r", "imagenet_es"),
    ),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_benchmark_names_the_lists_of_openood(name):
    folder, near, far, shifted = LISTS[name]
    benchmark = registry.benchmark(name)
    roles = {"novelty": near, "anomaly": far, "covariate": shifted}
    for role, lists in roles.items():
        assert tuple(ood.part.settings["name"] for ood in benchmark.ood if ood.role == role) == lists
    assert {part.settings["benchmark"] for part in benchmark.parts} == {folder}
    large = {part.settings.get("images", "classic") for part in benchmark.parts if part.settings["name"] != "textures"}
    assert large == ({"classic"} if "cifar" in name else {"largescale"})


VALIDATION = {"openood-cifar10": "tin", "openood-cifar100": "tin", "openood-imagenet200": "openimage_o"}


@pytest.mark.parametrize("name", VALIDATION)
def test_a_benchmark_has_the_validation_ood_images_of_openood(name):
    benchmark = registry.benchmark(name)
    ((known, part),) = benchmark.ood_validation.items()
    assert known == part.settings["name"] == VALIDATION[name]
    assert part.settings["part"] == "val"


@pytest.mark.parametrize(
    ("suite", "folder", "known", "unknown"),
    [
        ("openood-osr-mnist6", "osr_mnist6", "mnist_6", "mnist_4"),
        ("openood-osr-cifar6", "osr_cifar6", "cifar10_6", "cifar10_4"),
        ("openood-osr-cifar50", "osr_cifar50", "cifar100_50", "cifar100_50"),
        ("openood-osr-tin20", "osr_tin20", "tin_20", "tin_180"),
    ],
)
def test_open_set_splits_name_the_lists_of_openood(suite, folder, known, unknown, tmp_path):
    def listed(part):
        (place, *_) = registry.dataset(part.dataset, dict(part.settings)).locate(part.split, tmp_path).looked_for
        return place.relative_to(tmp_path / "benchmark_imglist" / folder).as_posix()

    members = registry.suite(suite).benchmarks
    assert len(members) == 5
    for seed, member in enumerate(members, start=1):
        assert listed(member.id_train) == f"train/train_{known}_seed{seed}.txt"
        assert listed(member.id_validation) == f"val/val_{known}_seed{seed}.txt"
        assert listed(member.id_test) == f"test/test_{known}_id_seed{seed}.txt"
        (ood,) = member.ood
        assert listed(ood.part) == f"test/test_{unknown}_ood_seed{seed}.txt"


def run(name, data_dir, *methods, **options):
    return oodbench.run(name, methods, data_dir=data_dir, report=Listener(), **options)


def test_an_open_set_split_is_run_from_lists(home):
    place = "osr_mnist6"
    for part, listed in (("train", "mnist_6"), ("val", "mnist_6"), ("test", "mnist_6_id")):
        labels = {f"mnist/{part}/{i}.png": i % 2 for i in range(20)}
        home(f"{place}/{part}/{part}_{listed}_seed1", labels, shape=(28, 28))
    data_dir = home(f"{place}/test/test_mnist_4_ood_seed1", {f"mnist/other/{i}.png": -1 for i in range(6)})
    member = registry.suite("openood-osr-mnist6").benchmarks[0]

    frame = run(member, data_dir, "msp", "gen(tune=id)", recipe="quick")

    assert set(frame["in_dist"]) == {"openood-osr-mnist6-seed1"}
    assert set(frame["suite"]) == {"openood-osr-mnist6"}
    assert set(zip(frame["out_dist"], frame["n_ood"], frame["n_id"], strict=True)) == {("mnist4", 6, 20)}
    assert frame["oscr"].notna().all()


@pytest.fixture
def cifar10(home):
    """Write the lists of a small CIFAR-10 with validation images, one OOD set, and corrupted ID images."""
    for part in ("train", "val", "test"):
        home(f"cifar10/{part}_cifar10", {f"cifar10/{part}/{i}.png": i % 2 for i in range(20)})
    home("cifar10/test_cifar10c", {f"cifar10c/{i}.png": i % 2 for i in range(6)})
    home("cifar10/val_tin", {f"tin/val/{i}.png": -1 for i in range(8)}, shape=(64, 64, 3))
    return home("cifar10/test_svhn", {f"svhn/{i}.png": -1 for i in range(7)})


def test_settings_are_chosen_on_the_validation_lists_and_scored_on_the_test_lists(cifar10):
    frame = run("openood-cifar10", cifar10, "react", "msp", recipe="quick", tune="val", settings=QUICK)

    react = frame[frame["method"] == "react"]
    assert set(react["sees"]) == {"id_validation ood_validation"}
    assert json.loads(react["fitted"].iloc[0])["chosen"] == "percentile"
    scored = react[react["n_ood"] > 0]
    assert dict(zip(scored["out_dist"], scored["n_ood"], strict=True)) == {"svhn": 7, "cifar10c": 6}
    # Corrupted images count as in-distribution in the columns of the full spectrum, and have an accuracy of their own.
    assert scored.set_index("out_dist")["full_spectrum_auroc"].notna().to_dict() == {"svhn": True, "cifar10c": False}
    assert scored.set_index("out_dist")["shifted_accuracy"].notna().to_dict() == {"svhn": False, "cifar10c": True}


QUICK = {"recipe": {"epochs": 1, "network": "tinynet"}}


def test_validation_lists_that_are_missing_are_said_where_they_are_wanted(cifar10):
    (cifar10 / "benchmark_imglist/cifar10/val_tin.txt").unlink()

    run("openood-cifar10", cifar10, "react", recipe="quick", settings=QUICK)
    with pytest.raises(MissingData, match="val_tin.txt"):
        run("openood-cifar10", cifar10, "react", recipe="quick", tune="val", settings=QUICK)


@pytest.fixture
def load(data_dir, cache_dir, heard):
    def load_one(name):
        artifacts = ArtifactStore(cache_dir)
        return load_benchmark(registry.benchmark(name), Workspace(data_dir=data_dir, artifacts=artifacts, report=heard))

    return load_one


def test_sets_that_are_missing_are_skipped_and_said(home, load, heard):
    for split in ("train", "test"):
        home(f"cifar10/{split}_cifar10", {f"cifar10/{split}/{i}.png": i % 2 for i in range(4)})
    home("cifar10/test_tin", {"tin/1.png": -1}, shape=(64, 64, 3))

    data = load("openood-cifar10")

    assert list(data.ood) == ["tin"]
    assert data.ood["tin"].shape == (3, 32, 32)
    assert data.id_validation is None
    assert set(data.missing) == {"cifar100", "mnist", "svhn", "texture", "places365", "cifar10c"}
    said = "\n".join(heard.messages)
    assert "going on without the ID validation images" in said
    assert "skipping the OOD set 'svhn'" in said


def test_shifted_images_are_in_distribution_by_the_names_of_their_classes(home, load):
    for split in ("train", "test"):
        labels = {f"imagenet_1k/{split}/{i}.png": i % 3 for i in range(6)}
        home(f"imagenet200/{split}_imagenet200", labels, "largescale")
    home("imagenet200/val_imagenet200", {f"imagenet_1k/val/{i}.png": i for i in range(3)}, "largescale")
    home("imagenet200/test_ninco", {"ninco/1.png": -1}, "largescale", (300, 260, 3))
    home("imagenet200/test_imagenet200_r", {"imagenet_r/1.png": 2, "imagenet_r/2.png": 1}, "largescale")

    data = load("openood-imagenet200")

    assert data.id_validation.labels.tolist() == [0, 1, 2]
    assert data.covariate == ("imagenet_r",)
    assert data.ood["imagenet_r"].class_names == ("1", "2")
    assert data.ood["ninco"].shape == (3, 224, 224)
    assert data.missing.keys() == {"ssb_hard", "inaturalist", "textures", "openimage_o", "imagenet_v2", "imagenet_c"}


def test_validation_images_of_other_classes_are_refused(home, load):
    for split in ("train", "test"):
        home(f"cifar10/{split}_cifar10", {f"cifar10/{split}/{i}.png": i % 2 for i in range(4)})
    home("cifar10/val_cifar10", {"cifar10/val/1.png": 1})
    with pytest.raises(DataError, match="validation images have other classes than the test images"):
        load("openood-cifar10")


def test_shifted_images_of_other_classes_are_refused(home, load):
    for split in ("train", "test"):
        home(f"imagenet200/{split}_imagenet200", {f"{split}/{i}.png": i for i in range(2)}, "largescale")
    home("imagenet200/test_ninco", {"ninco/1.png": -1}, "largescale")
    home("imagenet200/test_imagenet200_r", {"imagenet_r/1.png": 7}, "largescale")
    with pytest.raises(DataError, match=r"imagenet_r has classes that are no ID classes \(7\)"):
        load("openood-imagenet200")


def test_shifted_images_alone_are_nothing_to_score(home, load):
    for split in ("train", "test"):
        home(f"imagenet200/{split}_imagenet200", {f"{split}/{i}.png": i for i in range(2)}, "largescale")
    home("imagenet200/test_imagenet200_r", {"imagenet_r/1.png": 1}, "largescale")
    with pytest.raises(MissingData, match="has no OOD test set to score"):
        load("openood-imagenet200")
