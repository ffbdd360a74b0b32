"""How the scores of each OOD set overlap with those of the in-distribution test images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from oodbench.metrics import METRICS, roc_curve
from oodbench.spelling import for_matplotlib

from .colours import ood_colours
from .labels import add_title, names_of, roles_of, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from oodbench.store.records import Record, Scores

BINS = 60
ID_COLOUR = "#2e6bb5"


def draw_histograms(results: Sequence[tuple[Record, Scores]]) -> Figure:
    """Draw a row for each result and a panel for each OOD set, with the threshold at 95% TPR.

    Each panel shows the scores as the method gives them, from the smaller 1st to the larger 99th percentile of its two
    sets; what lies beyond is in the outermost bars.

    Args:
        results: records of one benchmark with their scores.

    Returns:
        A figure, not shown and not saved.
    """
    from matplotlib.figure import Figure

    records = [record for record, _ in results]
    roles = roles_of(records)
    colours = ood_colours(roles)
    # The sentence below the panels needs 5.6 inches.
    figure = Figure(figsize=(max(2.8 * len(roles), 5.6), 1.7 * len(results) + 0.9), layout="constrained")
    add_title(figure, [record for record, _ in results])
    panels = figure.subplots(len(results), len(roles), squeeze=False)
    for axes, (name, role) in zip(panels[0], roles.items(), strict=True):
        axes.set_title(for_matplotlib(f"{name} ({role})"), fontsize=10)
    for line, label, (record, scores) in zip(panels, names_of(records), results, strict=True):
        line[0].set_ylabel(wrapped(label), fontsize=9, fontweight="bold")
        aurocs = {row.out_dist: row.metrics["auroc"] for row in record.rows}
        for axes, name in zip(line, roles, strict=True):
            if name in aurocs:
                _panel(axes, scores.id, scores.ood[name], colours[name])
                text = f"{METRICS['auroc'].label} {100 * aurocs[name]:.2f}"
            else:
                axes.set_xticks([])
                axes.set_yticks([])
                text = "no data"
            # On white: the threshold may lie behind it.
            white = {"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.85}
            axes.text(0.03, 0.95, text, transform=axes.transAxes, va="top", fontsize=8, bbox=white)
    figure.supxlabel(
        "score (right: more in-distribution); blue: ID test images\n"
        "dashed: threshold at 95% TPR; heights under a square root",
        fontsize=9,
    )
    return figure


def _panel(axes: Axes, scores_id: NDArray[np.float64], scores_ood: NDArray[np.float64], colour: str) -> None:
    ends = np.percentile(scores_id, [1, 99]), np.percentile(scores_ood, [1, 99])
    low, high = float(np.min(ends)), float(np.max(ends))
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    for values, fill in ((scores_id, ID_COLOUR), (scores_ood, colour)):
        weights = np.full(len(values), 1 / len(values))
        heights, _ = np.histogram(values.clip(low, high), edges, weights=weights)
        # One outline is drawn in a tenth of the time of as many bars.
        axes.stairs(heights, edges, fill=True, color=fill, alpha=0.6)
    curve = roc_curve(scores_id, scores_ood)
    axes.axvline(curve.thresholds[curve.index_at_tpr(0.95)], color="black", linewidth=0.8, linestyle="--")
    # Under a root, the few images that matter are seen beside the many that crowd at one end; the room is for the text.
    axes.set_yscale("function", functions=(np.sqrt, np.square))
    axes.set_ylim(0, 1.5 * axes.get_ylim()[1])
    axes.set_yticks([])
    axes.tick_params(labelsize=7)
    axes.locator_params(axis="x", nbins=4)
    axes.ticklabel_format(axis="x", useOffset=False)
