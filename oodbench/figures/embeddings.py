"""Figure 1 of Masana et al.: where OOD images fall among the in-distribution clusters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .colours import ID_COLOURS, ood_colours

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from oodbench.records import Record, Scores

POINTS = 400
"""Drawn of each set: more hide each other."""


def draw_embeddings(results: Sequence[tuple[Record, Scores]]) -> Figure:
    """Draw a row for each result and a panel for each OOD set, over the clusters of the ID test images.

    Methods that share a network share a row. Embeddings of more than three dimensions are projected on the first
    three principal components of the ID images.

    Args:
        results: records of one benchmark with their scores.

    Returns:
        A figure, not shown and not saved.

    Source: Masana et al., BMVC 2018, Figure 1.
    """
    from matplotlib.figure import Figure

    sets = {row.out_dist: row.role for row in results[0][0].rows}
    colours = ood_colours(sets)
    names = _sharing(record for record, _ in results)
    results = [result for result in results if result[0].variant in names]
    figure = Figure(figsize=(2.9 * len(sets), 3.0 * len(results) + 0.7))
    for line, (record, scores) in enumerate(results):
        project = _projection(scores.embedding_id)
        flat = project(scores.embedding_id[:1]).shape[1] < 3
        for column, row in enumerate(record.rows):
            axes: Any = figure.add_subplot(
                len(results), len(sets), line * len(sets) + column + 1, projection=None if flat else "3d"
            )
            _panel(axes, scores, row.out_dist, colours[row.out_dist], project)
            if line == 0:
                axes.set_title(f"{row.out_dist}\n({row.role})", fontsize=10)
            if column == 0:
                place = {"s": names[record.variant], "transform": axes.transAxes, "fontsize": 12, "fontweight": "bold"}
                (axes.text if flat else axes.text2D)(-0.12, 0.5, rotation=90, va="center", **place)
    figure.subplots_adjust(
        left=0.03,
        right=0.99,
        top=1 - 0.55 / figure.get_figheight(),
        bottom=0.42 / figure.get_figheight(),
        wspace=0.05,
        hspace=0.05,
    )
    _legend(figure, results[0][0].class_names, colours)
    return figure


def _projection(embedding_id: NDArray[np.float32]) -> Any:
    if embedding_id.shape[1] <= 3:
        return np.asarray
    from sklearn.decomposition import PCA

    return PCA(n_components=3).fit(embedding_id).transform


def _panel(axes: Any, scores: Scores, name: str, colour: str, project: Any) -> None:
    points, labels = project(scores.embedding_id[:POINTS]), scores.labels_id[:POINTS]
    others = project(scores.embedding_ood[name][:POINTS])
    # The OOD points come last, so that those that fall into a cluster are seen.
    axes.scatter(*points.T, c=[ID_COLOURS[label % len(ID_COLOURS)] for label in labels], s=9, linewidths=0, alpha=0.9)
    axes.scatter(*others.T, c=colour, s=7, linewidths=0, alpha=0.55)
    axes.set_xticklabels([])
    axes.set_yticklabels([])
    axes.tick_params(length=0)
    if points.shape[1] < 3:
        return
    axes.set_zticklabels([])
    # Clusters lie on a line, a plane or a simplex: from here its face is seen, not its edge.
    axes.view_init(elev=28, azim=40)
    axes.set_box_aspect(None, zoom=1.15)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.pane.set_facecolor("#f6f6f6")
        axis._axinfo["grid"].update(color="#dddddd", linewidth=0.5)  # noqa: SLF001  # there is no public way


def _sharing(records: Iterable[Record]) -> dict[str, str]:
    """Return one name for all methods that share a network, by the first of them: their pictures are the same."""
    shared: dict[str, list[str]] = {}
    for record in records:
        shared.setdefault(str(record.fingerprints["weights"]), []).append(record.variant)
    return {names[0]: ", ".join(names) for names in shared.values()}


def _legend(figure: Figure, class_names: Sequence[str], colours: dict[str, str]) -> None:
    from matplotlib.lines import Line2D

    classes = {f"ID: {name}": ID_COLOURS[label] for label, name in enumerate(class_names[: len(ID_COLOURS)])}
    entries = classes | colours
    handles = [Line2D([], [], marker="o", linestyle="", color=colour, label=name) for name, colour in entries.items()]
    figure.legend(handles=handles, loc="lower center", ncols=min(len(handles), 8), fontsize=9, frameon=False)
