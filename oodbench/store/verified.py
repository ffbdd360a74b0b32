"""Whether a record says what its scores say: its numbers, computed anew from the file beside it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from oodbench.errors import StoreError
from oodbench.metrics import METRICS, sample_metrics

from .samples import samples_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .records import Record, ResultStore, Scores

_CLOSE = 1e-9
"""Sums of the same numbers in another order differ by less."""


def differences(record: Record, scores: Scores) -> list[str]:
    """Return what a record says and its scores do not, such as "auroc of noise is 0.71, not 0.91".

    Metrics of plugins are not computed: whoever has the record may not have the plugin.

    Args:
        record: as it is stored.
        scores: from the file beside it.
    """
    counts = {"n_id": (record.n_id, len(scores.id))}
    counts |= {f"n_ood of {row.out_dist}": (row.n_ood, len(scores.ood[row.out_dist])) for row in record.rows}
    found = [text for name, (said, count) in counts.items() for text in _differing(name, said, count)]
    if record.accuracy is not None and scores.predicted_id is not None and scores.true_id is not None:
        right = float((scores.predicted_id == scores.true_id).mean())
        found += _differing("accuracy", record.accuracy, right)
    for row in record.rows:
        computed = _metrics(record, scores, row.out_dist)
        for name, value in row.metrics.items():
            if name in computed:
                found += _differing(f"{name} of {row.out_dist}", value, computed[name])
    return found


def _metrics(record: Record, scores: Scores, out_dist: str) -> dict[str, float]:
    samples = samples_of(record, scores, out_dist)
    return {name: metric.of_curve(samples.curve) for name, metric in METRICS.items()} | sample_metrics(samples)


def _differing(what: str, said: float, found: float) -> list[str]:
    same = math.isclose(said, found, rel_tol=_CLOSE, abs_tol=_CLOSE)
    return [] if same else [f"{what} is {found:.6g}, not {said:.6g}"]


def verify(store: ResultStore, records: Iterable[Record]) -> None:
    """Refuse records whose numbers are not those of their scores.

    Args:
        store: where they are.
        records: as they are stored.

    Raises:
        StoreError: one says something else than its scores, or has none.
    """
    for record in records:
        wrong = differences(record, store.scores(record))
        if wrong:
            more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
            raise StoreError(
                f"{store.root / store.file_of(record)} is not what its scores say: {'; '.join(wrong[:3])}{more}; "
                "run the benchmark again with --force"
            )


def verify_unsigned(store: ResultStore, records: Iterable[Record]) -> None:
    """Do the same with records that have no checksum of their own, where their scores are there: of the first schema.

    Raises:
        StoreError: one says something else than its scores.
    """
    unsigned = (record for record in records if not record.has_checksum)
    verify(store, (record for record in unsigned if store.has_scores(store.file_of(record), record)))
