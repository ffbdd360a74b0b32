"""The layout of OpenOOD: means over near and far OOD sets, with and without covariate-shifted ID images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oodbench.benchmark import COVARIATE
from oodbench.columns import FULL_SPECTRUM, SHIFTED_ACCURACY

from .columns import AS_GOOD_OVER, NO_RESULT, shown
from .experiments import experiments
from .layouts import caption, labels, method_notes, number, run_notes, with_asked
from .means import GROUPS, shared_sets
from .model import AS_GOOD_SIGN, Entry, Mark, Span, Table
from .spread import NO_MEANS, has_intervals, shows_intervals, without_intervals

if TYPE_CHECKING:
    import pandas as pd

THEIRS, OURS = "fpr_at_95tpr_ood_positive", "fpr_at_95tpr"
_SHORT = {"auroc": "AUROC ↑", THEIRS: "FPR95 OOD+ ↓", OURS: "FPR95 ID+ ↓"}

_THEIRS = (
    "FPR95 OOD+: share of ID images that are rejected where 95% of OOD images are (fpr_at_95tpr_ood_positive; FPR@95 "
    "of OpenOOD v1.5)."
)
_OURS = (
    "FPR95 ID+: share of OOD images that are accepted where 95% of ID images are (fpr_at_95tpr, as in all other "
    "layouts here; FPR@95 of OpenOOD v1.0)."
)
_SHIFTED = (
    "+ shifted: full spectrum; images of the covariate-shifted sets count as in-distribution beside the ID test "
    "images, and the accuracy is that on the shifted images."
)


_UNTESTED = "What cannot be told from the best with shifted images is not marked: it is not tested."
_NO_INTERVALS = f"{NO_MEANS.format('sets')} Intervals of single sets: --layout table2."


@dataclass(frozen=True, kw_only=True)
class _Line:
    """One method: its accuracy and its means over sets, each with a deviation over seeds.

    It ties in those groups in which it cannot be told from the best one by the mean AUROC.
    """

    method: str
    accuracy: tuple[float, float]
    means: Mapping[tuple[str, str], tuple[float, float]]
    ties: frozenset[str]


@shows_intervals(asked=False)
def openood(frame: pd.DataFrame, metrics: Sequence[str] = ()) -> Table:
    """Return a line for each method, the best first: AUROC and FPR95 of near, far and all sets, and ID accuracy.

    FPR95 is there in both senses. A second block counts covariate-shifted images as in-distribution, where there are
    any, with the accuracy on them. Means are over the sets that all methods have results on, each with the same
    weight; seeds are averaged last. Sets of seen images are in no mean.
    """
    frame = experiments(frame)
    frame = frame.assign(label=labels(frame))
    columns = with_asked(("auroc", THEIRS, OURS), metrics)
    rows: list[tuple[Entry, ...]] = []
    groups: list[int] = []
    notes: list[str] = []
    for in_dist, own in frame.groupby("in_dist", sort=False):
        shared, left_out = shared_sets(own[own["role"].isin(GROUPS["mean"])])
        blocks = {str(in_dist): _lines(own, shared, columns, "", _accuracies(own))}
        full = f"{FULL_SPECTRUM}auroc"
        if full in own and own[full].notna().any():
            blocks[f"{in_dist} + shifted"] = _lines(own, shared, columns, FULL_SPECTRUM, _shifted(own))
            names = dict.fromkeys(own.loc[(own["role"] == COVARIATE) & own["auroc"].notna(), "out_dist"])
            notes += [
                _SHIFTED,
                *([_UNTESTED] if AS_GOOD_OVER in own else []),
                f"shifted sets of {in_dist}: {', '.join(names)}.",
            ]
        for title, lines in blocks.items():
            number_of_block = len(set(groups))
            for line in sorted(lines, key=lambda line: _rank(line.means["mean", "auroc"][0])):
                cells = (
                    _signed(
                        Span(shown(column).text(*line.means[group, column], 2), _mark(lines, line, group, column)),
                        tie=column == "auroc" and group in line.ties,
                    )
                    for column in columns
                    for group in GROUPS
                )
                head = (title, line.method, number(*line.accuracy, 2))
                rows.append((*((Span(text),) for text in head), *cells))
                groups.append(number_of_block)
        notes += _sets(str(in_dist), own, shared, left_out)
    titles = (f"{group} {_SHORT.get(column, shown(column).title)}" for column in columns for group in GROUPS)
    return Table(
        caption=f"{caption(without_intervals(frame), columns)} Means over near, far and all OOD sets.",
        header=("In-dist", "Method", "Acc.", *titles),
        rows=tuple(rows),
        groups=tuple(groups),
        merged=1,
        notes=(
            _THEIRS,
            _OURS,
            *dict.fromkeys(notes),
            *([_NO_INTERVALS] if has_intervals(frame) else []),
            *run_notes(frame),
            *method_notes(frame),
        ),
        numeric=2,
    )


def _lines(
    rows: pd.DataFrame,
    shared: Sequence[str],
    columns: Sequence[str],
    prefix: str,
    accuracies: Mapping[str, tuple[float, float]],
) -> list[_Line]:
    lines = []
    for label, own in rows.groupby("label", sort=False):
        values = {
            (group, column): _mean(own[own["role"].isin(roles) & own["out_dist"].isin(shared)], f"{prefix}{column}")
            for column in columns
            for group, roles in GROUPS.items()
        }
        accuracy = accuracies.get(str(label), (math.nan, math.nan))
        # The tests are of the plain ID test images.
        words = " ".join(own[AS_GOOD_OVER]) if AS_GOOD_OVER in own and not prefix else ""
        lines.append(_Line(method=str(label), accuracy=accuracy, means=values, ties=frozenset(words.split())))
    return lines


def _mean(rows: pd.DataFrame, column: str) -> tuple[float, float]:
    """Return the mean over sets and then over seeds, with the deviation over seeds; NaN where a set has no value."""
    if rows.empty or column not in rows or rows[column].isna().any():
        return math.nan, math.nan
    seeds = rows.groupby("seed")[column].mean()
    return float(seeds.mean()), float(seeds.std(ddof=1))


def _accuracies(rows: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Return the ID accuracy of each method."""
    found = {}
    for label, own in rows.drop_duplicates(["label", "seed"]).groupby("label", sort=False):
        found[str(label)] = float(own["accuracy"].mean()), float(own["accuracy"].std(ddof=1))
    return found


def _shifted(rows: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Return the accuracy of each method on all covariate-shifted images together."""
    if SHIFTED_ACCURACY not in rows:
        return {}
    there = rows[(rows["role"] == COVARIATE) & rows[SHIFTED_ACCURACY].notna()]
    found = {}
    for label, own in there.assign(right=there[SHIFTED_ACCURACY] * there["n_ood"]).groupby("label", sort=False):
        sums = own.groupby("seed")[["right", "n_ood"]].sum()
        seeds = sums["right"] / sums["n_ood"]
        found[str(label)] = float(seeds.mean()), float(seeds.std(ddof=1))
    return found


def _signed(span: Span, *, tie: bool) -> Entry:
    return (span, AS_GOOD_SIGN) if tie and span.mark != "best" else (span,)


def _mark(lines: Sequence[_Line], line: _Line, group: str, column: str) -> Mark:
    metric = shown(column)
    values = [metric.rounded(other.means[group, column][0], 2) for other in lines]
    values = [value for value in values if not math.isnan(value)]
    if len(set(values)) < 2 or metric.higher_is_better is None:
        return ""
    best, worst = (max(values), min(values)) if metric.higher_is_better else (min(values), max(values))
    marks: dict[float, Mark] = {worst: "worst", best: "best"}
    return marks.get(metric.rounded(line.means[group, column][0], 2), "")


def _rank(auroc: float) -> tuple[bool, float]:
    return math.isnan(auroc), -auroc


def _sets(in_dist: str, rows: pd.DataFrame, shared: Sequence[str], left_out: Sequence[str]) -> list[str]:
    """Say which sets each mean is over, and which are in none."""
    roles = dict(zip(rows["out_dist"], rows["role"], strict=True))
    named = {
        group: ", ".join(name for name in shared if roles[name] in GROUPS[group]) or NO_RESULT
        for group in ("near", "far")
    }
    notes = [f"{in_dist}: near {named['near']}; far {named['far']}."]
    if left_out:
        notes.append(f"In no mean with {in_dist}, as not all methods have results on them: {', '.join(left_out)}.")
    return notes
