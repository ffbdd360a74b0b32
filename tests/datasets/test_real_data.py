"""The real archives, where they are: counts that are known from their sources."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from oodbench.benchmark import Part
from oodbench.data.parts import load_part
from oodbench.errors import MissingData
from oodbench.images import Conversion, ImageSet
from oodbench.plugins import registry
from oodbench.progress import SILENT
from oodbench.store.artifacts import ArtifactStore
from oodbench.store.workspace import Workspace

Real = Callable[..., ImageSet]


@pytest.fixture(scope="module")
def real(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Real:
    """Load real images, each set decoded once a module; skip where one is not there."""
    store = ArtifactStore(tmp_path_factory.mktemp("cache"))

    def load(name: str, split: str = "test", **conversion: object) -> ImageSet:
        if not registry.dataset(name).locate(split, real_data).present:
            pytest.skip(f"no real {split} images of {name} in {real_data}")
        return load_part(
            Part(dataset=name, split=split),
            Conversion(**conversion),
            Workspace(data_dir=real_data, artifacts=store, report=SILENT),
        )

    return load


@pytest.mark.parametrize(("split", "count"), [("train", 60_000), ("test", 10_000)])
def test_mnist_is_all_there(split: str, count: int, real: Real) -> None:
    assert real("mnist", split).images.shape == (count, 1, 28, 28)


def test_mnist_has_the_official_number_of_each_digit(real: Real) -> None:
    expected = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(real("mnist").labels).tolist() == expected


def test_the_first_digits_of_mnist_are_the_official_ones(real: Real) -> None:
    assert real("mnist").labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_mnist_has_the_known_mean(real: Real) -> None:
    # 0.1307, the number that every MNIST example normalises with.
    assert real("mnist", "train").images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)


def skip_unless_archive(real_data: Path, name: str) -> None:
    if not (real_data / f"{name}.zip").is_file():
        pytest.skip(f"no {name}.zip in {real_data}")


@pytest.mark.parametrize(
    ("split", "counts"),
    [
        ("train", [547, 1590, 1245, 915, 812, 748, 621, 586, 514, 505]),
        ("test", [203, 605, 486, 323, 262, 273, 230, 251, 185, 182]),
    ],
)
def test_the_svhn_archive_has_its_number_of_each_digit(
    split: str, counts: list[int], real: Real, real_data: Path
) -> None:
    skip_unless_archive(real_data, "svhn")
    assert np.bincount(real("svhn", split).labels).tolist() == counts


def test_svhn_becomes_grey_in_the_size_of_mnist(real: Real) -> None:
    assert real("svhn", size=(28, 28), channels=1).shape == (1, 28, 28)


def test_the_fashion_mnist_archive_has_no_training_images(real_data: Path) -> None:
    skip_unless_archive(real_data, "fashion_mnist")
    part = Part(dataset="fashion_mnist", split="train")
    with pytest.raises(MissingData, match=f"no train images of fashion_mnist: .*{real_data}/fashion_mnist.zip"):
        load_part(part, Conversion(), Workspace(data_dir=real_data, artifacts=ArtifactStore(real_data), report=SILENT))


def test_fashion_mnist_has_ten_thousand_test_images(real: Real) -> None:
    assert real("fashion_mnist").images.shape == (10_000, 1, 28, 28)


def test_tiny_imagenet_is_unlabelled(real: Real, real_data: Path) -> None:
    skip_unless_archive(real_data, "tiny_imagenet")
    images = real("tiny_imagenet")
    assert (images.images.shape, images.labels) == ((10_000, 3, 32, 32), None)
