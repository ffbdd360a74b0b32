"""OOD sets for ImageNet, on small trees of the form that their authors give them."""

from __future__ import annotations

import json

import pytest

from oodbench.errors import DataError
from oodbench.images import Conversion
from oodbench.plugins import registry

SPLITS = {
    "known_classes": ["n01"],
    "unknown_classes": {"Easy": ["n04"], "Hard": ["n03", "n02"]},
    "known_unknown_pairs": [],
}


@pytest.fixture
def write(write_folder, png, pixels):
    def write_images(names, shape=(20, 30, 3)):
        write_folder({name: png(pixels(*shape, seed=seed)) for seed, name in enumerate(names)})

    return write_images


def read(name, data_dir, size=(14, 14), **settings):
    raw = registry.dataset(name, settings).read("test", data_dir, Conversion(size=size, channels=3))
    return raw, list(raw.images)


def ssb(write, write_folder):
    write([f"ssb/imagenet21k_val/{name}/{name}_{i}.JPEG.png" for name in ("n02", "n03", "n04") for i in range(2)])
    write_folder({"ssb/imagenet_ssb_splits.json": json.dumps(SPLITS).encode()})


@pytest.mark.parametrize(("level", "classes"), [("hard", ("n02", "n03")), ("easy", ("n04",))])
def test_ssb_has_the_classes_of_its_level(level, classes, write, write_folder, data_dir):
    ssb(write, write_folder)
    raw, images = read("ssb", data_dir, level=level)
    assert raw.class_names == classes
    assert list(raw.labels) == [label for label in range(len(classes)) for _ in range(2)]
    assert {image.size for image in images} == {(14, 14)}


def test_ssb_without_one_of_its_classes_is_refused(write, write_folder, data_dir):
    ssb(write, write_folder)
    write_folder({"ssb/imagenet_ssb_splits.json": json.dumps({"unknown_classes": {"Hard": ["n02", "n09"]}}).encode()})
    with pytest.raises(DataError, match="lacks 1 of the 2 hard classes, such as n09"):
        read("ssb", data_dir)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"unknown_classes": {}}'])
def test_a_list_of_splits_that_is_none_is_refused(content, write, write_folder, data_dir):
    ssb(write, write_folder)
    write_folder({"ssb/imagenet_ssb_splits.json": content})
    with pytest.raises(DataError, match="does not say which classes are hard"):
        read("ssb", data_dir)


def test_ninco_is_its_folder_of_ood_classes(write, data_dir):
    write(["NINCO/NINCO_OOD_classes/sky/a b_000.png", "NINCO/NINCO_OOD_classes/donuts/1.png"])
    write(["NINCO/NINCO_OOD_unit_tests/black/1.png"])
    raw, images = read("ninco", data_dir)
    assert raw.class_names == ("donuts", "sky")
    assert len(images) == 2


def imagenet_ood(write, write_folder, home):
    names = ["n05/n05_7.JPEG", "n02/n02_1.JPEG"]
    write([f"{home}/{name}" for name in names])
    write_folder({"imagenet-ood/imagenetood.txt": "\n".join(names).encode()})


@pytest.mark.parametrize("home", ["imagenet-ood", "imagenet21k"])
def test_imagenet_ood_is_a_list_of_images_that_lie_beside_it_or_in_imagenet_21k(home, write, write_folder, data_dir):
    imagenet_ood(write, write_folder, home)
    raw, images = read("imagenet-ood", data_dir)
    assert raw.class_names == ("n02", "n05")
    assert list(raw.labels) == [1, 0]
    assert len(images) == 2
    assert len(registry.dataset("imagenet-ood").locate("test", data_dir).listed) == 2


def test_a_list_without_its_images_is_not_there(write_folder, data_dir):
    write_folder({"imagenet-ood/imagenetood.txt": b"n05/n05_7.JPEG"})
    location = registry.dataset("imagenet-ood").locate("test", data_dir)
    assert not location.present
    assert location.looked_for == (data_dir / "imagenet-ood", data_dir / "imagenet21k")


@pytest.mark.parametrize("name", ["ssb", "ninco", "imagenet-ood"])
def test_there_are_test_images_only_and_it_is_said_how_to_get_them(name, write, write_folder, data_dir):
    ssb(write, write_folder)
    write(["NINCO/NINCO_OOD_classes/sky/1.png"])
    imagenet_ood(write, write_folder, "imagenet21k")
    dataset = registry.dataset(name)
    assert dataset.locate("test", data_dir).present
    assert not dataset.locate("train", data_dir).present
    with pytest.raises(DataError, match=f"{name} cannot be downloaded. .*https://github.com/"):
        dataset.download(data_dir)


def test_the_centre_is_cut_out_or_the_whole_resized(write, data_dir):
    write(["NINCO/NINCO_OOD_classes/sky/1.png"], shape=(32, 64, 3))
    (centre,) = read("ninco", data_dir, size=(28, 28))[1]
    (whole,) = read("ninco", data_dir, size=(28, 28), centre=False)[1]
    # The shorter side is 28 · 256/224 = 32 already.
    assert centre.getpixel((0, 0)) == whole.getpixel((18, 2))
    assert whole.size == (64, 32)
