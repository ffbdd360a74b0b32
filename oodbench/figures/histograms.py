"""How the scores of each OOD set overlap with those of the in-distribution test images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from oodbench.metrics import METRICS

from .colours import ood_colours

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from oodbench.records import Record, Scores

BINS = 60
ID_COLOUR = "#2e6bb5"


def draw_histograms(results: Sequence[tuple[Record, Scores]]) -> Figure:
    """Draw a row for each result and a panel for each OOD set, with the threshold at 95% TPR.

    Each panel shows the scores as the method gives them, from the 1st to the 99th percentile of its two sets; what lies
    beyond is in the outermost bars.

    Args:
        results: records of one benchmark with their scores.

    Returns:
        A figure, not shown and not saved.
    """
    from matplotlib.figure import Figure

    sets = {row.out_dist: row.role for row in results[0][0].rows}
    colours = ood_colours(sets)
    figure = Figure(figsize=(2.8 * len(sets), 1.7 * len(results) + 0.9), layout="constrained")
    panels = figure.subplots(len(results), len(sets), squeeze=False)
    for line, (record, scores) in enumerate(results):
        for axes, row in zip(panels[line], record.rows, strict=True):
            ood = scores.ood[row.out_dist]
            low, high = np.percentile(np.concatenate([scores.id, ood]), [1, 99])
            edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
            for values, colour in ((scores.id, ID_COLOUR), (ood, colours[row.out_dist])):
                weights = np.full(len(values), 1 / len(values))
                axes.hist(values.clip(low, high), bins=edges, weights=weights, color=colour, alpha=0.6)
            threshold = np.sort(scores.id)[::-1][int(np.ceil(0.95 * len(scores.id))) - 1]
            axes.axvline(max(threshold, low), color="black", linewidth=0.8, linestyle="--")
            label = METRICS["auroc"].label
            axes.text(
                0.03, 0.95, f"{label} {100 * row.metrics['auroc']:.2f}", transform=axes.transAxes, va="top", fontsize=8
            )
            axes.set_yticks([])
            axes.tick_params(labelsize=7)
            axes.locator_params(axis="x", nbins=4)
            axes.ticklabel_format(axis="x", useOffset=False)
            if line == 0:
                axes.set_title(f"{row.out_dist} ({row.role})", fontsize=10)
        panels[line][0].set_ylabel(record.variant, fontweight="bold")
    figure.supxlabel(
        "score (right: more in-distribution); blue: ID test images; dashed: threshold at 95% TPR", fontsize=9
    )
    return figure
