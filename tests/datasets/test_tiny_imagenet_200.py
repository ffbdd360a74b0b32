"""Tiny ImageNet on a small tree of its form, and its images kept apart as outliers."""

from __future__ import annotations

import pytest

from oodbench.errors import DataError
from oodbench.images import Conversion
from oodbench.plugins import registry


@pytest.fixture
def whole(write_folder, png, pixels):
    """Write two classes, two images each to train on and one to test on."""
    files = {
        f"tiny-imagenet-200/train/{name}/images/{name}_{i}.JPEG": png(pixels(64, 64, 3, seed=i))
        for name in ("n02", "n01")
        for i in range(2)
    }
    files |= {f"tiny-imagenet-200/val/images/val_{i}.JPEG": png(pixels(64, 64, 3, seed=9 + i)) for i in range(2)}
    lines = "val_0.JPEG\tn02\t0\t32\t44\t62\nval_1.JPEG\tn01\t1\t2\t3\t4\n"
    files["tiny-imagenet-200/val/val_annotations.txt"] = lines.encode()
    files["tiny-imagenet-200/train/n01/n01_boxes.txt"] = b"n01_0.JPEG 0 0 1 1"
    write_folder(files)


@pytest.fixture
def archive(write_folder, png, pixels):
    write_folder({f"Imagenet_resize/{i}.png": png(pixels(32, 32, 3, seed=50 + i)) for i in range(3)})


def read(name, split, data_dir, **settings):
    conversion = Conversion(size=(64, 64), channels=3)
    return registry.dataset(name, settings).read(split, data_dir, conversion)


def test_training_images_have_the_labels_of_their_folders(whole, data_dir):
    raw = read("tiny_imagenet_200", "train", data_dir)
    assert raw.class_names == ("n01", "n02")
    assert list(raw.labels) == [0, 0, 1, 1]


def test_test_images_are_the_validation_images_with_the_labels_beside_them(whole, data_dir):
    raw = read("tiny_imagenet_200", "test", data_dir)
    assert raw.class_names == ("n01", "n02")
    assert list(raw.labels) == [1, 0]


def test_an_image_without_a_label_is_refused(whole, write_folder, data_dir):
    write_folder({"tiny-imagenet-200/val/val_annotations.txt": b"val_0.JPEG\tn02\n"})
    with pytest.raises(DataError, match="has no label for 1 of the 2 images beside it, such as val_1.JPEG"):
        read("tiny_imagenet_200", "test", data_dir)


@pytest.mark.parametrize("name", ["tiny_imagenet_200", "tiny_imagenet_apart"])
def test_missing_images_are_said_how_to_get(name, data_dir):
    dataset = registry.dataset(name)
    assert not dataset.locate("train", data_dir).present
    assert not dataset.locate("test", data_dir).present
    with pytest.raises(DataError, match="unpack it into the data folder"):
        dataset.download(data_dir)


def test_outliers_are_the_training_images_and_then_others_can_be_tested_on(whole, archive, data_dir):
    assert len(read("tiny_imagenet_apart", "train", data_dir).images) == 4
    assert read("tiny_imagenet_apart", "train", data_dir).labels is None
    assert len(read("tiny_imagenet_apart", "test", data_dir).images) == 3


def test_without_these_all_others_are_outliers_and_nothing_is_tested_on(archive, data_dir):
    dataset = registry.dataset("tiny_imagenet_apart")
    assert len(read("tiny_imagenet_apart", "train", data_dir).images) == 3
    assert not dataset.locate("test", data_dir).present
    assert not registry.dataset("tiny_imagenet_apart", {"crop": True}).locate("test", data_dir).present


def test_patches_are_tested_on_where_they_are_asked_for(whole, write_folder, png, pixels, data_dir):
    write_folder({"Imagenet/1.png": png(pixels(32, 32, 3, seed=1))})
    assert len(read("tiny_imagenet_apart", "test", data_dir, crop=True).images) == 1
    assert not registry.dataset("tiny_imagenet_apart").locate("test", data_dir).present
