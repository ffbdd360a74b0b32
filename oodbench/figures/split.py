"""The classes of a split, as Figure 2 of Masana et al. (BMVC 2018) shows them: one picture a class, part by part."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from oodbench.spelling import for_matplotlib
from oodbench.splits import SHARES

from .colours import group_colours

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

    from oodbench.images import ImageSet

TITLES = {"id": "in-distribution", "seen": "seen out-of-distribution", "unseen": "unseen out-of-distribution"}
_COLUMNS = 6


def draw_split(split: Mapping[str, Any], images: ImageSet) -> Figure:
    """Draw one image of each class: in-distribution left, seen in the middle, unseen right.

    Of each class the image is shown whose contrast is the median of its class. Classes of one group have names of one
    colour.

    Args:
        split: as a record has it, see `oodbench.splits.ClassSplit.as_record`.
        images: labelled images of the data set, with all classes of the split.

    Returns:
        A figure, not shown and not saved.
    """
    from matplotlib.figure import Figure

    parts = {share: split[share] for share in SHARES if split[share]}
    columns = {share: min(_COLUMNS, max(3, math.ceil(math.sqrt(len(classes))))) for share, classes in parts.items()}
    rows = max(math.ceil(len(classes) / columns[share]) for share, classes in parts.items())
    widths = [0.72 * columns[share] + 0.3 for share in parts]
    figure = Figure(figsize=(sum(widths), 0.88 * rows + 0.5), layout="constrained")
    panels = figure.subfigures(1, len(parts), squeeze=False, width_ratios=widths)[0]
    group_of = {name: group for group, names in split["groups"].items() for name in names}
    colours = group_colours(list(split["groups"]))
    for panel, (share, classes) in zip(panels, parts.items(), strict=True):
        panel.suptitle(f"{TITLES[share]} ({len(classes)})", fontsize=10)
        names = {name: colours.get(group_of.get(name, ""), "black") for name in classes}
        _draw_classes(panel, names, images, rows, columns[share])
    return figure


def _draw_classes(panel: SubFigure, classes: Mapping[str, str], images: ImageSet, rows: int, columns: int) -> None:
    axes = panel.subplots(rows, columns, squeeze=False).flatten()
    for place in axes:
        place.set_axis_off()
    for place, (name, colour) in zip(axes, classes.items(), strict=False):
        picture = _typical(images, name)
        place.imshow(picture, cmap="gray" if picture.ndim == 2 else None, interpolation="nearest")
        place.set_title(for_matplotlib(name), fontsize=6, color=colour, pad=2)


def _typical(images: ImageSet, name: str) -> np.ndarray[Any, Any]:
    """Return the image of a class whose contrast is the median, shape (height, width) or (height, width, 3)."""
    assert images.labels is not None  # only labelled sets are split
    members = np.flatnonzero(images.labels == images.class_names.index(name))
    contrast = [float(images.images[i].std()) for i in members]
    image = images.images[members[np.argsort(contrast)[len(members) // 2]]]
    picture: np.ndarray[Any, Any] = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    return picture
