"""The tables of Masana et al. (BMVC 2018) and of Chen & Zhao, filled with our results and the published ones."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oodbench.benchmark import COVARIATE
from oodbench.tuning import CHOSEN

from .columns import AS_GOOD, AS_GOOD_OVER, HIGH, LOW, NO_RESULT, metric_columns, shown
from .experiments import experiments, given_models
from .legacy import PREFIX
from .means import ALL
from .model import AS_GOOD_SIGN, Entry, Mark, Span, Table
from .published import PUBLISHED, Published
from .spread import NO_MEANS, has_intervals, intervals_caption, shows_intervals

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Result:
    """One method on one OOD set, over its seeds.

    Attributes:
        means: by metric; NaN where the set was missing. With the metrics of the CC-AG code, under their prefixed
            names, where the rows have them.
        deviations: sample standard deviations; NaN for a single seed.
        accuracy: mean and sample standard deviation of the ID accuracy.
        seen: whether images of this distribution were used in training.
        role: "seen", "novelty", "anomaly" or "covariate".
        paper: the in-distribution, method and OOD set to look published numbers up by; None where these are others.
        intervals: ends over test images by metric, means over the seeds; None where they were not asked for.
        as_good: whether the method cannot be told from the best on the set by its AUROC.
        as_good_over: names of the means over sets, see `means.py`, in which it cannot be told from the best.
    """

    means: Mapping[str, float]
    deviations: Mapping[str, float]
    accuracy: tuple[float, float]
    seen: bool
    role: str
    paper: tuple[str, str, str] | None
    intervals: Mapping[str, tuple[float, float]] | None = None
    as_good: bool = False
    as_good_over: frozenset[str] = frozenset()


Results = Mapping[tuple[str, str, str], Result]
"""By in-distribution, method label and out-distribution."""


_TABLE1 = ("tnr_at_95tpr", "detection_accuracy", "auroc", "aupr_in_equal_prior", "aupr_out_equal_prior")
_TABLE2 = ("fpr_at_95tpr", "detection_error", "auroc", "aupr_in", "aupr_out")
_CHEN_ZHAO = ("auroc", "aupr_in", "aupr_out")
"""The columns of both tables of Chen & Zhao."""


@shows_intervals(*_TABLE2)
def table2(frame: pd.DataFrame, metrics: Sequence[str] = ()) -> Table:
    """Return a block for each benchmark and method, a line for each OOD set: FPR, detection error, AUROC, AUPR.

    Metrics that are asked for follow, as in all layouts here.
    """
    columns = with_asked(_TABLE2, metrics)
    frame = experiments(frame)
    results, published = results_of(frame), PUBLISHED["table2"]
    rows: list[tuple[Entry, ...]] = []
    groups: list[int] = []
    blocks: dict[tuple[str, str], int] = {}
    for (in_dist, method, out_dist), result in results.items():
        groups.append(blocks.setdefault((in_dist, method), len(blocks)))
        head = (_entry(in_dist), _entry(method), _entry(number(*result.accuracy, 2)))
        cells = tuple(
            signed(
                Span(cell_text(result, column, 2), mark_of(results, in_dist, method, out_dist, column, 2)),
                result,
                column,
            )
            for column in columns
        )
        rows.append((*head, _entry(_set_name(out_dist, result)), *cells))
        for label, values in _beside(published, result, columns, 2):
            groups.append(groups[-1])
            rows.append((*head, (Span(label, "aside"),), *((Span(value, "aside"),) for value in values)))
    several = len(set(frame["in_dist"])) > 1
    header = ("In-dist", "Method", "ID acc.", "Out-dist", *map(_title, columns))
    drop = 0 if several else 1
    return Table(
        caption=caption(frame, columns),
        header=header[drop:],
        rows=tuple(row[drop:] for row in rows),
        groups=tuple(groups),
        merged=3 - drop,
        notes=(*_unseen_here(results), *_notes(frame, results, published)),
        numeric=4 - drop,
        essential=(4 - drop, 6 - drop),
    )


@shows_intervals(*_TABLE1)
def table1(frame: pd.DataFrame, metrics: Sequence[str] = ()) -> Table:
    """Return a line for each OOD set, with all methods in each cell: TNR, detection accuracy, AUROC, balanced AUPR."""
    return _slashed_table(frame, with_asked(_TABLE1, metrics), PUBLISHED["table1"], digits=1)


@shows_intervals(*_CHEN_ZHAO)
def skip1(frame: pd.DataFrame, metrics: Sequence[str] = ()) -> Table:
    """Return Table I of Chen & Zhao: a line for each OOD set, with all methods in each cell: AUROC and AUPR."""
    return _slashed_table(frame, with_asked(_CHEN_ZHAO, metrics), PUBLISHED["skip1"], digits=2)


@shows_intervals(*_CHEN_ZHAO)
def skip2(frame: pd.DataFrame, metrics: Sequence[str] = ()) -> Table:
    """Return Table II of Chen & Zhao: a line for each pair of left-out digits, with all methods in each cell."""
    return _slashed_table(frame, with_asked(_CHEN_ZHAO, metrics), PUBLISHED["skip2"], digits=2)


def _slashed_table(frame: pd.DataFrame, columns: Sequence[str], published: Published, *, digits: int) -> Table:
    """Return a line for each OOD set, with all methods in each cell, and the published numbers below it.

    Args:
        frame: result rows.
        columns: metrics to show.
        published: the numbers to compare with.
        digits: behind the decimal point.
    """
    frame = experiments(frame)
    results = results_of(frame)
    methods = list(dict.fromkeys(method for _, method, _ in results))
    rows: list[tuple[Entry, ...]] = []
    groups: list[int] = []
    in_dists = list(dict.fromkeys(in_dist for in_dist, _, _ in results))
    for in_dist, out_dist in dict.fromkeys((in_dist, out_dist) for in_dist, _, out_dist in results):
        there = {m: results[in_dist, m, out_dist] for m in methods if (in_dist, m, out_dist) in results}
        accuracies = {m: result.accuracy for (d, m, _), result in results.items() if d == in_dist}
        head = (_entry(in_dist), _joined(number(*accuracies[m], 1) if m in accuracies else NO_RESULT for m in methods))
        cells = tuple(
            _slashed(
                signed(
                    Span(cell_text(there[m], column, digits), mark_of(results, in_dist, m, out_dist, column, digits)),
                    there[m],
                    column,
                )
                if m in there
                else _entry(NO_RESULT)
                for m in methods
            )
            for column in columns
        )
        star = "*" if any(result.seen for result in there.values()) else ""
        groups.append(in_dists.index(in_dist))
        rows.append((*head, _entry(out_dist + star), *cells))
        beside = {m: dict(_beside(published, r, columns, digits)) for m, r in there.items()}
        for label in dict.fromkeys(label for lines in beside.values() for label in lines):
            values = [
                [beside.get(m, {}).get(label, [NO_RESULT] * len(columns))[i] for m in methods]
                for i in range(len(columns))
            ]
            groups.append(groups[-1])
            rows.append((*head, (Span(label, "aside"),), *((Span("/".join(value), "aside"),) for value in values)))
    return Table(
        caption=f"{caption(frame, columns)} Methods in each cell: {'/'.join(methods)}.",
        header=("In-dist", "ID accuracy", "Out-dist", *map(_title, columns)),
        rows=tuple(rows),
        groups=tuple(groups),
        merged=2,
        notes=_notes(frame, results, published),
        numeric=3,
        essential=(5,),
    )


@shows_intervals("auroc", asked=False)
def matrix(frame: pd.DataFrame, metrics: Sequence[str] = ()) -> Table:
    """Return a line for each method, the best first: AUROC on each OOD set, and means over all of them."""
    columns = with_asked(("auroc", "fpr_at_95tpr"), metrics)
    frame = experiments(frame)
    results = results_of(frame)
    in_dists = list(dict.fromkeys(in_dist for in_dist, _, _ in results))
    out_dists = list(dict.fromkeys(out_dist for _, _, out_dist in results))
    rows: list[tuple[Entry, ...]] = []
    groups: list[int] = []
    for in_dist in in_dists:
        methods = dict.fromkeys(method for there, method, _ in results if there == in_dist)
        means = {m: means_over_sets(results, in_dist, m) for m in methods}
        for method in sorted(methods, key=lambda m: (math.isnan(means[m]["auroc"]), -means[m]["auroc"])):
            there = [results.get((in_dist, method, out_dist)) for out_dist in out_dists]
            cells = (
                signed(
                    Span(
                        cell_text(result, "auroc", 1) + "*" * result.seen,
                        mark_of(results, in_dist, method, out, "auroc", 1),
                    ),
                    result,
                    "auroc",
                )
                if result
                else _entry(NO_RESULT)
                for out, result in zip(out_dists, there, strict=True)
            )
            accuracy = next(result.accuracy for result in there if result)
            head = (_entry(in_dist), _entry(method), _entry(number(*accuracy, 1)))
            tie = ties_in_mean(results, in_dist, method)
            summary = (
                mean_entry(shown(column).text(means[method][column], math.nan, 1), tie=tie and column == "auroc")
                for column in columns
            )
            rows.append((*head, *cells, *summary))
            groups.append(in_dists.index(in_dist))
    drop = 0 if len(in_dists) > 1 else 1
    header = ("In-dist", "Method", "ID acc.", *out_dists, *(f"mean {_title(column)}" for column in columns))
    return Table(
        caption=f"{caption(frame, ['auroc'])} AUROC on each OOD set, and means over the sets.{no_means(frame)}",
        header=header[drop:],
        rows=tuple(row[drop:] for row in rows),
        groups=tuple(groups),
        merged=1 - drop,
        notes=(*_notes(frame, results, None), *not_in_means(results)),
        numeric=3 - drop,
        essential=(len(header) - drop - 2, len(header) - drop - 1),
    )


def _in_means(results: Results, in_dist: str) -> tuple[list[str], list[str]]:
    """Return the OOD sets on which all methods with results have one, and those on which only some have.

    Covariate-shifted sets are no OOD sets.
    """
    found: dict[str, set[str]] = {}
    for (there, method, out_dist), result in results.items():
        if there == in_dist and result.role != COVARIATE and not math.isnan(result.means["auroc"]):
            found.setdefault(out_dist, set()).add(method)
    everybody = set().union(*found.values())
    shared = [out_dist for out_dist, methods in found.items() if methods == everybody]
    return shared, [out_dist for out_dist in found if out_dist not in shared]


def means_over_sets(results: Results, in_dist: str, method: str) -> dict[str, float]:
    """Return the mean of each metric over the OOD sets that all methods have, each with the same weight."""
    shared, _ = _in_means(results, in_dist)
    means = [results[in_dist, method, name].means for name in shared if (in_dist, method, name) in results]
    names = next(iter(results.values())).deviations
    return {name: sum(entry[name] for entry in means) / len(means) if means else math.nan for name in names}


def ties_in_mean(results: Results, in_dist: str, method: str) -> bool:
    """Return whether a method cannot be told from the best by its mean AUROC over the sets that all methods have."""
    return any(ALL in result.as_good_over for (d, m, _), result in results.items() if (d, m) == (in_dist, method))


def mean_entry(text: str, *, tie: bool) -> Entry:
    """Return the cell of a mean, with a sign where the method cannot be told from the best one."""
    return (Span(text), AS_GOOD_SIGN) if tie else (Span(text),)


def not_in_means(results: Results) -> Iterable[str]:
    """Say which OOD sets count in no mean."""
    for in_dist in dict.fromkeys(in_dist for in_dist, _, _ in results):
        _, left_out = _in_means(results, in_dist)
        if left_out:
            sets = ", ".join(left_out)
            yield f"Means with {in_dist} are over the OOD sets that all methods have results on, so without {sets}."


def flat(frame: pd.DataFrame) -> Table:
    """Return the rows as they are, one a cell and OOD set, metrics as fractions in full precision."""
    columns = tuple(map(str, frame.columns))
    rows = tuple(tuple(_entry(_plain(value)) for value in row) for row in frame.itertuples(index=False))
    return Table(caption="All results, as fractions.", header=columns, rows=rows, groups=(0,) * len(rows))


def results_of(frame: pd.DataFrame) -> Results:
    """Bring the seeds of each experiment together, in the order in which they come."""
    labelled = frame.assign(label=labels(frame))
    results: dict[tuple[str, str, str], Result] = {}
    legacy = [str(column) for column in frame.columns if str(column).startswith(PREFIX)]
    metrics = metric_columns(frame)
    for key, rows in labelled.groupby(["in_dist", "label", "out_dist"], sort=False):
        in_dist, method, out_dist = map(str, key)
        # All columns at once: pandas takes as long for one.
        means, deviations = rows[[*metrics, *legacy]].mean(), rows[metrics].std(ddof=1)
        results[in_dist, method, out_dist] = Result(
            means=dict(zip(means.index, means.tolist(), strict=True)),
            deviations=dict(zip(deviations.index, deviations.tolist(), strict=True)),
            accuracy=(float(rows["accuracy"].mean()), float(rows["accuracy"].std(ddof=1))),
            seen=bool(rows["seen"].any()),
            role=str(rows["role"].iloc[0]),
            paper=rows["paper"].iloc[0],
            intervals=_ends(rows, metrics) if has_intervals(rows) else None,
            as_good=AS_GOOD in rows and bool(rows[AS_GOOD].any()),
            as_good_over=frozenset(" ".join(rows[AS_GOOD_OVER]).split() if AS_GOOD_OVER in rows else ()),
        )
    blocks = list(dict.fromkeys((in_dist, method) for in_dist, method, _ in results))
    return {key: results[key] for block in blocks for key in results if key[:2] == block}


def _ends(rows: pd.DataFrame, metrics: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return the ends of intervals, means over the seeds; none where not all seeds that have a value have them."""
    whole = [
        name for name in metrics if LOW + name in rows and not rows.loc[rows[name].notna(), LOW + name].isna().any()
    ]
    low, high = (rows[[f"{end}{name}" for name in whole]].mean().tolist() for end in (LOW, HIGH))
    return dict(zip(whole, zip(low, high, strict=True), strict=True))


def labels(frame: pd.DataFrame) -> pd.Series[str]:
    """Name each row's method, with its recipe where a benchmark has several."""
    recipes = frame.groupby("in_dist")["recipe"].transform("nunique")
    return frame["variant"].where(recipes == 1, frame["variant"] + " [" + frame["recipe"] + "]")


def mark_of(results: Results, in_dist: str, method: str, out_dist: str, column: str, digits: int) -> Mark:
    """Say whether a method is the best or the worst on a set, at the precision that is printed."""
    metric = shown(column)
    rivals = {
        m: metric.rounded(r.means[column], digits) for (d, m, o), r in results.items() if (d, o) == (in_dist, out_dist)
    }
    values = [value for value in rivals.values() if not math.isnan(value)]
    if len(values) < 2 or min(values) == max(values) or metric.higher_is_better is None:
        return ""
    best, worst = (max(values), min(values)) if metric.higher_is_better else (min(values), max(values))
    return {best: "best", worst: "worst"}.get(rivals[method], "")  # type: ignore[return-value]


def _beside(published: Published, result: Result, columns: Sequence[str], digits: int) -> list[tuple[str, list[str]]]:
    """Return lines with our scores under the CC-AG code, the published numbers, and ours minus theirs."""
    legacy = [result.means.get(PREFIX + column, math.nan) for column in columns]
    has_legacy = any(PREFIX + column in result.means for column in columns)
    lines = [("  with the CC-AG code", [_percent(value, digits) for value in legacy])] if has_legacy else []
    numbers = published.numbers(*result.paper) if result.paper else None
    if numbers is None:
        return lines
    theirs = [f"{numbers[column]:.{digits}f}" if column in numbers else NO_RESULT for column in columns]
    gaps = [100 * result.means[column] - numbers.get(column, math.nan) for column in columns]
    ours = [NO_RESULT if math.isnan(gap) else f"{gap:+.{digits}f}" for gap in gaps]
    return [*lines, ("  published", theirs), ("  ours − published", ours)]


def _percent(fraction: float, digits: int) -> str:
    return NO_RESULT if math.isnan(fraction) else f"{100 * fraction:.{digits}f}"


def cell_text(result: Result, column: str, digits: int) -> str:
    """Return a value with its interval where these were asked for, and else its deviation over seeds."""
    if result.intervals is None:
        return shown(column).text(result.means[column], result.deviations[column], digits)
    ends = result.intervals.get(column, (math.nan, math.nan))
    return shown(column).with_interval(result.means[column], ends, digits)


def number(mean: float, deviation: float, digits: int) -> str:
    """Return a fraction as a percentage, with its deviation over seeds where there is one."""
    if math.isnan(mean):
        return NO_RESULT
    text = _percent(mean, digits)
    return text if math.isnan(deviation) else f"{text} ± {100 * deviation:.{digits}f}"


def _set_name(out_dist: str, result: Result) -> str:
    role = result.role if result.role != "seen" or result.seen else "unseen here"
    return f"{out_dist}{'*' if result.seen else ''} ({role})"


def _title(column: str) -> str:
    return shown(column).title


def with_asked(columns: Sequence[str], metrics: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of a layout with those that were asked for, each once."""
    return tuple(dict.fromkeys((*columns, *metrics)))


def _entry(text: str) -> Entry:
    return (Span(text),)


def _joined(texts: Iterable[str]) -> Entry:
    return _entry("/".join(texts))


def _slashed(entries: Iterable[Entry]) -> Entry:
    return tuple(part for entry in entries for part in (Span("/"), *entry))[1:]


def signed(span: Span, result: Result, column: str) -> Entry:
    """Return a cell with a sign where the method cannot be told from the best one."""
    return (span, AS_GOOD_SIGN) if column == "auroc" and result.as_good and span.mark != "best" else (span,)


def _plain(value: object) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def caption(frame: pd.DataFrame, columns: Sequence[str]) -> str:
    """Return what a table shows: the in-distributions, over how many seeds, and whether any training was short.

    Args:
        frame: rows as `experiments` gives them.
        columns: the metrics that it shows for each OOD set, with intervals where these were asked for.
    """
    in_dists = ", ".join(dict.fromkeys(frame["in_dist"]))
    found = frame[frame["auroc"].notna()]
    cells = (frame if found.empty else found).groupby(["in_dist", "variant", "recipe", "out_dist"])
    seeds = cells["seed"].nunique()
    low, high = int(seeds.min()), int(seeds.max())
    count = f"{high}" if low == high else f"{low} to {high}"
    if has_intervals(frame):
        over = (
            f"; values and ends are means over {count} seeds, ± of accuracies the sample standard deviation over them"
        )
        runs = intervals_caption(frame, columns) + (", one seed" if high == 1 else over)
    elif high == 1:
        runs = "one seed"
    else:
        runs = f"mean ± sample standard deviation over {count} seeds"
    reduced = " Reduced training, see the notes." if (frame["cut_short"] != "").any() else ""
    return f"OOD detection with {in_dists} as in-distribution, in percent; {runs}.{reduced}"


def no_means(frame: pd.DataFrame) -> str:
    """Return what a caption says of means over sets where single sets have intervals."""
    return f" {NO_MEANS.format('sets')}" if has_intervals(frame) else ""


_TIES = (
    "≈ cannot be told from the best by its AUROC, on an OOD set or in a mean over sets: paired test on the same images "
    "(DeLong), over seeds where there are several, at 5% after the correction of Holm. Other metrics are not tested."
)


def method_notes(frame: pd.DataFrame) -> list[str]:
    """Say of each method with which hyper-parameters it ran, what was chosen, and what it may see."""
    facts = {str(variant): _facts(rows) for variant, rows in frame.groupby("variant", sort=False)}
    return [f"{variant}: {text}." for variant, text in facts.items() if text]


def run_notes(frame: pd.DataFrame) -> list[str]:
    """Say what is to be known of the results of a table: seen images, short trainings, missing sets, counts, names.

    Args:
        frame: rows as `experiments` gives them.
    """
    ties = AS_GOOD in frame and (frame[AS_GOOD].any() or (frame[AS_GOOD_OVER] != "").any())
    notes = [_TIES] if ties else []
    if frame["seen"].any():
        notes.append("* seen: images of this distribution (not the test images) were used in training.")
    notes += _reductions(frame)
    if frame["auroc"].isna().any():
        gaps = ", ".join(dict.fromkeys(frame.loc[frame["auroc"].isna(), "out_dist"]))
        notes.append(f"{NO_RESULT} no data: {gaps}.")
    notes += _counts(frame)
    notes += contaminations(frame)
    return [*notes, *_identities(frame)]


def _notes(frame: pd.DataFrame, results: Results, published: Published | None) -> tuple[str, ...]:
    notes = [*run_notes(frame), *method_notes(frame)]
    return (*notes, *(compared(results, published) if published else ()))


def _identities(frame: pd.DataFrame) -> list[str]:
    """Say where results of one name are not seeds of one another, and where a seed was there more than once."""
    notes = []
    if frame["named_apart"].any():
        notes.append("[…]: what differs between results of one name; they are not averaged.")
        notes += given_models(frame)
    of_given = frame[frame["model"] != ""]
    if (of_given.groupby(["in_dist", "variant", "recipe", "out_dist"]).size() > 1).any():
        notes.append("A given model is the same for all seeds: ± says nothing of how training varies.")
    if frame["repeated"].any():
        again = ", ".join(dict.fromkeys(frame.loc[frame["repeated"], "variant"]))
        notes.append(f"Several results with one seed, of which the first one counts: {again}.")
    return notes


def compared(results: Results, published: Published) -> Iterable[str]:
    """Say where published numbers come from, and with which ID accuracies."""
    papers = [result.paper for result in results.values() if result.paper]
    found = dict.fromkeys((in_dist, variant) for in_dist, variant, _ in filter(published.has, papers))
    if found:
        yield published.note
    for there in dict.fromkeys(in_dist for in_dist, _ in found):
        theirs = published.accuracies(there)
        texts = [
            f"{variant} {theirs[variant]:g}" for in_dist, variant in found if in_dist == there and variant in theirs
        ]
        if texts:
            yield f"published ID accuracy with {there}: {', '.join(texts)}."


def _unseen_here(results: Results) -> list[str]:
    """Explain what table2 says of a set that other methods were trained on."""
    seen = [result.seen for result in results.values() if result.role == "seen"]
    return (
        ["unseen here: not used in training by this method, but by others of the table."] if len(set(seen)) > 1 else []
    )


def _reductions(frame: pd.DataFrame) -> list[str]:
    """Say which methods were trained for less than the full time, and by how much."""
    reduced = frame[frame["cut_short"] != ""].groupby(["in_dist", "recipe", "cut_short"], sort=False)
    return [
        f"Reduced training on {in_dist}, recipe {recipe} ({cut}): {', '.join(dict.fromkeys(rows['variant']))}."
        for (in_dist, recipe, cut), rows in reduced
    ]


_FITTED = "methods fitted"
"""What is said of a given model, which was trained elsewhere."""


def _counts(frame: pd.DataFrame) -> list[str]:
    """Say how many images each benchmark was trained and tested on: data sets come whole and in parts."""
    return [
        f"{in_dist}: {_FITTED if (rows['training'] == '{}').all() else 'trained'} on {int(rows['n_train'].max()):,} ID "
        f"images, tested on {int(rows['n_id'].max()):,}."
        for in_dist, rows in frame.groupby("in_dist", sort=False)
        if rows["n_train"].max() > 0
    ]


def contaminations(frame: pd.DataFrame) -> list[str]:
    """Say which benchmarks have other images among their training images, and how many."""
    found = dict.fromkeys(zip(frame["in_dist"], frame["contamination"], strict=True))
    notes = []
    for in_dist, facts in ((in_dist, json.loads(text)) for in_dist, text in found if text):
        under = "without labels" if facts["labels"] == "none" else "under random labels; held-out ones are among them"
        notes.append(
            f"{in_dist}: {facts['images']:,} of {facts['of']:,} ID training images ({100 * facts['share']:g}%) are of "
            f"{facts['set']} ({facts['split']}), {under}."
        )
    return notes


def _facts(rows: pd.DataFrame) -> str:
    """Say with which hyper-parameters a method ran, what fitting chose, and what data it may see."""
    given: dict[str, dict[str, list[str]]] = {}
    chosen: dict[str, list[str]] = {}
    runs = rows.drop_duplicates("key")
    for in_dist, settings, fitted in zip(
        runs["in_dist"], map(json.loads, runs["settings"]), map(json.loads, runs["fitted"]), strict=True
    ):
        for name, value in settings.items():
            if name in fitted and (value == "auto" or name in str(fitted.get(CHOSEN, "")).split(", ")):
                edge = " (at the edge of what was tried)" if fitted.get(f"{name}_at_edge") else ""
                chosen.setdefault(name, []).append(_brief(fitted[name]) + edge)
            elif value is not None:
                given.setdefault(name, {}).setdefault(in_dist, []).append(_brief(value))
    texts = [f"{name}={_by_in_dist(values)}" for name, values in given.items()]
    texts += [f"{name} chosen: {', '.join(dict.fromkeys(values))}" for name, values in chosen.items()]
    sees = [_SEES[word] for word in rows["sees"].iloc[0].split()]
    return "; ".join(filter(None, (", ".join(texts), f"may see {' and '.join(sees)}" if sees else "")))


def _by_in_dist(values: Mapping[str, Sequence[str]]) -> str:
    """Return the value that all have, or that of each in-distribution set, such as "0.1 (cifar10) or 1 (svhn)"."""
    each = {in_dist: "/".join(dict.fromkeys(found)) for in_dist, found in values.items()}
    if len(set(each.values())) == 1:
        return next(iter(each.values()))
    return " or ".join(f"{value} ({in_dist})" for in_dist, value in each.items())


def _brief(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


_SEES = {
    "id_validation": "held-out ID training images",
    "ood_validation": "validation OOD images",
    "seen_ood": "seen OOD training images",
    "ood_test": "THE OOD TEST SETS",
}
