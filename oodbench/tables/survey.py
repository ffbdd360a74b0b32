"""The OOD tables of a survey (Salehi et al., TMLR 2022), filled with our results and the published ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .columns import NO_RESULT, shown
from .experiments import experiments
from .layouts import (
    Result,
    Results,
    caption,
    cell_text,
    compared,
    mark_of,
    mean_entry,
    means_over_sets,
    method_notes,
    no_means,
    not_in_means,
    number,
    results_of,
    run_notes,
    signed,
    ties_in_mean,
    with_asked,
)
from .model import Entry, Span, Table
from .published import PUBLISHED, Published
from .spread import shows_intervals

if TYPE_CHECKING:
    import pandas as pd

CRITERIA = {"fpr_at_95tpr_ood_positive": "FPR95 ↓", "auroc": "AUROC ↑", "aupr_out_one_in_six": "AUPR ↑"}
"""The survey's criteria, by our names: the numbers that it prints tell which they are, see `published.py`."""

_HOW = (
    "FPR95: share of ID images that are rejected where 95% of OOD images are (fpr_at_95tpr_ood_positive). AUPR: OOD is "
    "the positive class, and counts as one image in six (aupr_out_one_in_six)."
)


@shows_intervals(*CRITERIA)
def survey3(frame: pd.DataFrame, metrics: Sequence[str] = ()) -> Table:
    """Return methods by OOD sets with FPR95, AUROC and AUPR, beside the survey's Table 3 (CIFAR-10)."""
    return _table(frame, metrics, PUBLISHED["survey3"])


@shows_intervals(*CRITERIA)
def survey4(frame: pd.DataFrame, metrics: Sequence[str] = ()) -> Table:
    """Return methods by OOD sets with FPR95, AUROC and AUPR, beside the survey's Table 4 (CIFAR-100)."""
    return _table(frame, metrics, PUBLISHED["survey4"])


@shows_intervals(*CRITERIA)
def survey6(frame: pd.DataFrame, metrics: Sequence[str] = ()) -> Table:
    """Return methods by OOD sets with FPR95, AUROC and AUPR, beside the survey's Table 6 (Tiny ImageNet)."""
    return _table(frame, metrics, PUBLISHED["survey6"])


def _table(frame: pd.DataFrame, metrics: Sequence[str], published: Published) -> Table:
    """Return a block for each method: a line for each criterion, with the published number below ours.

    The last column is the mean over the sets that all methods have results on.
    """
    frame = experiments(frame)
    results = results_of(frame)
    columns = with_asked([*CRITERIA], metrics)
    out_dists = list(dict.fromkeys(out_dist for _, _, out_dist in results))
    seen = {out_dist for (_, _, out_dist), result in results.items() if result.seen}
    rows: list[tuple[Entry, ...]] = []
    groups: list[int] = []
    in_dists = list(dict.fromkeys(in_dist for in_dist, _, _ in results))
    blocks = list(dict.fromkeys((in_dist, method) for in_dist, method, _ in results))
    for block, (in_dist, method) in enumerate(blocks):
        there = [results.get((in_dist, method, out_dist)) for out_dist in out_dists]
        accuracy = next(number(*result.accuracy, 2) for result in there if result)
        means, tie = means_over_sets(results, in_dist, method), ties_in_mean(results, in_dist, method)
        for column in columns:
            head = [in_dist, method, accuracy, CRITERIA.get(column, shown(column).title)]
            own = (
                _own(results, (in_dist, method, out_dist), column) if result else (Span(NO_RESULT),)
                for out_dist, result in zip(out_dists, there, strict=True)
            )
            mean = mean_entry(shown(column).text(means[column], math.nan, 2), tie=tie and column == "auroc")
            rows.append((*((Span(text),) for text in head), *own, mean))
            groups.append(block)
            for label, values in _beside(published, there, column):
                aside = [*head[:3], label, *values, ""]
                rows.append(tuple((Span(text, "aside" if i > 2 else ""),) for i, text in enumerate(aside)))
                groups.append(block)
    drop = 0 if len(in_dists) > 1 else 1
    header = (
        "In-dist",
        "Method",
        "ID acc.",
        "Criterion",
        *(f"{out}{'*' * (out in seen)}" for out in out_dists),
        "mean",
    )
    return Table(
        caption=f"{caption(frame, columns)}{no_means(frame)}",
        header=header[drop:],
        rows=tuple(row[drop:] for row in rows),
        groups=tuple(groups),
        merged=3 - drop,
        notes=(_HOW, *run_notes(frame), *method_notes(frame), *compared(results, published), *not_in_means(results)),
        numeric=4 - drop,
    )


def _own(results: Results, place: tuple[str, str, str], column: str) -> Entry:
    result = results[place]
    return signed(Span(cell_text(result, column, 2), mark_of(results, *place, column, 2)), result, column)


def _beside(published: Published, there: Sequence[Result | None], column: str) -> Iterator[tuple[str, list[str]]]:
    """Yield a line with the published numbers and one with ours minus theirs, where there are any."""
    papers = [None if result is None else result.paper for result in there]
    numbers = [None if paper is None else published.numbers(*paper) for paper in papers]
    theirs = [math.nan if found is None else found.get(column, math.nan) for found in numbers]
    if all(map(math.isnan, theirs)):
        return
    ours = [math.nan if result is None else 100 * result.means[column] for result in there]
    yield "  published", [NO_RESULT if math.isnan(value) else f"{value:.2f}" for value in theirs]
    gaps = [own - value for own, value in zip(ours, theirs, strict=True)]
    yield "  ours − published", [NO_RESULT if math.isnan(gap) else f"{gap:+.2f}" for gap in gaps]
