"""Users' own images: a folder, or a ZIP of one."""

import io
import os
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Resampling

from oodbench import files
from oodbench.errors import ConfigError, DataError, MissingData
from oodbench.images import Conversion, ImageSet
from oodbench.plugins import registry

Pixels = NDArray[np.uint8]
Load = Callable[..., ImageSet]
MakePixels = Callable[..., Pixels]
Encode = Callable[[Pixels], bytes]
WriteFolder = Callable[[Mapping[str, bytes]], None]
WriteZip = Callable[[str, Mapping[str, bytes]], Path]

NAMES = ["b/2.png", "b/10.png", "a-c/1.png", "a/1.png", "a/sub/0.png"]
IN_ORDER = ["a/1.png", "a/sub/0.png", "a-c/1.png", "b/10.png", "b/2.png"]


@pytest.fixture
def photos(pixels: MakePixels, png: Encode) -> dict[str, bytes]:
    """PNGs of three classes, each with its place in NAMES as seed."""
    return {name: png(pixels(4, 5, 3, seed=i)) for i, name in enumerate(NAMES)}


@pytest.fixture
def in_order(pixels: MakePixels) -> Pixels:
    """The pixels of `photos` as they are to be read."""
    return np.stack([pixels(4, 5, 3, seed=NAMES.index(name)) for name in IN_ORDER]).transpose(0, 3, 1, 2)


def below(prefix: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"{prefix}/{name}": content for name, content in files.items()}


@pytest.fixture(params=["folder", "zip", "zip with enclosing folder"])
def place(
    request: pytest.FixtureRequest, write_folder: WriteFolder, write_zip: WriteZip
) -> Callable[[Mapping[str, bytes]], None]:
    """Put files of the data set "mine", named relative to it, where one may put them."""

    def put(files: Mapping[str, bytes]) -> None:
        if request.param == "folder":
            write_folder(below("mine", files))
        else:
            write_zip("mine", files if request.param == "zip" else below("mine", files))

    return put


Place = Callable[[Mapping[str, bytes]], None]


def test_images_come_by_class_name_and_then_by_file_name(
    place: Place, photos: dict[str, bytes], in_order: Pixels, load: Load
) -> None:
    place(below("test", photos))
    np.testing.assert_array_equal(in_order, load("mine").images)


def test_labels_follow_the_class_folders(place: Place, photos: dict[str, bytes], load: Load) -> None:
    place(below("test", photos))
    assert load("mine").labels.tolist() == [0, 0, 1, 2, 2]


def test_class_names_are_those_of_the_folders_sorted(place: Place, photos: dict[str, bytes], load: Load) -> None:
    place(below("test", photos))
    assert load("mine").class_names == ("a", "a-c", "b")


def test_the_same_images_have_the_same_fingerprint_in_a_folder_and_in_a_zip(
    photos: dict[str, bytes], write_folder: WriteFolder, write_zip: WriteZip, load: Load
) -> None:
    write_folder(below("unpacked/test", photos))
    write_zip("packed", below("test", photos))
    assert load("unpacked").fingerprint == load("packed").fingerprint


def test_splits_are_read_apart(place: Place, photos: dict[str, bytes], load: Load) -> None:
    place({**below("test", photos), "train/a/1.png": photos["a/1.png"]})
    assert (len(load("mine", "train")), len(load("mine", "test"))) == (1, 5)


def test_images_right_in_the_split_have_no_labels(place: Place, photos: dict[str, bytes], load: Load) -> None:
    place({"test/1.png": photos["a/1.png"], "test/0.png": photos["b/2.png"]})
    images = load("mine")
    assert (images.labels, images.class_names) == (None, ())


def test_unlabelled_images_come_by_file_name(
    place: Place, photos: dict[str, bytes], pixels: MakePixels, load: Load
) -> None:
    place({"test/1.png": photos["a/1.png"], "test/0.png": photos["b/2.png"]})
    expected = np.stack([pixels(4, 5, 3, seed=0), pixels(4, 5, 3, seed=3)]).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(expected, load("mine").images)


def test_images_beside_class_folders_are_an_error(place: Place, photos: dict[str, bytes], load: Load) -> None:
    place({"test/0.png": photos["a/1.png"], "test/a/1.png": photos["a/1.png"]})
    with pytest.raises(DataError, match="holds images beside class folders; move them"):
        load("mine")


def test_a_split_without_images_is_an_error(place: Place, load: Load) -> None:
    place({"test/a/readme.txt": b"later"})
    with pytest.raises(DataError, match=r"(no images in .*mine|mine.zip has no images)"):
        load("mine")


def test_files_that_are_no_images_are_passed_over(place: Place, photos: dict[str, bytes], load: Load) -> None:
    others = {"labels.csv": b"x", "test/notes.txt": b"x", "test/a/Thumbs.db": b"x", "test/a/1.png.part": b"x"}
    place({**below("test", photos), **others})
    assert len(load("mine")) == 5


def test_suffixes_in_capitals_are_images_too(place: Place, photos: dict[str, bytes], load: Load) -> None:
    place({"test/a/1.PNG": photos["a/1.png"], "test/a/2.png": photos["a/1.png"]})
    assert len(load("mine")) == 2


def test_a_table_of_labels_at_the_top_of_a_zip_does_not_hide_its_splits(
    photos: dict[str, bytes], write_zip: WriteZip, load: Load
) -> None:
    write_zip("mine", {"mine/labels.csv": b"file,name\n", "mine/test/0.png": photos["a/1.png"]})
    assert len(load("mine")) == 1


def test_a_zip_without_the_split_is_missing_it(photos: dict[str, bytes], write_zip: WriteZip, load: Load) -> None:
    archive = write_zip("mine", below("mine/test", photos))
    with pytest.raises(MissingData, match=f"no train images of mine: looked for .*mine/train or {archive}"):
        load("mine", "train")


def test_the_resource_forks_that_macs_put_into_zips_are_no_images(
    photos: dict[str, bytes], write_zip: WriteZip, load: Load
) -> None:
    write_zip("mine", {**below("mine/test", photos), "__MACOSX/mine/test/a/._1.png": b"\0\5\x16\7"})
    assert len(load("mine")) == 5


def test_a_folder_is_preferred_over_a_zip(
    photos: dict[str, bytes], write_folder: WriteFolder, write_zip: WriteZip, load: Load
) -> None:
    write_folder({"mine/test/a/1.png": photos["a/1.png"]})
    write_zip("mine", below("test", photos))
    assert len(load("mine")) == 1


def test_a_split_that_the_folder_lacks_is_read_from_the_zip(
    photos: dict[str, bytes], write_folder: WriteFolder, write_zip: WriteZip, load: Load
) -> None:
    write_folder({"mine/train/a/1.png": photos["a/1.png"]})
    write_zip("mine", below("test", photos))
    assert len(load("mine", "test")) == 5


def test_native_files_are_preferred_over_a_folder_and_a_zip(
    photos: dict[str, bytes], write_folder: WriteFolder, write_zip: WriteZip, load: Load
) -> None:
    write_folder(
        {
            **below("mnist/test", photos),
            "MNIST/raw/t10k-images-idx3-ubyte": b"\0\0\x08\x03\0\0\0\1\0\0\0\1\0\0\0\2\x05\x06",
            "MNIST/raw/t10k-labels-idx1-ubyte": b"\0\0\x08\x01\0\0\0\1\x07",
        }
    )
    write_zip("mnist", below("test", photos))
    assert np.asarray(load("mnist").images).tolist() == [[[[5, 6]]]]


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "svhn", "cifar10", "cifar100"])
def test_sets_with_official_files_are_read_from_a_zip_too(
    name: str, photos: dict[str, bytes], in_order: Pixels, write_zip: WriteZip, load: Load
) -> None:
    write_zip(name, below(f"{name}/test", photos))
    np.testing.assert_array_equal(in_order, load(name).images)


def test_a_name_that_no_plugin_has_is_a_folder_of_images() -> None:
    assert registry.dataset("holiday_photos") == registry.load("datasets", "folder")(name="holiday_photos")


def test_a_folder_cannot_be_downloaded(data_dir: Path) -> None:
    with pytest.raises(DataError, match="mine cannot be downloaded. Put images into"):
        registry.dataset("mine").download(data_dir)


def encoded(image: Image.Image, kind: str, **settings: object) -> bytes:
    written = io.BytesIO()
    image.save(written, kind, **settings)
    return written.getvalue()


def truncated(kind: str) -> bytes:
    content = encoded(Image.effect_noise((40, 40), 80).convert("RGB"), kind)
    return content[: len(content) * 2 // 3]


@pytest.mark.parametrize("kind", ["jpeg", "png", "bmp", "webp", "gif"])
def test_a_truncated_image_is_an_error_that_names_its_file(kind: str, place: Place, load: Load) -> None:
    place({f"test/a/broken.{kind}": truncated(kind)})
    with pytest.raises(DataError, match=f"a/broken.{kind}.* cannot be decoded .*replace or remove it"):
        load("mine")


@pytest.mark.parametrize("content", [b"", b"not an image"], ids=["empty", "text"])
def test_a_file_that_only_claims_to_be_an_image_is_an_error_that_names_it(
    content: bytes, place: Place, load: Load
) -> None:
    place({"test/a/claim.png": content})
    with pytest.raises(DataError, match="a/claim.png.* cannot be decoded"):
        load("mine")


def test_a_damaged_image_in_a_zip_names_the_zip_as_well(write_zip: WriteZip, load: Load) -> None:
    archive = write_zip("mine", {"test/broken.png": truncated("png")})
    with pytest.raises(DataError, match=f"the image test/broken.png in {archive} cannot be decoded"):
        load("mine")


def test_an_image_of_absurd_size_is_an_error_that_names_it(
    place: Place, photos: dict[str, bytes], load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)
    place(below("test", {"a/1.png": photos["a/1.png"]}))
    with pytest.raises(DataError, match="a/1.png.* cannot be decoded .*decompression bomb"):
        load("mine")


def test_an_image_that_the_disk_cannot_read_is_an_error_that_names_it(
    photos: dict[str, bytes], write_folder: WriteFolder, data_dir: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(below("mine/test", photos))

    def fail(path: Path) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(files, "_content", fail)
    with pytest.raises(DataError, match=f"{data_dir}/mine/test/a/1.png cannot be read .*Input/output error"):
        load("mine")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.95])
def test_a_truncated_zip_is_an_error_that_names_it(
    share: float, photos: dict[str, bytes], write_zip: WriteZip, load: Load
) -> None:
    archive = write_zip("mine", below("test", photos))
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match=f"{archive} is not a whole ZIP .*download it again"):
        load("mine")


def test_a_zip_member_with_a_wrong_checksum_is_an_error_that_names_both(
    photos: dict[str, bytes], write_zip: WriteZip, load: Load
) -> None:
    archive = write_zip("mine", below("test", photos))
    content = bytearray(archive.read_bytes())
    content[content.index(photos["a/1.png"]) + 50] ^= 1
    archive.write_bytes(content)
    with pytest.raises(DataError, match=rf"test/a/1.png in {archive} is damaged \(Bad CRC-32"):
        load("mine")


def test_a_damaged_compressed_zip_member_is_an_error_that_names_both(
    photos: dict[str, bytes], data_dir: Path, load: Load
) -> None:
    archive = data_dir / "mine.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("test/0.bmp", encoded(Image.new("RGB", (40, 40)), "bmp"))
    content = bytearray(archive.read_bytes())
    start = 30 + len("test/0.bmp")
    content[start : start + 8] = b"\xff" * 8
    archive.write_bytes(content)
    with pytest.raises(DataError, match=f"test/0.bmp in {archive} is damaged"):
        load("mine")


def test_a_zip_with_a_password_is_an_error_that_says_so(
    photos: dict[str, bytes], write_zip: WriteZip, load: Load
) -> None:
    archive = write_zip("mine", {"test/0.png": photos["a/1.png"]})
    content = bytearray(archive.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    archive.write_bytes(content)
    with pytest.raises(DataError, match=f"{archive} cannot be unpacked .*password required.*unpack it .* by hand"):
        load("mine")


GREY = np.array([[0, 37, 255], [101, 200, 9]], dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_images_of_every_usual_mode_convert(
    mode: str, channels: int, pixels: MakePixels, write_folder: WriteFolder, load: Load
) -> None:
    if mode == "I;16":
        picture, seen = Image.fromarray(GREY.astype(np.uint16) * 257), Image.fromarray(GREY)
    else:
        picture = Image.fromarray(pixels(6, 7, 3)).convert(mode)
        seen = picture
    kind = "tiff" if mode == "CMYK" else "png"
    write_folder({f"mine/test/0.{kind}": encoded(picture, kind)})
    expected = np.asarray(seen.convert({1: "L", 3: "RGB"}[channels]))
    actual = load("mine", channels=channels).images[0].transpose(1, 2, 0)
    np.testing.assert_array_equal(expected.reshape(actual.shape), actual)


def test_sixteen_bit_images_keep_their_high_byte(write_folder: WriteFolder, load: Load) -> None:
    sixteen = np.array([[0, 255, 256, 30_000, 65_535]], dtype=np.uint16)
    write_folder({"mine/test/0.png": encoded(Image.fromarray(sixteen), "png")})
    assert np.asarray(load("mine").images).tolist() == [[[[0, 0, 1, 117, 255]]]]


def test_a_palette_with_transparent_colours_converts_without_a_warning(
    pixels: MakePixels, write_folder: WriteFolder, load: Load
) -> None:
    picture = Image.fromarray(pixels(6, 7, 3)).quantize(16)
    write_folder({"mine/test/0.png": encoded(picture, "png", transparency=bytes(range(16)))})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = load("mine").images
    np.testing.assert_array_equal(np.asarray(picture.convert("RGB")).transpose(2, 0, 1), images[0])


def test_floating_point_pixels_are_an_error_because_their_range_is_unknown(
    write_folder: WriteFolder, load: Load
) -> None:
    write_folder({"mine/test/0.tiff": encoded(Image.fromarray(np.ones((2, 2), dtype=np.float32)), "tiff")})
    with pytest.raises(DataError, match=r"an image of mine \(test\) cannot be converted .*save it as 8-bit"):
        load("mine")


@pytest.mark.parametrize(("mode", "channels"), [("1", 1), ("L", 1), ("P", 3), ("RGB", 3), ("RGBA", 3)])
def test_images_keep_their_own_channels_where_none_are_asked_for(
    mode: str, channels: int, pixels: MakePixels, write_folder: WriteFolder, load: Load
) -> None:
    write_folder({"mine/test/0.png": encoded(Image.fromarray(pixels(6, 7, 3)).convert(mode), "png")})
    assert load("mine").shape == (channels, 6, 7)


def test_grey_is_the_luma_of_itu_r_601(png: Encode, write_folder: WriteFolder, load: Load) -> None:
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], dtype=np.uint8)
    write_folder({"mine/test/0.png": png(colours)})
    assert np.asarray(load("mine", channels=1).images).tolist() == [[[[76, 150, 29, 255]]]]


def test_resizing_is_the_bilinear_one_of_pillow(
    pixels: MakePixels, png: Encode, write_folder: WriteFolder, load: Load
) -> None:
    write_folder({"mine/test/0.png": png(pixels(20, 30, 3))})
    expected = np.asarray(Image.fromarray(pixels(20, 30, 3)).resize((5, 7), Resampling.BILINEAR))
    np.testing.assert_array_equal(expected.transpose(2, 0, 1), load("mine", size=(7, 5)).images[0])


def test_colours_become_grey_before_they_are_resized(
    pixels: MakePixels, png: Encode, write_folder: WriteFolder, load: Load
) -> None:
    write_folder({"mine/test/0.png": png(pixels(20, 30, 3))})
    expected = np.asarray(Image.fromarray(pixels(20, 30, 3)).convert("L").resize((5, 7), Resampling.BILINEAR))
    np.testing.assert_array_equal(expected, load("mine", size=(7, 5), channels=1).images[0, 0])


def test_one_bit_images_become_grey_before_they_are_resized(write_folder: WriteFolder, load: Load) -> None:
    checked = np.indices((8, 8)).sum(axis=0) % 2 == 1
    write_folder({"mine/test/0.png": encoded(Image.fromarray(checked), "png")})
    assert set(load("mine", size=(2, 2)).images[:].ravel().tolist()) <= set(range(100, 156))


def test_arrays_are_converted_as_pictures_are(pixels: MakePixels, load: Load) -> None:
    eight = load("digits").images[:, 0]
    expected = np.asarray(Image.fromarray(eight[0]).resize((12, 10), Resampling.BILINEAR).convert("RGB"))
    np.testing.assert_array_equal(expected.transpose(2, 0, 1), load("digits", size=(10, 12), channels=3).images[0])


def test_images_of_different_sizes_are_an_error_without_a_target_size(
    pixels: MakePixels, png: Encode, write_folder: WriteFolder, load: Load
) -> None:
    write_folder({"mine/test/0.png": png(pixels(4, 5, 3)), "mine/test/1.png": png(pixels(6, 5, 3))})
    with pytest.raises(DataError, match=r"differ in size or colour .*must name a size"):
        load("mine")


def test_images_of_different_sizes_come_in_the_target_size(
    pixels: MakePixels, png: Encode, write_folder: WriteFolder, load: Load
) -> None:
    write_folder({"mine/test/0.png": png(pixels(4, 5, 3)), "mine/test/1.png": png(pixels(6, 5, 3))})
    assert load("mine", size=(3, 9)).images.shape == (2, 3, 3, 9)


def test_grey_images_among_colour_images_are_an_error_without_a_number_of_channels(
    pixels: MakePixels, png: Encode, write_folder: WriteFolder, load: Load
) -> None:
    write_folder({"mine/test/0.png": png(pixels(4, 5, 3)), "mine/test/1.png": png(pixels(4, 5))})
    with pytest.raises(DataError, match="differ in size or colour"):
        load("mine", size=(4, 5))


def test_a_zip_that_was_replaced_is_looked_into_again(
    photos: dict[str, bytes], write_zip: WriteZip, load: Load
) -> None:
    os.utime(write_zip("mine", below("train", photos)), (0, 0))
    with pytest.raises(MissingData):
        load("mine", "test")
    write_zip("mine", below("test", photos))
    assert len(load("mine", "test")) == 5


def test_linked_class_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    Image.new("L", (4, 4), color=7).save(tmp_path / "elsewhere" / "1.png")
    (tmp_path / "linked" / "test").mkdir(parents=True)
    (tmp_path / "linked" / "test" / "cats").symlink_to(tmp_path / "elsewhere")

    raw = registry.dataset("linked").read("test", tmp_path, Conversion())

    assert raw.class_names == ("cats",)
    assert len(list(raw.images)) == 1


def test_setting_of_a_folder_is_refused() -> None:
    with pytest.raises(ConfigError, match="mine has no setting 'count'"):
        registry.dataset("mine", {"count": 3})
