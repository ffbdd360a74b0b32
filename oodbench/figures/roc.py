"""ROC curves: a panel for each OOD set, a line for each method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from oodbench.metrics import roc_curve

from .labels import names_of, roles_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from oodbench.records import Record, Scores


def draw_roc(results: Sequence[tuple[Record, Scores]]) -> Figure:
    """Draw the true against the false positive rate, with in-distribution as the positive class.

    The false positive rate is on a symmetric logarithmic axis, since the operating points that matter are at its
    left end. What lies below a true positive rate of 50% is not shown.

    Args:
        results: records of one benchmark with their scores.

    Returns:
        A figure, not shown and not saved.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    records = [record for record, _ in results]
    roles = roles_of(records)
    labels = names_of(records)
    figure = Figure(figsize=(max(3.1 * len(roles), 4.2), 3.6 + 0.2 * len(results)), layout="constrained")
    panels = figure.subplots(1, len(roles), sharey=True, squeeze=False)[0]
    for axes, (name, role) in zip(panels, roles.items(), strict=True):
        for i, (record, scores) in enumerate(results):
            auroc = next((f"{100 * row.metrics['auroc']:.2f}" for row in record.rows if row.out_dist == name), None)
            if auroc is not None:
                curve = roc_curve(scores.id, scores.ood[name])
                axes.plot(curve.fpr, curve.tpr, linewidth=1.4, color=f"C{i}", label=auroc)
        axes.axhline(0.95, color="black", linewidth=0.6, linestyle="--")
        axes.set_xscale("symlog", linthresh=0.01)
        axes.set_xlim(0, 1)
        axes.set_ylim(0.5, 1.005)
        axes.set_xticks([0, 0.01, 0.1, 1], ["0", "1%", "10%", "100%"])
        axes.set_title(f"{name} ({role})", fontsize=10)
        axes.set_xlabel("false positive rate", fontsize=9)
        axes.legend(fontsize=7, loc="lower right", title="AUROC", title_fontsize=7)
    panels[0].set_yticks([0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0], ["50%", "60%", "70%", "80%", "90%", "95%", "100%"])
    panels[0].set_ylabel("true positive rate", fontsize=9)
    handles = [Line2D([], [], color=f"C{i}", label=label) for i, label in enumerate(labels)]
    # As many names on a line as fit: at this size an inch holds about 14 characters.
    per_line = max(1, int(14 * figure.get_figwidth() / (max(map(len, labels)) + 6)))
    figure.legend(
        handles=handles, loc="outside lower center", ncols=min(per_line, len(labels)), fontsize=8, frameon=False
    )
    return figure
