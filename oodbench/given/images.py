"""`oodbench.evaluate`: a trained classifier and images of any kind in, a table of results out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from oodbench.benchmark import Part
from oodbench.data.parts import load_part
from oodbench.errors import DataError
from oodbench.folders import place
from oodbench.images import Conversion, ImageSet, RawImages, convert
from oodbench.plugins import registry
from oodbench.store.workspace import Workspace

from .conversion import parse_conversion

Images: TypeAlias = "str | Path | ImageSet | np.ndarray[Any, Any] | tuple[Any, Any] | Sequence[Any]"
"""A folder or ZIP, the name of a data set, an `ImageSet`, uint8 arrays or tensors of shape (n, channels, height, width)
alone or in a tuple with labels, or a sequence of (PIL image, label) as torchvision's data sets are."""


def conversion_of(image_size: str | int | None, channels: int | None) -> Conversion:
    """Return what images are brought to; without a size they stay as they are."""
    if image_size is None:
        return Conversion(channels=1 if channels == 1 else 3 if channels == 3 else None)
    return parse_conversion(str(image_size), channels)


class ImageLoader:
    """Turns whatever holds images into image sets.

    Args:
        conversion: what images are brought to.
        workspace: where names are looked for, and decoded folders are kept.
    """

    def __init__(self, *, conversion: Conversion, workspace: Workspace) -> None:
        self.conversion, self._workspace = conversion, workspace

    def load(self, images: Images, name: str, split: Literal["train", "test"] = "test") -> ImageSet:
        """Return what holds images, in whatever form, as an image set.

        Raises:
            DataError: it holds none, or in a form that cannot be read.
        """
        if isinstance(images, ImageSet):
            return images
        if isinstance(images, str | Path):
            _, dataset = place(str(images) if isinstance(images, str) else f"{images.absolute()}")
            part = Part(dataset=dataset, split="test" if self._is_undivided(dataset) else split)
            return load_part(part, self.conversion, self._workspace)
        array, labels = images if isinstance(images, tuple) else (images, None)
        if hasattr(array, "shape"):
            return self._of_array(np.asarray(array), labels, name)
        return self._of_pairs(images, name)

    def _is_undivided(self, dataset: str) -> bool:
        """Return whether a folder holds images as they lie, without a part for training and one for tests."""
        found = registry.dataset(dataset)
        is_train = found.locate("train", self._workspace.data_dir).present
        return (
            not is_train and self._workspace.data_dir / dataset in found.locate("test", self._workspace.data_dir).files
        )

    def _of_array(self, array: np.ndarray[Any, Any], labels: Any, name: str) -> ImageSet:
        if array.dtype != np.uint8 or array.ndim != 4 or array.shape[1] not in (1, 3):
            raise DataError(
                f"{name}: images must be uint8 of shape (n, channels, height, width) with 1 or 3 channels, got "
                f"{array.dtype} {array.shape}; {_remedy(array)}"
            )
        # Conversion wants the channels last, and none for grey images.
        pixels = array.transpose(0, 2, 3, 1)
        raw = RawImages(images=pixels[..., 0] if pixels.shape[3] == 1 else pixels)
        return self._labelled(raw, labels, name)

    def _of_pairs(self, pairs: Any, name: str) -> ImageSet:
        from PIL.Image import Image

        if not hasattr(pairs, "__len__") or not hasattr(pairs, "__getitem__"):
            raise DataError(
                f"{name} must be a path, the name of a data set, uint8 arrays or a sequence of PIL images, got a "
                f"{type(pairs).__name__}"
            )
        pairs = [
            entry if isinstance(entry, tuple) else (entry, None) for entry in (pairs[i] for i in range(len(pairs)))
        ]
        if not pairs or not all(isinstance(picture, Image) for picture, _ in pairs):
            kind = type(pairs[0][0]).__name__ if pairs else "nothing"
            raise DataError(
                f"{name} must hold PIL images, or pairs of one with its label, got {kind}; leave transforms out"
            )
        labels = None if pairs[0][1] is None else [label for _, label in pairs]
        return self._labelled(RawImages(images=[picture for picture, _ in pairs]), labels, name)

    def _labelled(self, raw: RawImages, labels: Any, name: str) -> ImageSet:
        whole = None if labels is None else _whole_numbers(labels, name)
        pixels = convert(raw, self.conversion, name)
        if whole is None:
            return ImageSet(name=name, images=pixels)
        names = tuple(map(str, range(int(whole.max(initial=-1)) + 1)))
        return ImageSet(name=name, images=pixels, labels=whole, class_names=names)


def _remedy(array: np.ndarray[Any, Any]) -> str:
    """Say how an array becomes images."""
    if array.ndim == 4 and array.shape[3] in (1, 3) and array.shape[1] not in (1, 3):
        return "put the channels first: .transpose(0, 3, 1, 2)"
    if array.dtype.kind == "f":
        return 'bring values from 0 to 1 to bytes: (x * 255).astype("uint8"); normalisation is given apart: normalise='
    return "normalisation is given apart: normalise="


def _whole_numbers(labels: Any, name: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    try:
        given = np.asarray(labels)
    # Of differing lengths.
    except ValueError:
        given = np.empty(0, dtype=object)
    whole = given.dtype.kind in "iub" or (
        given.dtype.kind == "f" and bool((np.isfinite(given) & (given == np.floor(given))).all())
    )
    if given.ndim != 1 or not whole:
        raise DataError(
            f"{name}: labels must be whole numbers of shape (n,), the classes counted from 0, got {given.dtype} "
            f"{given.shape}"
        )
    return given.astype(np.int64)
