"""The contract of a table layout, checked on two methods with two seeds on three OOD sets, one of them missing."""

from __future__ import annotations

import numpy as np
import pandas as pd

from oodbench.api import Layout
from oodbench.engine.measures import all_metrics
from oodbench.store.records import Record, Row
from oodbench.store.rows import to_frame
from oodbench.tables import FORMATS, Table, render

from .contract import Check, require


def _rows() -> pd.DataFrame:
    return to_frame(_record(method, seed) for method in ("one", "two") for seed in (0, 1))


def _record(method: str, seed: int) -> Record:
    rng = np.random.default_rng([seed, len(method)])
    rows = tuple(
        Row(
            out_dist=name,
            role=role,
            seen=False,
            n_ood=50,
            fingerprint="",
            metrics=all_metrics(rng.normal(1.0, 1.0, 50), rng.normal(0.0, 1.0, 50)),
        )
        for name, role in (("near", "novelty"), ("far", "anomaly"))
    )
    return Record(
        key=f"{method} {seed}",
        benchmark={"name": "sample", "title": "", "source": "", "layout": "", "recipe": "default"},
        method=method,
        settings={},
        changed={},
        sees=(),
        fitted={},
        objective={"name": "ce"},
        recipe="default",
        training={},
        cut_short="",
        seed=seed,
        class_names=("a", "b"),
        accuracy=0.9,
        n_id=50,
        n_train=100,
        rows=rows,
        missing={"lost": "anomaly"},
        fingerprints={},
        device="cpu",
        trained_on="cpu",
        versions={},
        plugin="",
        seconds={},
        suite="samples",
    )


def check_it_returns_a_table(layout: Layout) -> None:
    """It returns a `Table` whose rows are as long as its header, with a group for each row."""
    table = layout(_rows())
    require(isinstance(table, Table), f"it must return an oodbench.tables.Table, got {type(table).__name__}")
    require(table.rows and table.header, "the table must have a header and at least one row")
    require(all(len(row) == len(table.header) for row in table.rows), "every row must be as long as the header")
    require(len(table.groups) == len(table.rows), "'groups' must have one number for each row")


def check_every_format_can_write_it(layout: Layout) -> None:
    """All formats write it."""
    table = layout(_rows())
    for format_ in FORMATS:
        require(render(table, format_).strip(), f"the table is empty in the format {format_}")


def check_rows_are_left_alone(layout: Layout) -> None:
    """It does not change the rows that it is given."""
    rows, same = _rows(), _rows()
    layout(rows)
    require(rows.equals(same), "copy the rows before changing them: frame.assign(…)")


LAYOUT_CHECKS: tuple[Check, ...] = (
    check_it_returns_a_table,
    check_every_format_can_write_it,
    check_rows_are_left_alone,
)
