"""The table of all methods and sets, for each metric, and the numbers of its heat map."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from oodbench.metrics import METRICS, SAMPLE_METRICS
from oodbench.plugins import registry
from oodbench.store.rows import to_frame
from oodbench.tables import layout_table
from oodbench.tables.published import PUBLISHED

from .chapter import Chapter

MEAN = ""
"""By which what is said of the mean over sets is asked for, where the name of a set stands otherwise."""


@dataclass(frozen=True, kw_only=True)
class Box:
    """One number of the table.

    Attributes:
        value: mean over seeds, to sort by and to draw; NaN where there is none.
        text: as it is printed.
        mark: "best", "worst" or "".
        as_good: whether a test cannot tell the method from the best one.
        seen: whether images of this distribution were used in training.
        published: what a paper has, and the difference, or "".
    """

    value: float
    text: str
    mark: str = ""
    as_good: bool = False
    seen: bool = False
    published: str = ""


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """All methods and sets by one metric.

    Attributes:
        metric: name of its column.
        label: its heading.
        higher_is_better: its direction.
        percent: whether it is printed in percent.
        lines: for each method the ID accuracy, one box a set, and the mean over the sets that all methods have.
    """

    metric: str
    label: str
    higher_is_better: bool
    percent: bool
    lines: Mapping[str, tuple[Box, ...]]

    @property
    def values(self) -> list[list[float | None]]:
        """For the heat map: a line for each method, a number for each set, None where there is none."""
        return [[_drawn(box.value) for box in boxes[1:-1]] for boxes in self.lines.values()]


def matrices(chapter: Chapter, as_good: Mapping[str, Sequence[str]]) -> list[Matrix]:
    """Return a table for each metric that any result has, in the order in which metrics are listed; AUROC first.

    Args:
        chapter: the results.
        as_good: by OOD set, and for the mean by `MEAN`, the methods that cannot be told from the best by their AUROC.
    """
    known: dict[str, Any] = {**METRICS, **SAMPLE_METRICS, **registry.usable("metrics")}
    there = [name for name in known if name in chapter.rows and chapter.rows[name].notna().any()]
    # Metrics of a plugin that is gone have numbers and no heading.
    names = [*(name for name in ("auroc",) if name in there), *(name for name in there if name != "auroc")]
    published = _published(chapter)
    return [_matrix(chapter, name, known[name], as_good if name == "auroc" else {}, published) for name in names]


def notes(chapter: Chapter) -> tuple[str, ...]:
    """Return the sentences below the table: as the benchmark's own layout has them."""
    layout = chapter.records[0].benchmark.get("layout", "matrix")
    known = layout if layout in registry.names("layouts") and layout != "flat" else "matrix"
    return layout_table(to_frame(chapter.records), known).notes


def shared_sets(chapter: Chapter, metric: str) -> tuple[str, ...]:
    """Return the OOD sets on which all methods have a metric; means are over these."""
    means = chapter.rows.groupby(["label", "out_dist"], sort=False)[metric].mean().to_dict()
    return tuple(
        name
        for name in chapter.sets
        if not any(math.isnan(means.get((method, name), math.nan)) for method in chapter.methods)
    )


def _published(chapter: Chapter) -> dict[tuple[str, str], Mapping[str, float]]:
    """Return what a paper has of methods and sets, in percent by metric."""
    table = PUBLISHED.get(chapter.records[0].benchmark.get("layout", ""))
    if table is None:
        return {}
    places = chapter.rows.drop_duplicates(["label", "out_dist"])[["label", "out_dist", "paper"]]
    found = {(str(m), str(s)): table.numbers(*paper) for m, s, paper in places.itertuples(index=False) if paper}
    return {place: numbers for place, numbers in found.items() if numbers is not None}


def _matrix(
    chapter: Chapter,
    name: str,
    metric: Any,
    as_good: Mapping[str, Sequence[str]],
    published: Mapping[tuple[str, str], Mapping[str, float]],
) -> Matrix:
    percent = bool(getattr(metric, "is_fraction", True))
    grouped = chapter.rows.groupby(["label", "out_dist"], sort=False)
    means, spreads = grouped[name].mean().to_dict(), grouped[name].std(ddof=1).to_dict()
    seen = grouped["seen"].any().to_dict()
    accuracies = chapter.rows.drop_duplicates("record").groupby("label")["accuracy"]
    accuracy, deviation = accuracies.mean().to_dict(), accuracies.std(ddof=1).to_dict()
    marks = {out_dist: _marks(chapter, means, out_dist, metric, percent=percent) for out_dist in chapter.sets}
    shared = shared_sets(chapter, name)
    lines = {}
    for method in chapter.methods:
        boxes = [_number(accuracy[method], deviation[method], percent=True)]
        for out_dist in chapter.sets:
            key = (method, out_dist)
            value = means.get(key, math.nan)
            mark = marks[out_dist].get(method, "")
            boxes.append(
                Box(
                    value=value,
                    text=_number(value, spreads.get(key, math.nan), percent=percent).text,
                    mark=mark,
                    as_good=mark != "best" and method in as_good.get(out_dist, ()),
                    seen=bool(seen.get(key, False)),
                    published=_beside(published.get(key, {}).get(name, math.nan), value),
                )
            )
        mean = sum(means[method, s] for s in shared) / len(shared) if shared else math.nan
        lines[method] = (
            *boxes,
            replace(_number(mean, math.nan, percent=percent), as_good=method in as_good.get(MEAN, ())),
        )
    return Matrix(
        metric=name, label=metric.label, higher_is_better=metric.higher_is_better, percent=percent, lines=lines
    )


def _marks(
    chapter: Chapter, means: Mapping[Any, float], out_dist: str, metric: Any, *, percent: bool
) -> dict[str, str]:
    """Say which methods are the best and the worst on a set, at the precision that is printed."""
    digits = 4 if percent else 3
    there = {m: round(means[m, out_dist], digits) for m in chapter.methods if (m, out_dist) in means}
    there = {method: value for method, value in there.items() if not math.isnan(value)}
    if len(set(there.values())) < 2:
        return {}
    best, worst = (max, min) if metric.higher_is_better else (min, max)
    ends = {worst(there.values()): "worst", best(there.values()): "best"}
    return {method: ends[value] for method, value in there.items() if value in ends}


def _number(mean: float, spread: float, *, percent: bool) -> Box:
    if math.isnan(mean):
        return Box(value=mean, text="–")
    scale, digits = (100, 2) if percent else (1, 3)
    more = "" if math.isnan(spread) else f" ± {scale * spread:.{digits}f}"
    return Box(value=mean, text=f"{scale * mean:.{digits}f}{more}")


def _beside(paper: float, ours: float) -> str:
    if math.isnan(paper) or math.isnan(ours):
        return ""
    return f"published {paper:.2f}, ours {100 * ours - paper:+.2f}"


def _drawn(value: float) -> float | None:
    return None if math.isnan(value) else float(f"{value:.5g}")
