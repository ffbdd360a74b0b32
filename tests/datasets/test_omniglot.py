"""Omniglot: ink is light on dark, whatever kind of picture it comes as; and what is said where it is missing."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from oodbench.errors import DataError
from oodbench.images import ImageSet
from oodbench.plugins import registry

Pixels = NDArray[np.uint8]
Load = Callable[..., ImageSet]
Encode = Callable[[Pixels], bytes]
WriteFolder = Callable[[Mapping[str, bytes]], None]


def one_bit(ink: Pixels) -> bytes:
    """Return a PNG with 1 bit a pixel, black where there is ink."""
    written = io.BytesIO()
    Image.fromarray(np.where(ink, 0, 255).astype(np.uint8)).convert("1").save(written, "png")
    return written.getvalue()


INK = np.zeros((105, 105), dtype=np.uint8)
INK[20:40, 30:90] = 1


def test_black_ink_on_white_gets_light_ink_on_black(write_folder: WriteFolder, load: Load) -> None:
    write_folder({"omniglot/test/0108_01.png": one_bit(INK)})

    images = load("omniglot")

    assert images.labels is None
    np.testing.assert_array_equal(images.images, 255 * INK[None, None])


def test_characters_are_shrunk_to_what_a_benchmark_asks_for(write_folder: WriteFolder, load: Load) -> None:
    write_folder({"omniglot/test/a.png": one_bit(INK), "omniglot/test/b.png": one_bit(INK[::-1].copy())})

    images = load("omniglot", size=(28, 28), channels=1)

    assert images.images.shape == (2, 1, 28, 28)
    assert images.images[0, 0, 8, 15] == 255
    assert images.images[0, 0, 20, 15] == 0


def test_files_that_are_inverted_already_can_be_left_as_they_are(
    png: Encode, write_folder: WriteFolder, load: Load
) -> None:
    write_folder({"omniglot/test/a.png": png(200 * INK)})

    images = load("omniglot", settings={"invert": False})

    np.testing.assert_array_equal(images.images, 200 * INK[None, None])


def test_a_single_grey_level_is_a_picture_as_well(png: Encode, write_folder: WriteFolder, load: Load) -> None:
    write_folder({"omniglot/test/a.png": png(np.full((105, 105), 255, np.uint8))})

    assert not np.asarray(load("omniglot", size=(28, 28), channels=1).images).any()


def test_folders_of_alphabets_give_labels(write_folder: WriteFolder, load: Load) -> None:
    write_folder({f"omniglot/test/{name}/01.png": one_bit(INK) for name in ("Greek", "Arcadian")})

    assert load("omniglot").class_names == ("Arcadian", "Greek")


def test_missing_characters_are_told_with_where_to_get_them(data_dir: Path) -> None:
    omniglot = registry.dataset("omniglot")

    assert not omniglot.locate("test", data_dir).present
    assert not omniglot.locate("train", data_dir).present
    with pytest.raises(DataError, match=r"omniglot cannot be downloaded. Download .* unpack it into omniglot/test"):
        omniglot.download(data_dir)
