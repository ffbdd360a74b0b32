"""How sure the numbers of a table are: which methods cannot be told from the best, and intervals of single runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from oodbench.errors import MetricError
from oodbench.metrics import METRICS, Interval, delong_interval, percentile_interval, resampled_metrics
from oodbench.tables.columns import AS_GOOD, HIGH, LOW

from .best import best_on_sets
from .cells import Cells, name_cells

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from oodbench.store.records import Record, ResultStore


def add_as_good(frame: pd.DataFrame, store: ResultStore, records: Sequence[Record]) -> pd.DataFrame:
    """Return result rows with a column that says which cannot be told from the best of their OOD set by the AUROC.

    Args:
        frame: rows of these records, as `oodbench.store.rows.to_frame` gives them.
        store: where the raw scores are.
        records: the records.

    Raises:
        StoreError: scores are missing or damaged.
    """
    cells = Cells(store=store, records=name_cells(records))
    several = len(cells.recipes) > 1
    best = best_on_sets(cells)
    good = {
        (record.benchmark["name"], record.key, row.out_dist)
        for name, record in cells.records.items()
        for row in record.rows
        for found in [best.get((name.in_dist, row.out_dist))]
        for method in [f"{name.variant} [{name.recipe}]" if several else name.variant]
        if found is not None and method != found.name and method in found.as_good
    }
    return frame.assign(**{AS_GOOD: [key in good for key in _keys(frame)]})


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
