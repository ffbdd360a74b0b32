"""How sure the numbers of a table are: which methods cannot be told from the best, and intervals of single runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from oodbench.errors import MetricError
from oodbench.metrics import METRICS, Interval, delong_interval, percentile_interval, resampled_metrics
from oodbench.store.records import Scores
from oodbench.store.rows import to_frame
from oodbench.tables.columns import AS_GOOD, AS_GOOD_OVER, HIGH, LOW
from oodbench.tables.experiments import experiments
from oodbench.tables.layouts import labels
from oodbench.tables.means import means_of

from .mean_auroc import best_aurocs

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from oodbench.store.records import Record, ResultStore


class ScoreSource(Protocol):
    """What finds the raw scores of records, such as a `ResultStore`."""

    def scores(self, record: Record, /) -> Scores:
        """Return the raw scores of a record.

        Raises:
            StoreError: they are missing or damaged.
        """
        ...


def add_as_good(frame: pd.DataFrame, store: ScoreSource, records: Sequence[Record]) -> pd.DataFrame:
    """Return result rows with what cannot be told from the best by the AUROC, on their OOD set and in means over sets.

    Args:
        frame: rows of these records, as `oodbench.store.rows.to_frame` gives them.
        store: where the raw scores are.
        records: the records.

    Returns:
        With two columns: whether the method of a row may be as good as the best of its OOD set; and the names of the
        means of `MEANS` in which it may be as good as the best, with blanks between. The best itself is not marked.

    Raises:
        StoreError: scores are missing or damaged.
    """
    named = _named(records)
    good: dict[tuple[str, str, str], list[str]] = {}
    for _, rows in named.groupby("in_dist", sort=False):
        # The scores of one benchmark at a time.
        results = _results(rows, records, store)
        sets = {str(name): (str(name),) for name in rows["out_dist"]}
        means = {f"{_MEAN}{name}": shared for name, shared in means_of(rows).items()}
        for name, best in best_aurocs(results, {**sets, **means}).items():
            over = (name,) if name in sets else means[name]
            ties = rows[rows["label"].isin(best.as_good) & (rows["label"] != best.name) & rows["out_dist"].isin(over)]
            for i, own_set in zip(ties["record"], ties["own_set"], strict=True):
                key = records[i].benchmark["name"], records[i].key, own_set
                good.setdefault(key, []).append("" if name in sets else name.removeprefix(_MEAN))
    found = [good.get(key, []) for key in _keys(frame)]
    marked = frame.assign(**{AS_GOOD: ["" in one for one in found]})
    return marked.assign(**{AS_GOOD_OVER: [" ".join(filter(None, one)) for one in found]})


_MEAN = "mean over "
"""Before the name of a mean, so that no OOD set is called so."""


def _named(records: Sequence[Record]) -> pd.DataFrame:
    """Return rows with the names that tables have, `label` of the method, and which record and set they are of."""
    sizes = [len(record.rows) + len(record.missing) for record in records]
    frame = to_frame(records)
    frame = frame.assign(record=[i for i, size in enumerate(sizes) for _ in range(size)], own_set=frame["out_dist"])
    named = experiments(frame)
    named = named.assign(label=labels(named))
    return named[named["n_ood"] > 0]


def _results(
    rows: pd.DataFrame, records: Sequence[Record], store: ScoreSource
) -> dict[str, list[tuple[Record, Scores]]]:
    """Return the results of each method under the names of the rows."""
    found: dict[str, list[tuple[Record, Scores]]] = {}
    for (label, place), own in rows.groupby(["label", "record"], sort=False):
        i = int(str(place))
        names = dict(zip(own["own_set"], own["out_dist"], strict=True))
        record, scores = records[i], store.scores(records[i])
        renamed = tuple(replace(row, out_dist=names[row.out_dist]) for row in record.rows if row.out_dist in names)
        ood = {names[name]: values for name, values in scores.ood.items() if name in names}
        found.setdefault(str(label), []).append((replace(record, rows=renamed), Scores(id=scores.id, ood=ood)))
    return found


def add_intervals(frame: pd.DataFrame, store: ResultStore, records: Sequence[Record]) -> pd.DataFrame:
    """Return result rows with two columns for each built-in metric of scores: the ends of its 95% interval.

    What would change with other test images of the same kind: of the AUROC by DeLong's method, of the others by 1,000
    bootstrap resamples of the images.

    Args:
        frame: rows of these records, as `oodbench.store.rows.to_frame` gives them.
        store: where the raw scores are.
        records: the records.

    Raises:
        StoreError: scores are missing or damaged.
    """
    found = {
        (record.benchmark["name"], record.key, name): _intervals(scores.id, ood)
        for record in records
        for scores in [store.scores(record)]
        for name, ood in scores.ood.items()
    }
    ends: dict[str, Callable[[Interval], float]] = {LOW: lambda one: one.low, HIGH: lambda one: one.high}
    columns = {
        prefix + metric: [
            end(found[key][metric]) if metric in found.get(key, {}) else float("nan") for key in _keys(frame)
        ]
        for metric in METRICS
        for prefix, end in ends.items()
    }
    return frame.assign(**columns)


def _intervals(scores_id: NDArray[np.float64], scores_ood: NDArray[np.float64]) -> dict[str, Interval]:
    others = tuple(name for name in METRICS if name != "auroc")
    try:
        drawn = resampled_metrics(scores_id, scores_ood, metrics=others)
        found = {name: percentile_interval(METRICS[name](scores_id, scores_ood), drawn[name]) for name in others}
        return {**found, "auroc": delong_interval(scores_id, scores_ood)}
    # Of a single image nothing is known.
    except MetricError:
        return {}


def _keys(frame: pd.DataFrame) -> list[tuple[str, str, str]]:
    return list(zip(frame["in_dist"], frame["key"], frame["out_dist"], strict=True))
