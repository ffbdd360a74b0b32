"""The unpacked archives of the ODIN authors, and lists of images."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from oodbench.errors import DataError
from oodbench.images import ImageSet
from oodbench.plugins import registry

Pixels = NDArray[np.uint8]
Load = Callable[..., ImageSet]
MakePixels = Callable[..., Pixels]
Encode = Callable[[Pixels], bytes]
WriteFolder = Callable[[Mapping[str, bytes]], None]


@pytest.mark.parametrize("name", ["tiny_imagenet", "lsun"])
@pytest.mark.parametrize("nested", [False, True], ids=["flat", "once more in itself"])
def test_unpacked_archive_is_read_in_the_order_of_its_names(
    name: str, nested: bool, pixels: MakePixels, png: Encode, write_folder: WriteFolder, load: Load
) -> None:
    archive = {"tiny_imagenet": "Imagenet_resize", "lsun": "LSUN_resize"}[name]
    folder = f"{archive}/{archive}" if nested else archive
    first, second = pixels(4, 4, 3, seed=1), pixels(4, 4, 3, seed=2)
    write_folder({f"{folder}/2.png": png(second), f"{folder}/1.png": png(first), f"{folder}/readme.txt": b"hello"})

    images = load(name)

    assert np.asarray(images.images).tolist() == [first.transpose(2, 0, 1).tolist(), second.transpose(2, 0, 1).tolist()]
    assert images.labels is None


def test_folder_of_the_set_s_own_name_does_as_well(
    pixels: MakePixels, png: Encode, write_folder: WriteFolder, load: Load
) -> None:
    write_folder({"lsun/test/1.png": png(pixels(4, 4, 3))})

    assert len(load("lsun")) == 1


def test_archive_has_no_training_split(
    pixels: MakePixels, png: Encode, write_folder: WriteFolder, data_dir: Path
) -> None:
    write_folder({"LSUN_resize/1.png": png(pixels(4, 4, 3))})

    assert not registry.dataset("lsun").locate("train", data_dir).present


@pytest.mark.parametrize(("name", "archive"), [("tiny_imagenet", "Imagenet_resize"), ("lsun", "LSUN_resize")])
def test_how_to_get_it_names_the_address_and_the_place(name: str, archive: str, data_dir: Path) -> None:
    with pytest.raises(
        DataError, match=rf"{name} cannot be downloaded. Download https://.*{archive}\.tar\.gz and unpack"
    ):
        registry.dataset(name).download(data_dir)


def test_list_of_images_is_read_in_its_own_order(
    pixels: MakePixels, png: Encode, write_folder: WriteFolder, load: Load, data_dir: Path
) -> None:
    first, second = pixels(4, 4, seed=1), pixels(4, 4, seed=2)
    elsewhere = data_dir / "elsewhere" / "b.png"
    write_folder(
        {
            "mine/a.png": png(second),
            "elsewhere/b.png": png(first),
            "mine/images.txt": f"{elsewhere}\n\na.png\n".encode(),
        }
    )

    assert load("mine").images[:, 0].tolist() == [first.tolist(), second.tolist()]


def test_list_that_names_a_missing_image_is_an_error_that_names_it(write_folder: WriteFolder, load: Load) -> None:
    write_folder({"mine/images.txt": b"gone.png\n"})

    with pytest.raises(DataError, match=r"the image .*mine/gone\.png cannot be read"):
        load("mine")


def test_empty_list_is_an_error(write_folder: WriteFolder, load: Load) -> None:
    write_folder({"mine/images.txt": b"\n"})

    with pytest.raises(DataError, match=r"mine/images\.txt names no images"):
        load("mine")


def test_list_is_for_testing_only(write_folder: WriteFolder, data_dir: Path) -> None:
    write_folder({"mine/images.txt": b"a.png\n"})

    assert not registry.dataset("mine").locate("train", data_dir).present


def test_list_whose_images_have_changed_is_read_again(
    write_folder: WriteFolder, pixels: MakePixels, png: Encode, load: Load
) -> None:
    old, new = pixels(4, 4, seed=1), pixels(4, 4, seed=2)
    write_folder({"mine/a.png": png(old), "mine/images.txt": b"a.png\n", "lsun/b.png": png(old)})
    write_folder({"lsun/images.txt": b"b.png\n"})
    assert [load(name).images[0, 0].tolist() for name in ("mine", "lsun")] == [old.tolist()] * 2

    write_folder({"mine/a.png": png(new), "lsun/b.png": png(new)})
    assert [load(name).images[0, 0].tolist() for name in ("mine", "lsun")] == [new.tolist()] * 2


def test_list_of_names_that_are_no_utf_8_is_read(write_folder: WriteFolder, data_dir: Path) -> None:
    write_folder({"mine/images.txt": b"caf\xe9.png\n"})

    assert [bytes(file) for file in registry.dataset("mine").locate("test", data_dir).listed] == [
        bytes(data_dir / "mine") + b"/caf\xe9.png"
    ]
