"""The official files of MNIST, Fashion-MNIST, SVHN and CIFAR, on tiny ones with their own checksums."""

import gzip
import hashlib
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import savemat
from torchvision import datasets as official

from oodbench.errors import DataError, MissingData
from oodbench.images import ImageSet

Pixels = NDArray[np.uint8]
Load = Callable[..., ImageSet]
MakePixels = Callable[..., Pixels]

IDX_SETS = [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")]
LABELS = np.array([7, 0, 9, 3], dtype=np.uint8)


def idx(array: Pixels) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def write_idx(raw: Path, images: Pixels, labels: Pixels, stem: str = "t10k", *, packed: bool = False) -> None:
    raw.mkdir(parents=True, exist_ok=True)
    for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
        if packed:
            (raw / f"{stem}-{kind}-ubyte.gz").write_bytes(gzip.compress(idx(array)))
        else:
            (raw / f"{stem}-{kind}-ubyte").write_bytes(idx(array))


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize(("name", "folder"), IDX_SETS)
def test_idx_images_are_read_pixel_by_pixel(
    name: str, folder: str, packed: bool, data_dir: Path, load: Load, pixels: MakePixels
) -> None:
    images = pixels(4, 5, 6)
    write_idx(data_dir / folder / "raw", images, LABELS, packed=packed)
    np.testing.assert_array_equal(images[:, np.newaxis], load(name).images)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize(("name", "folder"), IDX_SETS)
def test_idx_labels_keep_their_order(
    name: str, folder: str, packed: bool, data_dir: Path, load: Load, pixels: MakePixels
) -> None:
    write_idx(data_dir / folder / "raw", pixels(4, 5, 6), LABELS, packed=packed)
    assert load(name).labels.tolist() == [7, 0, 9, 3]


def test_train_and_test_splits_have_their_own_idx_files(data_dir: Path, load: Load, pixels: MakePixels) -> None:
    write_idx(data_dir / "MNIST" / "raw", pixels(4, 5, 6), LABELS)
    write_idx(data_dir / "MNIST" / "raw", pixels(2, 5, 6, seed=1), LABELS[:2], stem="train")
    assert (len(load("mnist", "train")), len(load("mnist", "test"))) == (2, 4)


def test_mnist_classes_are_the_digits(data_dir: Path, load: Load, pixels: MakePixels) -> None:
    write_idx(data_dir / "MNIST" / "raw", pixels(4, 5, 6), LABELS)
    assert load("mnist").class_names == tuple("0123456789")


def test_fashion_mnist_has_the_official_classes_in_their_order(data_dir: Path, load: Load, pixels: MakePixels) -> None:
    write_idx(data_dir / "FashionMNIST" / "raw", pixels(4, 5, 6), LABELS)
    spelt_as_ours = {"T-shirt/top": "tshirt", "Ankle boot": "ankle_boot"}
    expected = tuple(spelt_as_ours.get(name, name.lower()) for name in official.FashionMNIST.classes)
    assert load("fashion_mnist").class_names == expected


def test_plain_idx_files_are_preferred_over_compressed_ones(data_dir: Path, load: Load, pixels: MakePixels) -> None:
    write_idx(data_dir / "MNIST" / "raw", pixels(4, 5, 6, seed=1), LABELS, packed=True)
    write_idx(data_dir / "MNIST" / "raw", pixels(4, 5, 6, seed=2), LABELS)
    np.testing.assert_array_equal(pixels(4, 5, 6, seed=2)[:, np.newaxis], load("mnist").images)


@pytest.mark.parametrize("kept", [0, 3, 10, 16, 17, 100])
def test_a_truncated_idx_file_is_an_error_that_names_it(
    kept: int, data_dir: Path, load: Load, pixels: MakePixels
) -> None:
    write_idx(data_dir / "MNIST" / "raw", pixels(4, 5, 6), LABELS)
    file = data_dir / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(DataError, match=f"{file} .* is damaged .* download it again"):
        load("mnist")


@pytest.mark.parametrize("kept", [5, 40, -9, -1])
def test_a_truncated_gzip_file_is_an_error_that_names_it(
    kept: int, data_dir: Path, load: Load, pixels: MakePixels
) -> None:
    write_idx(data_dir / "MNIST" / "raw", pixels(4, 5, 6), LABELS, packed=True)
    file = data_dir / "MNIST" / "raw" / "t10k-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(DataError, match=f"{file} .* is damaged"):
        load("mnist")


def test_a_flipped_bit_in_a_gzip_file_is_an_error(data_dir: Path, load: Load, pixels: MakePixels) -> None:
    write_idx(data_dir / "MNIST" / "raw", pixels(4, 5, 6), LABELS, packed=True)
    file = data_dir / "MNIST" / "raw" / "t10k-images-idx3-ubyte.gz"
    content = bytearray(file.read_bytes())
    content[60] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match=f"{file} .* is damaged"):
        load("mnist")


def test_an_idx_file_of_labels_in_place_of_images_is_an_error(data_dir: Path, load: Load, pixels: MakePixels) -> None:
    write_idx(data_dir / "MNIST" / "raw", LABELS, LABELS)
    with pytest.raises(DataError, match="not in the official format"):
        load("mnist")


def test_more_idx_labels_than_images_are_an_error(data_dir: Path, load: Load, pixels: MakePixels) -> None:
    write_idx(data_dir / "MNIST" / "raw", pixels(3, 5, 6), LABELS)
    with pytest.raises(DataError, match=r"mnist \(test\) has 3 images but 4 labels"):
        load("mnist")


def test_idx_labels_outside_of_the_classes_are_an_error(data_dir: Path, load: Load, pixels: MakePixels) -> None:
    write_idx(data_dir / "MNIST" / "raw", pixels(4, 5, 6), LABELS + 1)
    with pytest.raises(DataError, match="labels from 1 to 10, outside of its 10 classes"):
        load("mnist")


def test_the_message_about_half_of_the_idx_files_names_the_other_half(
    data_dir: Path, load: Load, pixels: MakePixels
) -> None:
    write_idx(data_dir / "MNIST" / "raw", pixels(4, 5, 6), LABELS)
    labels = data_dir / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    labels.unlink()
    with pytest.raises(MissingData, match=f"looked for {labels} or "):
        load("mnist")


@pytest.fixture
def svhn_file(data_dir: Path, pixels: MakePixels, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four tiny house numbers, whose file the official list knows."""
    file = data_dir / "svhn" / "test_32x32.mat"
    file.parent.mkdir()
    labels = np.array([[10], [1], [9], [10]], dtype=np.uint8)
    savemat(file, {"X": pixels(4, 5, 6, 3).transpose(1, 2, 3, 0), "y": labels})
    monkeypatch.setattr(official.SVHN, "split_list", {"test": ["http://localhost/x", file.name, md5(file)]})
    return file


def test_svhn_images_are_read_pixel_by_pixel(svhn_file: Path, load: Load, pixels: MakePixels) -> None:
    np.testing.assert_array_equal(pixels(4, 5, 6, 3).transpose(0, 3, 1, 2), load("svhn").images)


def test_svhn_label_10_is_the_digit_0(svhn_file: Path, load: Load) -> None:
    assert load("svhn").labels.tolist() == [0, 1, 9, 0]


def test_svhn_classes_are_the_digits(svhn_file: Path, load: Load) -> None:
    assert load("svhn").class_names == tuple("0123456789")


def test_svhn_is_found_right_in_the_data_folder_too(svhn_file: Path, data_dir: Path, load: Load) -> None:
    svhn_file.rename(data_dir / svhn_file.name)
    assert len(load("svhn")) == 4


def test_an_svhn_file_with_another_checksum_is_an_error_that_names_it(svhn_file: Path, load: Load) -> None:
    svhn_file.write_bytes(svhn_file.read_bytes() + b"\0")
    with pytest.raises(DataError, match=f"{svhn_file} is damaged"):
        load("svhn")


CIFAR = {
    "cifar10": {
        "official": official.CIFAR10,
        "folder": "cifar-10-batches-py",
        "train": [f"data_batch_{i}" for i in range(1, 6)],
        "test": ["test_batch"],
        "meta": "batches.meta",
        "labels": "labels",
        "names": "label_names",
        "classes": tuple(f"thing {i}" for i in range(10)),
    },
    "cifar100": {
        "official": official.CIFAR100,
        "folder": "cifar-100-python",
        "train": ["train"],
        "test": ["test"],
        "meta": "meta",
        "labels": "fine_labels",
        "names": "fine_label_names",
        "classes": tuple(f"thing {i:02}" for i in range(100)),
    },
}


@pytest.fixture(params=sorted(CIFAR))
def cifar(request: pytest.FixtureRequest, data_dir: Path, pixels: MakePixels, monkeypatch: pytest.MonkeyPatch) -> str:
    """Batches of two tiny photos each, whose checksums the official lists know; the images' seed is the position."""
    spec = CIFAR[request.param]
    folder = data_dir / spec["folder"]
    folder.mkdir()
    for position, batch in enumerate([*spec["train"], *spec["test"]]):
        content = {"data": pixels(2, 3072, seed=position), spec["labels"]: [position, 9 - position]}
        (folder / batch).write_bytes(pickle.dumps(content, protocol=2))
    (folder / spec["meta"]).write_bytes(pickle.dumps({spec["names"]: list(spec["classes"])}, protocol=2))
    for split in ("train", "test"):
        checksums = [[batch, md5(folder / batch)] for batch in spec[split]]
        monkeypatch.setattr(spec["official"], f"{split}_list", checksums)
    meta = {"filename": spec["meta"], "key": spec["names"], "md5": md5(folder / spec["meta"])}
    monkeypatch.setattr(spec["official"], "meta", meta)
    return request.param


def test_cifar_batches_are_read_pixel_by_pixel_and_one_after_another(
    cifar: str, load: Load, pixels: MakePixels
) -> None:
    expected = np.concatenate([pixels(2, 3, 32, 32, seed=i) for i in range(len(CIFAR[cifar]["train"]))])
    np.testing.assert_array_equal(expected, load(cifar, "train").images)


def test_cifar_labels_are_read_batch_after_batch(cifar: str, load: Load) -> None:
    expected = [label for i in range(len(CIFAR[cifar]["train"])) for label in (i, 9 - i)]
    assert load(cifar, "train").labels.tolist() == expected


def test_the_cifar_test_split_is_the_test_batch(cifar: str, load: Load, pixels: MakePixels) -> None:
    expected = pixels(2, 3, 32, 32, seed=len(CIFAR[cifar]["train"]))
    np.testing.assert_array_equal(expected, load(cifar, "test").images)


def test_cifar_class_names_come_from_the_meta_file(cifar: str, load: Load) -> None:
    assert load(cifar).class_names == CIFAR[cifar]["classes"]


@pytest.mark.parametrize("which", ["train", "test", "meta"])
def test_a_cifar_file_with_another_checksum_is_an_error_that_names_it(
    which: str, cifar: str, data_dir: Path, load: Load
) -> None:
    name = CIFAR[cifar][which]
    file = data_dir / CIFAR[cifar]["folder"] / (name if which == "meta" else name[0])
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(DataError, match=f"{file} .*is damaged"):
        load(cifar)


def test_a_cifar_test_batch_without_the_training_batches_is_missing_and_not_damaged(
    cifar: str, data_dir: Path, load: Load
) -> None:
    lacking = data_dir / CIFAR[cifar]["folder"] / CIFAR[cifar]["train"][0]
    lacking.unlink()
    with pytest.raises(MissingData, match=f"looked for {lacking} or "):
        load(cifar, "test")
