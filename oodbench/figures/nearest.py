"""Backtracking: images that were refused, each with the clusters and training images that lie nearest to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .labels import add_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from oodbench.engine.backtrack import Refused
    from oodbench.store.records import Record

REFUSED_COLOUR = "#b5382e"
CLUSTER_COLOUR = "#2f6f9f"


def draw_nearest(record: Record, sets: Mapping[str, Sequence[Refused]], space: str) -> Figure:
    """Draw a row for each refused image: the image framed, then its nearest clusters and training images.

    Each is drawn with its class and distance. A cluster, in a frame of another colour, is shown as the training image
    nearest to its centre.

    Args:
        record: of the result.
        sets: the refused images of each set, by its name; a set without any is named below.
        space: where they are near, such as "features".

    Returns:
        A figure, not shown and not saved.
    """
    from matplotlib.figure import Figure

    rows = [(name, i, refused) for name, of_set in sets.items() for i, refused in enumerate(of_set)]
    whole = [name for name, of_set in sets.items() if not of_set]
    n_clusters = max((len(refused.clusters) for _, _, refused in rows), default=0)
    columns = 1 + n_clusters + max((len(refused.neighbours) for _, _, refused in rows), default=6)
    figure = Figure(figsize=(1.05 * columns + 1.3, 1.2 * max(1, len(rows)) + 1.0), layout="constrained")
    add_title(figure, [record])
    panels = figure.subplots(max(1, len(rows)), columns, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for line, (name, i, refused) in zip(panels, rows, strict=False):
        _draw_row(line, refused, n_clusters)
        if i == 0:
            line[0].text(
                -0.25, 0.5, name, transform=line[0].transAxes, ha="right", va="center", fontsize=9, fontweight="bold"
            )
    clusters = " clusters (framed in blue: their most central training image) and" if n_clusters else ""
    said = (
        f"{record.variant}: refused at 95% TPR, and the nearest{clusters} training images by Euclidean distance in the "
        f"{space}."
    )
    none = f"\nNone refused: {', '.join(whole)}." if whole else ""
    figure.supxlabel(f"{said}{none}", fontsize=8, color="#555555")
    return figure


def _draw_row(line: Sequence[Axes], refused: Refused, n_clusters: int) -> None:
    taken = f"taken for {refused.taken_for}\n" if refused.taken_for else ""
    _draw(line[0], refused.image, f"{taken}score {refused.score:.3g}")
    _frame(line[0], REFUSED_COLOUR)
    for axes, cluster in zip(line[1:], refused.clusters, strict=False):
        _draw(axes, cluster.image, f"{cluster.name}\n{cluster.distance:.3g}")
        _frame(axes, CLUSTER_COLOUR)
    places = zip(refused.neighbours, refused.classes, refused.distances, strict=True)
    for axes, (image, name, distance) in zip(line[1 + n_clusters :], places, strict=False):
        _draw(axes, image, f"{name}\n{distance:.3g}" if name else f"{distance:.3g}")


def _frame(axes: Axes, colour: str) -> None:
    axes.set_axis_on()
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set(edgecolor=colour, linewidth=2)


def _draw(axes: Axes, image: NDArray[np.uint8], title: str) -> None:
    picture: Any = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    # The range of bytes, so that an image of a single grey level is shown in it.
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_title(title, fontsize=7, pad=2)
