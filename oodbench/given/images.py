"""`oodbench.evaluate`: a trained classifier and images of any kind in, a table of results out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from oodbench.benchmark import Part
from oodbench.data.parts import find_part
from oodbench.errors import DataError, reported_as
from oodbench.folders import place
from oodbench.images import Conversion, ImageSet, RawImages, convert, described, pixels_of
from oodbench.plugins import registry
from oodbench.store.workspace import Workspace

from .conversion import agreed, parse_conversion

if TYPE_CHECKING:
    from PIL.Image import Image

Images: TypeAlias = "str | Path | ImageSet | np.ndarray[Any, Any] | tuple[Any, Any] | Sequence[Any]"
"""A folder or ZIP, the name of a data set, an `ImageSet`, uint8 arrays or tensors of shape (n, channels, height, width)
alone or in a tuple with labels, or a sequence of PIL images or (PIL image, label) as torchvision's data sets are."""


def conversion_of(
    image_size: str | int | None, channels: int | None, prescribed: Conversion | None = None
) -> Conversion:
    """Return what images are brought to; without a size they stay as they are.

    Args:
        image_size: "64", 64 or "48x64".
        channels: 1 (grey) or 3 (RGB).
        prescribed: how the model's images are prepared, or None for no more than that.
    """
    if prescribed is not None:
        return agreed(prescribed, image_size, channels)
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
        self.conversion, self._workspace, self._said = conversion, workspace, set[str]()

    def load(
        self, images: Images, name: str, split: Literal["train", "test"] = "test", *, labelled: bool = True
    ) -> ImageSet:
        """Return images as a set; those of files are not decoded yet, unless they were before.

        Args:
            images: in any of the forms that `Images` names.
            name: for messages and tables.
            split: of a folder that has training and test images.
            labelled: whether labels count; those of OOD sets may be anything, and do not.

        Raises:
            DataError: it is none of these forms, or an image or a label cannot be read.
        """
        if isinstance(images, ImageSet):
            return images
        if isinstance(images, str | Path):
            _, dataset = place(str(images) if isinstance(images, str) else f"{images.absolute()}")
            part = Part(dataset=dataset, split="test" if self._is_undivided(dataset) else split)
            return find_part(part, self.conversion, self._workspace, said=self._said, again=False)
        raw, labels = _as_raw(images, name)
        pixels = convert(raw, self.conversion, name)
        whole = _as_set(pixels, labels() if labelled else None, name)
        self._workspace.report.message(described(name, whole.labels, whole.class_names, len(whole)))
        return whole

    def _is_undivided(self, dataset: str) -> bool:
        """Return whether a folder holds images as they lie, without a part for training and one for tests."""
        return not registry.dataset(dataset).locate("test", self._workspace.data_dir).divided


def _as_raw(images: Images, name: str) -> tuple[RawImages, Callable[[], Any]]:
    """Return images in memory as they come, and what gives their labels once they have been gone through."""
    array, labels = images, None
    if isinstance(images, tuple) and len(images) >= 2 and _is_many(images[0]):
        array, labels = images[:2]
    if hasattr(array, "shape"):
        # Conversion wants the channels last, and none for grey images.
        pixels = pixels_of(array, name).transpose(0, 2, 3, 1)
        return RawImages(images=pixels[..., 0] if pixels.shape[3] == 1 else pixels), lambda: labels
    items = _Items(array, name)
    return RawImages(images=items), lambda: items.found if labels is None else labels


def _as_set(pixels: np.ndarray[Any, np.dtype[np.uint8]], labels: Any, name: str) -> ImageSet:
    if labels is None:
        return ImageSet(name=name, images=pixels)
    whole = _whole_numbers(labels, name)
    names = tuple(map(str, range(int(whole.max(initial=-1)) + 1)))
    return ImageSet(name=name, images=pixels, labels=whole, class_names=names)


def _is_many(thing: Any) -> bool:
    """Return whether the first part of a pair holds all images, so that the second one holds the labels."""
    return len(thing.shape) == 4 if hasattr(thing, "shape") else isinstance(thing, list)


class _Items:
    """The images of a sequence, one after another, with their labels noted on the way.

    Items are PIL images, alone, first in a tuple whose second part is the label, or under a usual name in a mapping.

    Args:
        sequence: has a length and items.
        name: for messages.

    Raises:
        DataError: it is no such sequence.
    """

    def __init__(self, sequence: Any, name: str) -> None:
        if not hasattr(sequence, "__len__") or not hasattr(sequence, "__getitem__") or isinstance(sequence, Mapping):
            raise DataError(
                f"{name} must be a path, the name of a data set, uint8 arrays or a sequence of PIL images, got a "
                f"{type(sequence).__name__}"
            )
        self._sequence, self._name = sequence, name
        self._labels: list[Any] = []

    @property
    def found(self) -> list[Any] | None:
        """The labels of the items, or None where they have none."""
        return None if all(label is None for label in self._labels) else self._labels

    def __len__(self) -> int:
        with reported_as(DataError, self._name):
            return len(self._sequence)

    def __iter__(self) -> Iterator[Image]:
        if not len(self):
            raise DataError(f"{self._name} {_WANTED}, got nothing; leave transforms out")
        for i in range(len(self)):
            with reported_as(DataError, f"item {i} of {self._name}"):
                picture, label = _parts(self._sequence[i])
            if not hasattr(picture, "getbands"):
                raise DataError(f"{self._name} {_WANTED}, got {type(picture).__name__}; leave transforms out")
            self._labels.append(label)
            yield picture


_WANTED = "must hold PIL images, or pairs of one with its label"

_IMAGE = ("image", "img", "picture")
_LABEL = ("label", "labels", "target", "fine_label")


def _parts(item: Any) -> tuple[Any, Any]:
    """Return the image and the label of an item; what else it holds is left."""
    if isinstance(item, Mapping):
        picture, label = (next((item[key] for key in keys if key in item), None) for keys in (_IMAGE, _LABEL))
        return picture, label
    if isinstance(item, tuple | list):
        return (*item, None, None)[:2]
    return item, None


def _whole_numbers(labels: Any, name: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    try:
        entries = labels.tolist() if hasattr(labels, "tolist") else labels
        given = np.asarray([entry.item() if hasattr(entry, "item") else entry for entry in entries])
    # Of differing lengths, or in tensors that hold nothing.
    except Exception:  # noqa: BLE001
        given = np.empty(0, dtype=object)
    whole = given.dtype.kind in "iub" or (
        given.dtype.kind == "f" and bool((np.isfinite(given) & (given == np.floor(given))).all())
    )
    if given.ndim != 1 or not whole:
        raise DataError(
            f"{name}: labels must be whole numbers of shape (n,), the classes counted from 0, got {given.dtype} "
            f"{given.shape}"
        )
    if len(given) and given.max() >= _CLASSES:
        raise DataError(f"{name}: the label {given.max():.0f} is no class counted from 0; number them 0, 1, 2, …")
    return given.astype(np.int64)


_CLASSES = 1_000_000
"""More classes than any classifier tells apart."""
