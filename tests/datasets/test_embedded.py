"""The images that come with the installation."""

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.datasets import load_digits

from oodbench.images import Conversion, ImageSet
from oodbench.plugins import registry

Load = Callable[..., ImageSet]


def rows(images: np.ndarray) -> list[bytes]:
    return [image.tobytes() for image in images]


def test_the_digits_are_all_of_scikit_learn_s(load: Load) -> None:
    both = np.concatenate([load("digits", split).images[:, 0] for split in ("train", "test")])
    expected = np.rint(load_digits().images * 255 / 16).astype(np.uint8)
    assert sorted(rows(both)) == sorted(rows(expected))


def test_no_digit_is_in_both_splits(load: Load) -> None:
    train, test = (set(rows(load("digits", split).images)) for split in ("train", "test"))
    assert train & test == set()


def test_every_third_digit_of_a_class_is_for_testing(load: Load) -> None:
    counts = np.bincount(load("digits", "test").labels, minlength=10)
    assert counts.tolist() == (np.bincount(load_digits().target) // 3).tolist()


@pytest.mark.parametrize("split", ["train", "test"])
def test_digits_keep_their_labels(split: str, load: Load) -> None:
    label_of = {
        np.rint(image * 255 / 16).astype(np.uint8).tobytes(): int(label)
        for image, label in zip(load_digits().images, load_digits().target, strict=True)
    }
    digits = load("digits", split)
    assert digits.labels.tolist() == [label_of[row] for row in rows(digits.images)]


def test_digits_are_stretched_to_the_whole_range(load: Load) -> None:
    assert (np.asarray(load("digits").images).min(), np.asarray(load("digits").images).max()) == (0, 255)


@pytest.mark.parametrize("name", ["digits", "photo_patches"])
def test_embedded_images_are_always_there(name: str, data_dir) -> None:
    assert registry.dataset(name).locate("test", data_dir / "nowhere").present


def test_photo_patches_are_the_same_images_each_time(load: Load, cache_dir) -> None:
    first = load("photo_patches", size=(8, 8), channels=1, settings={"count": 50}).fingerprint
    (cache_dir / "images").rename(cache_dir / "elsewhere")
    assert first == load("photo_patches", size=(8, 8), channels=1, settings={"count": 50}).fingerprint


def test_photo_patches_are_squares_of_16_to_128_pixels(data_dir) -> None:
    raw = registry.dataset("photo_patches", {"count": 300}).read("test", data_dir, Conversion())
    sizes = [picture.size for picture in raw.images]
    assert all(width == height and 16 <= width <= 128 for width, height in sizes)


def test_photo_patches_are_a_thousand_unless_told_otherwise() -> None:
    assert registry.dataset("photo_patches").count == 1000
