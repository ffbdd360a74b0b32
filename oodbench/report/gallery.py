"""Images on the page: one of each class, and those that a method was most wrong about."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from oodbench.images import ImageSet

from .chapter import Chapter, Shown
from .material import ID, Images

SHOWN = 6
"""Of each set and method."""
SIDE = 64
"""Images on the page are no larger than this, in pixels."""
BYTES = 1_800_000
"""That all images of a page may take: the rest of it needs as much, and Plotly more than twice as much."""
CLASSES = 100
"""Of which an image is shown at most."""
LOOKED_AT = 200
"""Images among which a typical one is looked for."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An image with what is said of it.

    Attributes:
        source: as an address that holds the image itself.
        text: what stands in its place where it cannot be seen.
        lines: below it.
    """

    source: str
    text: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """What one method was most wrong about.

    Attributes:
        method: the name of the method.
        sets: the most wrongly accepted images by OOD set, the worst first.
        refused: the most wrongly refused ID images.
        why: what is said in the place of images that are not there, by set; "" is the ID test set.
    """

    method: str
    sets: Mapping[str, tuple[Picture, ...]]
    refused: tuple[Picture, ...]
    why: Mapping[str, str]


@dataclass(kw_only=True)
class Budget:
    """What images may still take.

    Attributes:
        left: bytes.
    """

    left: int = field(default=BYTES)

    def take(self, pictures: Sequence[Picture]) -> bool:
        """Return whether pictures fit, and count them where they do."""
        size = sum(len(picture.source) for picture in pictures)
        if size > self.left:
            return False
        self.left -= size
        return True


def galleries(chapter: Chapter, images: Mapping[str, Images], budget: Budget) -> tuple[list[Gallery], list[str]]:
    """Return the images of each method, the best method first, and the methods that there was no room for.

    Args:
        chapter: the results.
        images: of the shown record of each method.
        budget: what they may take.
    """
    shown: list[Gallery] = []
    left_out: list[str] = []
    for method in chapter.methods:
        gallery = _gallery(method, chapter.shown[method], images[method])
        everything = [*gallery.refused, *(picture for pictures in gallery.sets.values() for picture in pictures)]
        if left_out or not budget.take(everything):
            left_out.append(method)
        else:
            shown.append(gallery)
    return shown, left_out


def _gallery(method: str, shown: Shown, images: Images) -> Gallery:
    scores = shown.scores
    why: dict[str, str] = {}
    found: dict[str, tuple[Picture, ...]] = {}
    classes = shown.record.class_names
    for name, own in shown.sets.items():
        pixels = images.of(own)
        if pixels is None:
            why[name] = images.why[own]
            continue
        values = scores.ood[own]
        chosen = np.argsort(-values, kind="stable")[:SHOWN]
        predicted, true = scores.predicted_ood.get(own), scores.true_ood.get(own)
        labels = pixels.labels if true is None else true
        found[name] = tuple(
            _picture(pixels, i, values[i], _name(classes, predicted, i), _name(pixels.class_names, labels, i), name)
            for i in map(int, chosen)
        )
    pixels = images.of(ID)
    refused: tuple[Picture, ...] = ()
    if pixels is None:
        why[ID] = images.why[ID]
    else:
        labels = pixels.labels if scores.true_id is None else scores.true_id
        refused = tuple(
            _picture(pixels, i, scores.id[i], _name(classes, scores.predicted_id, i), _name(classes, labels, i), "ID")
            for i in map(int, np.argsort(scores.id, kind="stable")[:SHOWN])
        )
    return Gallery(method=method, sets=found, refused=refused, why=why)


def class_pictures(images: ImageSet, name: str) -> list[Picture]:
    """Return a typical image of each class, or of the whole set where it has none: that of the median contrast.

    Args:
        images: of one set.
        name: of the set on the page.
    """
    if images.labels is None or not images.class_names:
        return [_typical(images, np.arange(len(images)), name)]
    members = ((known, np.flatnonzero(images.labels == label)) for label, known in enumerate(images.class_names))
    return [_typical(images, found, known) for known, found in [*members][:CLASSES] if len(found)]


def _typical(images: ImageSet, members: NDArray[np.intp], name: str) -> Picture:
    some = members[np.linspace(0, len(members) - 1, min(LOOKED_AT, len(members))).astype(np.intp)]
    contrast = [float(images.images[i].std()) for i in some]
    i = int(some[np.argsort(contrast, kind="stable")[len(some) // 2]])
    return Picture(source=_address(images.images[i]), text=f"an image of {name}", lines=(name,))


def _picture(images: ImageSet, i: int, score: float, predicted: str, true: str, of: str) -> Picture:
    lines = (f"score {score:.4g}", f"taken for {predicted}" if predicted else "", f"is {true}" if true else "")
    return Picture(
        source=_address(images.images[i]), text=f"{of} image {i}: {', '.join(filter(None, lines))}", lines=lines
    )


def _name(names: Sequence[str], labels: NDArray[np.int64] | None, i: int) -> str:
    if labels is None or not 0 <= labels[i] < len(names):
        return ""
    return names[int(labels[i])]


def _address(pixels: NDArray[np.uint8]) -> str:
    """Return an image as a data: address; small ones and grey ones without loss."""
    from PIL import Image

    array = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
    picture = Image.fromarray(np.ascontiguousarray(array))
    if max(picture.size) > SIDE:
        picture.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    kind = "png" if picture.mode == "L" or max(picture.size) <= 16 else "jpeg"
    picture.save(buffer, kind, **({"optimize": True} if kind == "png" else {"quality": 85}))
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
