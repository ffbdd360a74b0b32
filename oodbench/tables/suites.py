"""The layout of suites: means over the members, with their deviation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .columns import shown as how
from .experiments import experiments
from .layouts import contaminations, labels, method_notes, number, with_asked
from .model import Entry, Span, Table

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("auroc", "aupr_in", "aupr_out", "fpr_at_95tpr")
OPEN_SET = ("oscr", "macro_f")
"""Shown where known classes are told apart."""


def suite(frame: pd.DataFrame, metrics: Sequence[str] = ()) -> Table:
    """Return a line for each method and OOD set, the best first: mean ± standard deviation over the members of a suite.

    Seeds of a member are averaged first. Rows that belong to no suite are left out, and so are members that a method
    has no results on, with a note.
    """
    whole = experiments(frame)
    inside = whole[whole["suite"] != ""]
    rows: list[tuple[Entry, ...]] = []
    groups: list[int] = []
    notes: list[str] = []
    open_set = [name for name in OPEN_SET if name in inside and inside[name].notna().any()]
    shown = list(with_asked([*COLUMNS, *open_set], metrics))
    for number_of_suite, (name, of_suite) in enumerate(inside.groupby("suite", sort=False)):
        members = list(dict.fromkeys(of_suite["in_dist"]))
        lines = list(_lines(of_suite, shown))
        best = {column: _best(lines, column) for column in shown}
        for line in sorted(lines, key=lambda line: (line.out_dist, -_sortable(line.means["auroc"]))):
            cells = (
                (
                    Span(
                        how(column).text(line.means[column], line.deviations[column], 1),
                        "best" if how(column).rounded(line.means[column], 1) == best[column].get(line.out_dist) else "",
                    ),
                )
                for column in shown
            )
            accuracy = number(*line.accuracy, 1)
            star = "*" if line.seen else ""
            head = (str(name), line.method, accuracy, f"{line.out_dist}{star}")
            rows.append((*((Span(text),) for text in head), *cells))
            groups.append(number_of_suite)
            if line.n_members < len(members):
                notes.append(f"{line.method} has results on {line.n_members} of the {len(members)} members of {name}.")
        notes.append(f"{name}: {len(members)} members: {', '.join(members)}.")
    header = ("Suite", "Method", "ID acc.", "Out-dist", *(how(column).title for column in shown))
    return Table(
        caption="Means ± sample standard deviation over the members of a suite, in percent; seeds averaged first.",
        header=header,
        rows=tuple(rows),
        groups=tuple(groups),
        merged=1,
        notes=(*dict.fromkeys(notes), *contaminations(inside), *(method_notes(inside) if len(inside) else ())),
        numeric=4,
    )


class _Line:
    """One method on one OOD set of all members."""

    def __init__(self, method: str, out_dist: str, rows: pd.DataFrame, columns: list[str]) -> None:
        self.method, self.out_dist = method, out_dist
        self.seen = bool(rows["seen"].any())
        numeric = [*columns, "accuracy"]
        by_member = rows.groupby("in_dist", sort=False)[numeric].mean()
        by_member = by_member[by_member["auroc"].notna()]
        self.n_members = len(by_member)
        self.means = {column: float(by_member[column].mean()) for column in columns}
        self.deviations = {column: float(by_member[column].std(ddof=1)) for column in columns}
        self.accuracy = float(by_member["accuracy"].mean()), float(by_member["accuracy"].std(ddof=1))


def _lines(rows: pd.DataFrame, columns: list[str]) -> Iterator[_Line]:
    for (method, out_dist), own in rows.assign(label=labels(rows)).groupby(["label", "out_dist"], sort=False):
        yield _Line(str(method), str(out_dist), own, columns)


def _best(lines: list[_Line], column: str) -> dict[str, float]:
    """Return the best mean of each OOD set, at the precision that is printed, where there are several methods."""
    found: dict[str, list[float]] = {}
    for line in lines:
        if not math.isnan(line.means[column]):
            found.setdefault(line.out_dist, []).append(how(column).rounded(line.means[column], 1))
    higher_is_better = how(column).higher_is_better
    if higher_is_better is None:
        return {}
    choose = max if higher_is_better else min
    return {out_dist: choose(values) for out_dist, values in found.items() if len(set(values)) > 1}


def _sortable(value: float) -> float:
    return -1.0 if math.isnan(value) else value
