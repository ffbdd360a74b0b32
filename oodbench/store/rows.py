"""Records to rows: a tidy table with a row for each cell and OOD set."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from oodbench.hashing.values import digest
from oodbench.metrics import METRICS, SAMPLE_METRICS

from .records import Record, Row

if TYPE_CHECKING:
    import pandas as pd


def to_frame(records: Iterable[Record]) -> pd.DataFrame:
    """Return records as a tidy table: a row for each cell and OOD test set, metrics and accuracy as fractions.

    Args:
        records: from a `ResultStore`.

    Returns:
        Columns in_dist, method, seed, out_dist, role, accuracy, one a metric (named as in
        `oodbench.metrics.METRICS`, then those of `SAMPLE_METRICS` that any record has, then those of plugins by name),
        recipe, and then everything else that tells rows apart. A set that was missing has a row with NaN metrics and
        `n_ood` 0.
    """
    import pandas as pd

    records = list(records)
    there = {name for record in records for row in record.rows for name in row.metrics} - set(METRICS)
    columns = (*METRICS, *(name for name in SAMPLE_METRICS if name in there), *sorted(there - set(SAMPLE_METRICS)))
    flat = []
    for record in records:
        gaps = (
            Row(
                out_dist=name,
                role=role,
                seen=name == record.seen,
                n_ood=0,
                fingerprint="",
                metrics={},
            )
            for name, role in record.missing.items()
        )
        flat += [_flat(record, row, columns) for row in (*record.rows, *gaps)]
    return pd.DataFrame(flat)


def _flat(record: Record, row: Row, columns: Iterable[str]) -> dict[str, Any]:
    return {
        "in_dist": record.benchmark["name"],
        "method": record.method,
        "seed": record.seed,
        "out_dist": row.out_dist,
        "role": row.role,
        "accuracy": float("nan") if record.accuracy is None else record.accuracy,
        # In one order, whatever order a file has them in; a metric that is newer than the record is NaN.
        **{name: row.metrics.get(name, float("nan")) for name in columns},
        "recipe": record.recipe,
        "cut_short": record.cut_short,
        "variant": record.variant,
        "seen": row.seen,
        "sees": " ".join(record.sees),
        "settings": json.dumps(record.settings, sort_keys=True),
        "fitted": json.dumps(record.fitted, sort_keys=True),
        "training": json.dumps(record.training, sort_keys=True),
        "n_train": record.n_train,
        "n_id": record.n_id,
        "n_ood": row.n_ood,
        "device": record.device,
        "trained_on": record.trained_on,
        **{f"{name}_version": version for name, version in sorted(record.versions.items())},
        "plugin": record.plugin,
        "benchmark_plugin": record.benchmark.get("plugin", ""),
        **_images(record),
        "ood_images": row.fingerprint,
        "model": "" if record.training else record.fingerprints.get("weights", ""),
        "given": json.dumps(record.model, sort_keys=True),
        **{f"{name}_seconds": seconds for name, seconds in sorted(record.seconds.items())},
        "suite": record.suite,
        "contamination": json.dumps(record.contamination, sort_keys=True) if record.contamination else "",
        "damaged": json.dumps(record.damaged, sort_keys=True) if record.damaged else "",
        "key": record.key,
    }


def _images(record: Record) -> dict[str, str]:
    """Return hashes of the images of a record that all its rows share."""
    known = record.fingerprints
    return {
        "id_images": digest([known.get("id_train"), known.get("id_test")]),
        "seen_images": known.get("seen") or "",
    }
