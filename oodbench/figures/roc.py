"""ROC curves: a panel for each OOD set, a line for each method."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import stdev
from typing import TYPE_CHECKING, Literal

from oodbench.metrics import delong_interval, roc_curve
from oodbench.spelling import for_matplotlib

from .labels import add_title, names_of, roles_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from oodbench.store.records import Record, Scores


COLOURS = ("#c0392b", "#2e6bb5", "#2ca02c", "#7d3c98", "#e08214", "#0f9d9d", "#8e5a2b", "#c2478c")
"""Of the methods that are named: more colours cannot be told apart."""
OTHERS = "#d0d0d0"
Spread = Literal["deviation", "interval"]
DEVIATION: Spread = "deviation"
INTERVAL: Spread = "interval"


def draw_roc(
    results: Sequence[tuple[Record, Scores]], *, spread: Spread = DEVIATION, records: Sequence[Record] = ()
) -> Figure:
    """Draw the true against the false positive rate, with in-distribution as the positive class.

    Where there are more methods than colours, the best by mean AUROC have a colour and a name, the best one first, and
    the others are grey. The false positive rate is on a symmetric logarithmic axis, since the operating points that
    matter are at its left end. What lies below a true positive rate of 50% is not shown.

    Args:
        results: records of one benchmark with their scores.
        spread: what stands behind each AUROC: "interval" is its 95% interval over test images, by DeLong;
            "deviation" the sample standard deviation over seeds, where there are several.
        records: those of all seeds, for the deviation.

    Returns:
        A figure, not shown and not saved.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    roles = roles_of([record for record, _ in results])
    if len(results) > len(COLOURS):
        results = sorted(results, key=lambda result: _mean_auroc(result[0]), reverse=True)
    named = results[: len(COLOURS)]
    figure = Figure(figsize=(max(3.1 * len(roles), 4.2), 3.6 + 0.2 * len(named)), layout="constrained")
    add_title(figure, [record for record, _ in results])
    panels = figure.subplots(1, len(roles), sharey=True, squeeze=False)[0]
    for axes, (name, role) in zip(panels, roles.items(), strict=True):
        # The first is drawn last, over the others.
        for i, (record, scores) in reversed(list(enumerate(results))):
            auroc = next((row.metrics["auroc"] for row in record.rows if row.out_dist == name), None)
            if auroc is not None:
                curve = roc_curve(scores.id, scores.ood[name])
                style = {"color": OTHERS}
                if i < len(named):
                    behind = _interval(scores, name) if spread == INTERVAL else _deviation(record, records, name)
                    style = {"color": COLOURS[i], "label": f"{100 * auroc:.2f}{behind}"}
                axes.plot(curve.fpr, curve.tpr, linewidth=1.3, **style)
        axes.axhline(0.95, color="black", linewidth=0.6, linestyle="--")
        axes.set_xscale("symlog", linthresh=0.01)
        axes.set_xlim(0, 1)
        axes.set_ylim(0.5, 1.005)
        axes.set_xticks([0, 0.01, 0.1, 1], ["0", "1%", "10%", "100%"])
        axes.set_title(for_matplotlib(f"{name} ({role})"), fontsize=10)
        axes.set_xlabel("false positive rate", fontsize=9)
        lines, _ = axes.get_legend_handles_labels()
        if lines:
            title = _title([line.get_label() for line in lines])
            axes.legend(handles=lines[::-1], fontsize=7, loc="lower right", title=title, title_fontsize=7)
    panels[0].set_yticks([0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0], ["50%", "60%", "70%", "80%", "90%", "95%", "100%"])
    panels[0].set_ylabel("true positive rate", fontsize=9)
    names = list(zip(names_of([record for record, _ in results]), COLOURS, strict=False))
    if others := len(results) - len(named):
        names.append((f"{others} more, with a lower mean AUROC", OTHERS))
    handles = [Line2D([], [], color=colour, label=for_matplotlib(label)) for label, colour in names]
    # As many names on a line as fit: at this size an inch holds about 14 characters.
    per_line = max(1, int(14 * figure.get_figwidth() / (max(len(label) for label, _ in names) + 6)))
    figure.legend(
        handles=handles, loc="outside lower center", ncols=min(per_line, len(names)), fontsize=8, frameon=False
    )
    return figure


def _interval(scores: Scores, name: str) -> str:
    # Of a single image nothing is known.
    if min(scores.id.size, scores.ood[name].size) < 2:
        return ""
    found = delong_interval(scores.id, scores.ood[name])
    return f" [{100 * found.low:.2f}, {100 * found.high:.2f}]"


def _deviation(record: Record, records: Sequence[Record], name: str) -> str:
    """Return the deviation over the seeds of one method and training, where there are several."""
    values = {
        one.seed: row.metrics["auroc"]
        for one in records
        if _experiment(one) == _experiment(record)
        for row in one.rows
        if row.out_dist == name
    }
    return f" ± {100 * stdev(values.values()):.2f}" if len(values) > 1 else ""


def _experiment(record: Record) -> tuple[object, ...]:
    return record.benchmark["name"], record.variant, record.recipe, record.settings, record.training


def _title(labels: Sequence[object]) -> str:
    """Say what the numbers of a panel are."""
    shown = " ".join(map(str, labels))
    if "[" in shown:
        return "AUROC [95% interval\nover test images]"
    return "AUROC of this seed\n± deviation over seeds" if "±" in shown else "AUROC"


def _mean_auroc(record: Record) -> float:
    aurocs = [row.metrics["auroc"] for row in record.rows]
    return sum(aurocs) / len(aurocs) if aurocs else 0.0
