"""The layout of suites: means over the members, with their deviation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from oodbench.statistics import Best, Difference, find_best, signed_rank

from .columns import shown as how
from .experiments import experiments
from .layouts import contaminations, labels, method_notes, number, with_asked
from .model import AS_GOOD_SIGN, Entry, Span, Table
from .spread import NO_MEANS, has_intervals, shows_intervals

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("auroc", "aupr_in", "aupr_out", "fpr_at_95tpr")
ALPHA = 0.05
"""Level at which methods are told from the best."""
OPEN_SET = ("oscr", "macro_f")
"""Shown where known classes are told apart."""


@shows_intervals(asked=False)
def suite(frame: pd.DataFrame, metrics: Sequence[str] = ()) -> Table:
    """Return a line for each method and OOD set, the best first: mean ± standard deviation over the members of a suite.

    Seeds of a member are averaged first. Rows that belong to no suite are left out, and so are members that a method
    has no results on, with a note. What Wilcoxon's test over the members cannot tell from the best is marked, where so
    few members can show anything.
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
        ties = {
            (out, column): _ties(lines, out, column) for out in {line.out_dist for line in lines} for column in shown
        }
        for line in sorted(lines, key=lambda line: (line.out_dist, -_sortable(line.means["auroc"]))):
            cells = (_cell(line, column, best[column], ties[line.out_dist, column]) for column in shown)
            accuracy = number(*line.accuracy, 1)
            star = "*" if line.seen else ""
            head = (str(name), line.method, accuracy, f"{line.out_dist}{star}")
            rows.append((*((Span(text),) for text in head), *cells))
            groups.append(number_of_suite)
            if line.n_members < len(members):
                notes.append(f"{line.method} has results on {line.n_members} of the {len(members)} members of {name}.")
        notes.append(f"{name}: {len(members)} member{'' if len(members) == 1 else 's'}: {', '.join(members)}.")
        notes += _on_ties(str(name), lines, ties)
    header = ("Suite", "Method", "ID acc.", "Out-dist", *(how(column).title for column in shown))
    caption = "Means ± sample standard deviation over the members of a suite, in percent; seeds averaged first."
    return Table(
        caption=f"{caption} {NO_MEANS.format('members')}" if has_intervals(frame) else caption,
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
        self.by_member = by_member
        self.n_members = len(by_member)
        self.means = {column: float(by_member[column].mean()) for column in columns}
        self.deviations = {column: float(by_member[column].std(ddof=1)) for column in columns}
        self.accuracy = float(by_member["accuracy"].mean()), float(by_member["accuracy"].std(ddof=1))


def _lines(rows: pd.DataFrame, columns: list[str]) -> Iterator[_Line]:
    for (method, out_dist), own in rows.assign(label=labels(rows)).groupby(["label", "out_dist"], sort=False):
        yield _Line(str(method), str(out_dist), own, columns)


def _cell(line: _Line, column: str, best: dict[str, float], ties: Best | None) -> Entry:
    text = how(column).text(line.means[column], line.deviations[column], 1)
    if how(column).rounded(line.means[column], 1) == best.get(line.out_dist):
        return (Span(text, "best"),)
    tie = ties is not None and line.method in ties.as_good and line.method != ties.name
    return (Span(text), AS_GOOD_SIGN) if tie else (Span(text),)


def _ties(lines: list[_Line], out_dist: str, column: str) -> Best | None:
    """Return what cannot be told from the best over the members that both have; None where nothing could be."""
    own = {line.method: line for line in lines if line.out_dist == out_dist and not math.isnan(line.means[column])}
    higher_is_better = how(column).higher_is_better
    if len(own) < 2 or higher_is_better is None:
        return None
    least: list[float] = []

    def compared(first: str, second: str) -> Difference:
        there = (own[second].by_member[column] - own[first].by_member[column]).dropna()
        found = signed_rank(there) if len(there) else None
        least.append(found.least_p if found else 1.0)
        return Difference(
            first=own[first].means[column],
            second=own[second].means[column],
            low=math.nan,
            high=math.nan,
            p=found.p if found else math.nan,
            level=1 - ALPHA,
            test="Wilcoxon",
        )

    means = {name: line.means[column] for name, line in own.items()}
    best = find_best(means, compared, higher_is_better=higher_is_better, alpha=ALPHA)
    return best if min(least) * len(least) < ALPHA else None


def _on_ties(suite: str, lines: list[_Line], ties: dict[tuple[str, str], Best | None]) -> list[str]:
    """Say what is marked as being as good as the best, or why nothing is."""
    if any(len(best.as_good) > 1 for best in ties.values() if best):
        test = f"Wilcoxon's test over the members, with Holm's correction at {100 * ALPHA:g}%"
        return [f"≈ cannot be told from the best of its OOD set: {test}."]
    n_methods = max((sum(line.out_dist == out for line in lines) for out, _ in ties), default=0)
    if n_methods < 2 or any(ties.values()):
        return []
    fewest = math.floor(1 - math.log2(ALPHA / (n_methods - 1))) + 1
    untold = "which methods cannot be told from the best is not marked"
    needed = f"Wilcoxon's test of {n_methods} methods needs {fewest} members to find anything at {100 * ALPHA:g}%"
    return [f"{suite}: {untold}, as {needed}."]


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
