"""The contract of a data set. A check takes an instance, or a class with its defaults, and the data folder.

Checks that need images are skipped, with where they were looked for, while the files are missing.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest import SkipTest

import numpy as np
from numpy.typing import NDArray

from oodbench.api import Dataset, Location
from oodbench.folders import default_data_dir
from oodbench.images import Conversion, ImageSet, convert, digest_of

from .contract import Check, require, title
from .values import VALUE_CHECKS, made

Subject = type[Dataset] | Dataset

SPLITS = ("train", "test")

_CONVERSION = Conversion(size=(16, 16), channels=3)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Contents:
    """What a split holds, as the data set gives it: a digest an image, in order, and the labels."""

    digests: tuple[bytes, ...]
    types: frozenset[str]
    labels: NDArray[Any] | None
    class_names: tuple[str, ...]


@lru_cache(maxsize=4)
def _contents(dataset: Any, split: str, data_dir: Path) -> _Contents:
    return _read(dataset, split, data_dir)


def _read(dataset: Dataset, split: str, data_dir: Path) -> _Contents:
    raw = dataset.read(split, data_dir, _CONVERSION)
    digests, types = [], set()
    for image in raw.images:
        array = np.asarray(image)
        types.add(f"{array.dtype.name} with {array.ndim} dimensions")
        digests.append(digest_of(array))
    labels = None if raw.labels is None else np.asarray(raw.labels)
    return _Contents(digests=tuple(digests), types=frozenset(types), labels=labels, class_names=tuple(raw.class_names))


def _there(subject: Subject, data_dir: Path | None) -> list[tuple[Any, str, Path]]:
    """Return the splits whose images are there, or skip the check."""
    dataset, folder = made(subject), data_dir or default_data_dir()
    locations = {split: dataset.locate(split, folder) for split in SPLITS}
    present = [(dataset, split, folder) for split in SPLITS if locations[split].present]
    if not present:
        places = dict.fromkeys(str(place) for location in locations.values() for place in location.looked_for)
        raise SkipTest(f"its images are missing: looked for {' or '.join(places)}. {dataset.how_to_get}".strip())
    return present


def check_how_to_get_it_is_said(subject: Subject, data_dir: Path | None = None) -> None:
    """`how_to_get` is a text and `downloadable` says whether `download` may be called."""
    dataset = made(subject)
    require(isinstance(dataset.how_to_get, str), "set the class attribute 'how_to_get' to a text, or to ''")
    require(isinstance(dataset.downloadable, bool), "set the class attribute 'downloadable' to True or False")


def check_missing_files_are_reported(subject: Subject, data_dir: Path | None = None) -> None:
    """In an empty data folder, `locate` says where it looked, and the data set says how to get its files."""
    dataset = made(subject)
    with tempfile.TemporaryDirectory() as empty:
        for split in SPLITS:
            location = dataset.locate(split, Path(empty))
            if location.present:
                require(
                    all(file.exists() for file in location.files), "locate() calls files present that are not there"
                )
                continue
            inside = all(place.is_relative_to(empty) for place in location.looked_for)
            require(location.looked_for and inside, "locate() must say where it looked, below the data folder")
            require(dataset.how_to_get, "say in 'how_to_get' how to get the files that can be missing")
        require(not any(Path(empty).iterdir()), "locate() must not write into the data folder")


def check_location_is_true(subject: Subject, data_dir: Path | None = None) -> None:
    """Files that `locate` names are there, and a split that is not there has none."""
    dataset, folder = made(subject), data_dir or default_data_dir()
    for split in SPLITS:
        location: Location = dataset.locate(split, folder)
        lost = [str(file) for file in location.files if not file.exists()]
        require(not lost, f"locate({split!r}) names {', '.join(lost)}, which is not there")
        require(location.present or not location.files, f"locate({split!r}) names files, and says that none are there")


def check_images_are_8_bit(subject: Subject, data_dir: Path | None = None) -> None:
    """`read` gives uint8 arrays of shape (height, width) or (height, width, 3), or pictures that become such."""
    for dataset, split, folder in _there(subject, data_dir):
        raw = dataset.read(split, folder, _CONVERSION)
        if isinstance(raw.images, np.ndarray):
            shape = raw.images.shape
            fits = raw.images.dtype == np.uint8 and (len(shape) == 3 or (len(shape) == 4 and shape[3] == 3))
            wanted = "uint8 of shape (n, height, width) or (n, height, width, 3)"
            require(fits, f"read({split!r}) must give {wanted}, got {raw.images.dtype.name} {shape}")
        images = convert(raw, _CONVERSION, f"{title(dataset)} ({split})")
        require(len(images), f"read({split!r}) gives no images")


def check_labels_are_class_indices(subject: Subject, data_dir: Path | None = None) -> None:
    """There is one label an image, from 0 to the number of classes − 1, and each class has a name of its own."""
    for dataset, split, folder in _there(subject, data_dir):
        contents = _contents(dataset, split, folder)
        labels, names = contents.labels, contents.class_names
        if labels is None:
            require(not names, f"read({split!r}) names classes, but gives no labels")
            continue
        count = len(contents.digests)
        require(labels.shape == (count,), f"read({split!r}) gives {count} images and labels of shape {labels.shape}")
        require(np.issubdtype(labels.dtype, np.integer), f"labels must be whole numbers, got {labels.dtype.name}")
        low, high = int(labels.min()), int(labels.max())
        outside = f"labels of {split} images run from {low} to {high}; {len(names)} class names ask for 0 to "
        require(low >= 0 and high < len(names), f"{outside}{len(names) - 1}")
        require(len(set(names)) == len(names) and all(names), "class names must differ, and none may be empty")


def check_splits_have_the_same_classes(subject: Subject, data_dir: Path | None = None) -> None:
    """Training and test images have the same class names in the same order."""
    splits = [_contents(*place) for place in _there(subject, data_dir)]
    names = {contents.class_names for contents in splits if contents.labels is not None}
    require(len(names) < 2, "class_names must be the same, in the same order, for training and test images")


def check_order_never_changes(subject: Subject, data_dir: Path | None = None) -> None:
    """Reading twice gives the same images and labels in the same order."""
    for place in _there(subject, data_dir):
        first, second = _contents(*place), _read(*place)
        same = first.digests == second.digests and np.array_equal(first.labels, second.labels)  # type: ignore[arg-type]
        require(same, f"read({place[1]!r}) gives other images at the second time: sort files, seed generators")


def check_no_image_is_in_both_splits(subject: Subject, data_dir: Path | None = None) -> None:
    """No test image is a training image as well."""
    there = _there(subject, data_dir)
    if len(there) < len(SPLITS):
        raise SkipTest(f"there are {there[0][1]} images only")
    train, test = (_contents(*place).digests for place in there)
    require(*none_shared("test images", test, "training images", train))


def none_shared(of: str, images: tuple[bytes, ...], others_of: str, others: tuple[bytes, ...]) -> tuple[bool, str]:
    """Return whether two sets share no image, and what to say if they do.

    Args:
        of: what the first set is.
        images: digest of each image of the first set.
        others_of: what the second set is.
        others: digest of each image of the second set.
    """
    known = Counter(others)
    shared = [i for i, digest in enumerate(images) if digest in known]
    first = f", the first is number {shared[0]}" if shared else ""
    return not shared, f"{len(shared)} of {len(images)} {of} are {others_of} as well{first}; leave them out of one"


def image_digests(images: ImageSet) -> tuple[bytes, ...]:
    """Return the digest of each image of a set."""
    return tuple(digest_of(image) for image in images.images)


def _value_check(check: Check) -> Check:
    """Return a check of a value as a check of a data set, which is given the data folder as well."""

    def of_dataset(subject: Subject, data_dir: Path | None = None) -> None:
        check(subject)

    of_dataset.__name__, of_dataset.__doc__ = check.__name__, check.__doc__
    return of_dataset


DATASET_CHECKS: tuple[Check, ...] = (
    *map(_value_check, VALUE_CHECKS),
    check_how_to_get_it_is_said,
    check_missing_files_are_reported,
    check_location_is_true,
    check_images_are_8_bit,
    check_labels_are_class_indices,
    check_splits_have_the_same_classes,
    check_order_never_changes,
    check_no_image_is_in_both_splits,
)
