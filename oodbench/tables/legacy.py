"""Our scores under the evaluation code of 2018, to stand beside numbers that were made with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from oodbench.errors import MetricError
from oodbench.metrics import METRICS, aupr_in, aupr_out, auroc, detection_accuracy, tnr_at_tpr

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from oodbench.store.records import Record, ResultStore

    Metric = Callable[[NDArray[np.float64], NDArray[np.float64]], float]

PREFIX = "ccag_code_"
"""Of the columns that hold such numbers, before the name of the exact metric."""

_LEGACY: Mapping[str, Metric] = {
    "tnr_at_95tpr": lambda scores_id, scores_ood: tnr_at_tpr(scores_id, scores_ood, legacy="ccag"),
    "detection_accuracy": lambda scores_id, scores_ood: detection_accuracy(scores_id, scores_ood, legacy="ccag"),
    "auroc": lambda scores_id, scores_ood: auroc(scores_id, scores_ood, legacy="ccag"),
    "aupr_in_equal_prior": lambda scores_id, scores_ood: aupr_in(scores_id, scores_ood, legacy="ccag"),
    "aupr_out_equal_prior": lambda scores_id, scores_ood: aupr_out(scores_id, scores_ood, legacy="ccag"),
}


def add_legacy(frame: pd.DataFrame, store: ResultStore, records: Iterable[Record]) -> pd.DataFrame:
    """Return result rows with more columns: the metrics of the CC-AG paper's public code, from the stored scores.

    They are NaN where all scores are equal, which that code cannot evaluate.

    Args:
        frame: rows of these records, as `oodbench.store.rows.to_frame` gives them.
        store: where the raw scores are.
        records: the records.

    Raises:
        StoreError: scores are missing or damaged.
    """
    values = {
        (record.benchmark["name"], record.key, name): {
            PREFIX + metric: _value(legacy, scores.id, ood) for metric, legacy in _LEGACY.items()
        }
        for record in records
        for scores in [store.scores(record)]
        for name, ood in scores.ood.items()
    }
    keys = list(zip(frame["in_dist"], frame["key"], frame["out_dist"], strict=True))
    nothing = dict.fromkeys((PREFIX + metric for metric in METRICS if metric in _LEGACY), float("nan"))
    columns = {name: [values.get(key, nothing)[name] for key in keys] for name in nothing}
    return frame.assign(**columns)


def _value(metric: Metric, scores_id: NDArray[np.float64], scores_ood: NDArray[np.float64]) -> float:
    try:
        return metric(scores_id, scores_ood)
    except MetricError:
        return float("nan")
