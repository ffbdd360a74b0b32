"""Other images mixed into the in-distribution training images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from oodbench.benchmark import Part
from oodbench.contamination import UNLABELLED, Contamination
from oodbench.errors import DataError, MissingData
from oodbench.holdout import HoldOut
from oodbench.image_rows import JoinedImages
from oodbench.images import ImageSet
from oodbench.progress import Reporter

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SEED = 17
"""The mixture is a part of the benchmark: it is the same for all seeds of a run."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Mixture:
    """In-distribution training images with others among them.

    Attributes:
        images: all of them; the others stand last. None where there are no training images.
        facts: for a record: the share, the set and its split, how many images are of it, and their labels; None of a
            clean set.
    """

    images: ImageSet | None
    facts: dict[str, Any] | None = None


def contaminated(
    id_train: ImageSet | None,
    id_test: ImageSet,
    contamination: Contamination | None,
    load: Callable[[Part], ImageSet],
    report: Reporter,
) -> Mixture:
    """Return in-distribution training images with a share of other images among them.

    The others are of the training images of their set, or, where it has none, of one half of its test images, drawn at
    random: the other half can still be tested on. What is an ID image itself is not taken. Where there are too few
    others, fewer ID images are taken, so that the share holds.

    Args:
        id_train: labelled images, or None where there are none.
        id_test: the ID test images.
        contamination: says which others, and how many; None leaves the images as they are.
        load: gives the images of a part.
        report: told where ID images are left out.

    Raises:
        MissingData: the other set is not there.
        DataError: it has other sizes, only ID images, or too few.
    """
    if id_train is None or contamination is None:
        return Mixture(images=id_train)
    others, split = _others(contamination, load)
    id_train, id_test, others = (_seen(images) for images in (id_train, id_test, others))
    if others.shape != id_train.shape:
        raise DataError(
            f"images of {others.name} have the shape {others.shape}, those of {id_train.name} {id_train.shape}; mix in "
            "images of a benchmark whose conversion names a size and channels"
        )
    known = {digest.tobytes() for images in (id_train, id_test) for digest in images.digests}
    rows = np.array([i for i, digest in enumerate(others.digests) if digest.tobytes() not in known], dtype=np.intp)
    if not len(rows):
        raise DataError(f"every image of {others.name} is an in-distribution image; mix in those of another set")
    rng = np.random.default_rng(_SEED)
    n_there = len(rows) if split == "train" else len(rows) // 2
    n_id, n_others = contamination.counts(len(id_train), n_there)
    if n_others < 1 or n_id < len(id_train.class_names):
        raise DataError(
            f"{contamination.described} cannot be mixed in: there are {len(id_train):,} ID training images and "
            f"{n_there:,} of {others.name} to take; choose another share or a larger set"
        )
    kept = HoldOut.of(id_train.labels, len(id_train), 0.0, n_id, _SEED).fit
    if n_id < len(id_train):
        report.warning(
            f"{others.name} has {n_there:,} images to mix in, so {len(id_train) - n_id:,} of {len(id_train):,} ID "
            f"training images are left out: {contamination.described} it is"
        )
    chosen = np.sort(rng.permutation(rows)[:n_others])
    assert id_train.labels is not None  # ID images without labels are of one class by now
    labels = rng.integers(len(id_train.class_names), size=n_others)
    if contamination.labels == "none":
        labels = np.full(n_others, UNLABELLED, dtype=np.int64)
    images = replace(
        id_train,
        name=f"{id_train.name} with {contamination.described}",
        images=cast("NDArray[np.uint8]", JoinedImages(id_train.at(kept).images, others.at(chosen).images)),
        labels=np.concatenate([id_train.labels[kept], labels]),
        kept_digests=np.concatenate([id_train.digests[kept], others.digests[chosen]]),
        partly_labelled=contamination.labels == "none",
        part_of=None,
        damaged=(*id_train.damaged, *others.damaged),
    )
    facts = {
        "share": contamination.share,
        "set": contamination.name,
        "split": split,
        "images": n_others,
        "of": len(images),
        "labels": contamination.labels,
    }
    return Mixture(images=images, facts=facts)


def _seen(images: ImageSet) -> ImageSet:
    """Return the images of a set that could be decoded, after all were."""
    _ = images.digests
    return images.without_damaged()


def _others(contamination: Contamination, load: Callable[[Part], ImageSet]) -> tuple[ImageSet, str]:
    """Return the other images, and of which split they are."""
    try:
        return load(Part(dataset=contamination.dataset, split="train")), "train"
    except MissingData:
        return load(Part(dataset=contamination.dataset)), "test"
