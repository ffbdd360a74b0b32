"""Fingerprints of image sets: what they depend on, and what not."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from oodbench.images import ImageSet

Pixels = NDArray[np.uint8]
Load = Callable[..., ImageSet]
MakePixels = Callable[..., Pixels]
Encode = Callable[[Pixels], bytes]
WriteFolder = Callable[[Mapping[str, bytes]], None]
WriteZip = Callable[[str, Mapping[str, bytes]], Path]


def image_set(images: Pixels, labels: list[int] | None = None, name: str = "x", classes: str = "ab") -> ImageSet:
    of_labels = None if labels is None else np.array(labels)
    return ImageSet(name=name, images=images, labels=of_labels, class_names=tuple(classes))


def test_a_fingerprint_does_not_depend_on_the_name(pixels: MakePixels) -> None:
    first, second = (image_set(pixels(3, 1, 4, 4), [0, 1, 0], name=name) for name in ("one", "other"))
    assert first.fingerprint == second.fingerprint


def test_a_fingerprint_depends_on_every_pixel(pixels: MakePixels) -> None:
    changed = pixels(3, 1, 4, 4)
    changed[2, 0, 3, 3] ^= 1
    assert image_set(pixels(3, 1, 4, 4)).fingerprint != image_set(changed).fingerprint


def test_a_fingerprint_depends_on_the_order(pixels: MakePixels) -> None:
    images = pixels(3, 1, 4, 4)
    assert image_set(images).fingerprint != image_set(images[::-1]).fingerprint


def test_a_fingerprint_depends_on_the_shape(pixels: MakePixels) -> None:
    images = pixels(3, 1, 4, 4)
    assert image_set(images).fingerprint != image_set(images.reshape(3, 1, 2, 8)).fingerprint


@pytest.mark.parametrize("other", [[0, 1, 1], None])
def test_a_fingerprint_depends_on_the_labels(other: list[int] | None, pixels: MakePixels) -> None:
    images = pixels(3, 1, 4, 4)
    assert image_set(images, [0, 1, 0]).fingerprint != image_set(images, other).fingerprint


def test_a_fingerprint_depends_on_the_class_names(pixels: MakePixels) -> None:
    images = pixels(3, 1, 4, 4)
    assert image_set(images, [0, 1, 0]).fingerprint != image_set(images, [0, 1, 0], classes="ac").fingerprint


def test_a_fingerprint_does_not_depend_on_how_the_images_lie_in_memory(pixels: MakePixels, tmp_path: Path) -> None:
    images = pixels(3, 1, 4, 4)
    np.save(tmp_path / "x.npy", images)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert image_set(np.asfortranarray(images)).fingerprint == image_set(mapped).fingerprint
