"""Figure 1 of Masana et al.: where OOD images fall among the in-distribution clusters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from oodbench.errors import ConfigError
from oodbench.spelling import for_matplotlib

from .colours import ID_COLOURS, ood_colours
from .labels import add_title, names_of, roles_of, wrapped

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from oodbench.store.records import Record, Scores

POINTS = 400
"""Drawn of each set: more hide each other."""
MARGIN = 0.8
"""Left of the panels, for the names of the methods, in inches."""
WALL, GRID = "#f6f6f6", "#dddddd"
"""Colours behind points in three dimensions."""
NAMES = 3
LETTERS = 50
"""How many methods of one network are named, and with how many letters: more does not fit beside its panels."""


def draw_embeddings(results: Sequence[tuple[Record, Scores]]) -> Figure:
    """Draw a row for each result and a panel for each OOD set, over the clusters of the ID test images.

    Methods that share a network share a row, which is named after the network where they are many. Embeddings of more
    than three dimensions are projected on the first three principal components of the ID images.

    Args:
        results: records of one benchmark with their scores.

    Returns:
        A figure, not shown and not saved.

    Raises:
        ConfigError: none of the networks has embeddings.

    Source: Masana et al., BMVC 2018, Figure 1.
    """
    from matplotlib.figure import Figure

    results = [(record, scores) for record, scores in results if scores.embedding_id is not None]
    if not results:
        raise ConfigError(
            "none of these results has embeddings to draw; choose a method with a classifier: --method msp"
        )
    roles = roles_of([record for record, _ in results])
    colours = ood_colours(roles)
    class_names = results[0][0].class_names
    networks = by_network(results)
    width = 2.9 * len(roles) + MARGIN
    entries = _classes(class_names) | colours
    columns, lines = _legend_shape([*entries], width)
    height = 3.0 * len(networks) + 0.9 + 0.2 * lines
    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(
        left=MARGIN / width,
        right=1 - 0.2 / width,
        top=1 - 0.75 / height,
        bottom=(0.25 + 0.2 * lines) / height,
        wspace=0.05,
        hspace=0.05,
    )
    add_title(figure, [record for record, _ in results], y=1 - 0.1 / height, va="top")
    for line, (name, scores) in enumerate(networks):
        assert scores.embedding_id is not None  # others were left out above
        project = projector(scores.embedding_id)
        projection = "3d" if project(scores.embedding_id[:1]).shape[1] == 3 else None
        for column, (ood, role) in enumerate(roles.items()):
            axes: Any = figure.add_subplot(
                len(networks), len(roles), line * len(roles) + column + 1, projection=projection
            )
            if line == 0:
                axes.set_title(for_matplotlib(f"{ood}\n({role})"), fontsize=10)
            if column == 0:
                box = axes.get_position()
                middle = 0.5 * MARGIN / width, (box.y0 + box.y1) / 2
                figure.text(*middle, wrapped(name), rotation=90, va="center", ha="center", fontsize=11, weight="bold")
            if scores.embedding_ood.get(ood) is not None:
                _panel(axes, scores, ood, colours[ood], project)
            else:
                axes.set_axis_off()
    _legend(figure, entries, columns)
    return figure


def projector(embedding_id: NDArray[np.float32]) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Return what brings embeddings to three dimensions at most: the first principal components of the ID images.

    Args:
        embedding_id: of ID test images, shape (n, n_outputs).
    """
    if embedding_id.shape[1] <= 3:
        return np.asarray
    from sklearn.decomposition import PCA

    project: Callable[[NDArray[np.float32]], NDArray[np.float32]] = PCA(n_components=3).fit(embedding_id).transform
    return project


def _panel(axes: Any, scores: Scores, name: str, colour: str, project: Any) -> None:
    embedding_id, labels_id, embedding_ood = scores.embedding_id, scores.labels_id, scores.embedding_ood[name]
    assert embedding_id is not None and embedding_ood is not None  # noqa: PT018  # drawn above
    # Spread over the set, whose order may be that of its classes.
    shown = _spread(len(embedding_id))
    points = project(embedding_id[shown])
    labels = np.zeros(len(shown), dtype=np.int64) if labels_id is None else labels_id[shown]
    others = project(embedding_ood[_spread(len(embedding_ood))])
    # The OOD points come last, so that those that fall into a cluster are seen.
    axes.scatter(*points.T, c=[ID_COLOURS[label % len(ID_COLOURS)] for label in labels], s=9, linewidths=0, alpha=0.9)
    axes.scatter(*others.T, c=colour, s=8, linewidths=0, alpha=0.7)
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
        axis.pane.set_facecolor(WALL)
        axis._axinfo["grid"].update(color=GRID, linewidth=0.5)  # noqa: SLF001  # there is no public way


def _spread(count: int) -> NDArray[np.intp]:
    return np.linspace(0, count - 1, min(POINTS, count)).astype(np.intp)


def by_network(results: Sequence[tuple[Record, Scores]]) -> list[tuple[str, Scores]]:
    """Return each network's methods as one name, with their scores: methods that share a network have one picture."""
    shared: dict[str | None, tuple[list[str], Record, Scores]] = {}
    names = names_of([record for record, _ in results])
    for name, (record, scores) in zip(names, results, strict=True):
        shared.setdefault(record.fingerprints["weights"], ([], record, scores))[0].append(name)
    return [(_row_name(names, record), scores) for names, record, scores in shared.values()]


def _row_name(names: Sequence[str], record: Record) -> str:
    joined = ", ".join(names)
    if len(names) == 1 or (len(names) <= NAMES and len(joined) <= LETTERS):
        return joined
    # What was trained is named after its objective, what was given after the model.
    network = record.objective["name"] if record.training else record.recipe.removeprefix("given: ")
    return f"{network} ({len(names)} methods)"


def _classes(class_names: Sequence[str]) -> dict[str, str | tuple[str, ...]]:
    """Return an entry of the legend for each class; where colours stand for several classes, one for all."""
    if len(class_names) > len(ID_COLOURS):
        return {f"ID: {len(class_names)} classes, whose colours repeat": ID_COLOURS}
    return {f"ID: {name}": ID_COLOURS[label] for label, name in enumerate(class_names)}


def _legend_shape(names: Sequence[str], width: float) -> tuple[int, int]:
    """Return in how many columns and lines the entries of a legend fit below a figure `width` inches wide."""
    entry = 0.6 + 0.075 * max(map(len, names))
    columns = min(len(names), max(1, int(width / entry)))
    return columns, math.ceil(len(names) / columns)


def _legend(figure: Figure, colours: Mapping[str, str | tuple[str, ...]], columns: int) -> None:
    from matplotlib.legend_handler import HandlerTuple
    from matplotlib.lines import Line2D

    handles = [
        tuple(
            Line2D([], [], marker="o", linestyle="", color=colour, markersize=6 if len(several) == 1 else 3)
            for colour in several
        )
        for several in (entry if isinstance(entry, tuple) else (entry,) for entry in colours.values())
    ]
    figure.legend(
        handles=handles,
        labels=[for_matplotlib(name) for name in colours],
        loc="lower center",
        ncols=columns,
        fontsize=9,
        frameon=False,
        handler_map={tuple: HandlerTuple(ndivide=None, pad=0)},
    )
