"""Tables say how sure their numbers are: ties with the best, and intervals over test images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from oodbench.comparison.noise import add_as_good, add_intervals
from oodbench.errors import StoreError
from oodbench.metrics import bootstrap_interval, delong_interval
from oodbench.store.records import ResultStore
from oodbench.store.rows import to_frame
from oodbench.tables import layout_table, render
from oodbench.tables.columns import metric_columns
from oodbench.tables.fit import fitted
from oodbench.tables.model import plain_text
from tests.report.made import save_results


@pytest.fixture
def stored(tmp_path):
    """Store a method that is best, one that is nearly as good, and one that is not."""
    store = ResultStore(save_results(tmp_path / "results", {"odm": 2.0, "ml": 2.0, "msp": 0.2}, n=200))
    return store, store.all()


def marked(frame):
    rows = frame[frame["as_good"]]
    return set(zip(rows["method"], rows["out_dist"], strict=True))


def test_methods_that_cannot_be_told_from_the_best_are_marked_and_the_best_is_not(stored):
    frame = add_as_good(to_frame(stored[1]), *stored)
    best = frame.loc[frame.groupby("out_dist")["auroc"].idxmax()]

    assert not best["as_good"].any()
    assert {method for method, _ in marked(frame)} <= {"odm", "ml"}
    assert len(marked(frame)) == 2


@pytest.mark.parametrize("layout", ["table2", "matrix", "table1"])
def test_they_have_a_sign_and_a_note_in_every_layout(stored, layout):
    frame = add_as_good(to_frame(stored[1]), *stored)
    table = layout_table(frame, layout)
    signs = [entry for row in table.rows for entry in row if "≈" in plain_text(entry)]

    # The mean of the matrix has one too.
    assert len(signs) == 2 + (layout == "matrix")
    assert sum(note.startswith("≈ cannot be told from the best") for note in table.notes) == 1


def test_the_sign_is_written_in_every_format_but_not_in_one_for_programs(stored):
    table = layout_table(add_as_good(to_frame(stored[1]), *stored), "matrix")

    assert r"$\approx$" in render(table, "latex")
    for format_ in ("text", "markdown", "html"):
        assert "≈" in render(table, format_)
    assert "≈" not in render(table, "csv")


def test_without_a_test_nothing_is_marked(stored):
    assert "≈" not in render(layout_table(to_frame(stored[1]), "matrix"), "text")


def test_intervals_are_those_of_the_metrics(stored):
    store, records = stored
    frame = add_intervals(to_frame(records), *stored)
    record = records[0]
    scores = store.scores(record)
    row = frame[(frame["key"] == record.key) & (frame["out_dist"] == "near")].iloc[0]
    delong = delong_interval(scores.id, scores.ood["near"])
    drawn = bootstrap_interval(scores.id, scores.ood["near"], metric="fpr_at_95tpr")

    assert (row["interval_low_auroc"], row["interval_high_auroc"]) == (delong.low, delong.high)
    assert (row["interval_low_fpr_at_95tpr"], row["interval_high_fpr_at_95tpr"]) == (drawn.low, drawn.high)
    # They are no metrics of their own.
    assert metric_columns(frame) == metric_columns(to_frame(records))


def test_a_table_shows_intervals_in_the_place_of_deviations_and_says_so(tmp_path):
    store = ResultStore(save_results(tmp_path / "results", {"odm": 2.0}, sets={"near": "novelty"}, seeds=2, n=50))
    records = store.all()
    frame = add_intervals(to_frame(records), store, records)
    table = layout_table(frame, "table2")
    ends = [np.mean([frame[f"interval_{end}_auroc"]]) for end in ("low", "high")]

    shown = plain_text(table.rows[0][table.header.index("AUROC ↑") :][0])
    assert shown == f"{100 * frame['auroc'].mean():.2f} [{100 * ends[0]:.2f}, {100 * ends[1]:.2f}]"
    assert "±" not in "".join(plain_text(entry) for entry in table.rows[0][3:])
    assert "95% interval over test images" in table.caption
    narrow = fitted(table, 80)
    assert "[" not in plain_text(narrow.rows[0][-1])
    assert narrow.notes[-1].startswith("Left out to fit 80 columns: intervals")


def test_a_table_of_records_without_scores_is_shown_without_marks(stored, tmp_path):
    store, records = stored
    for file in Path(store.root).rglob("*.npz"):
        file.unlink()

    with pytest.raises(StoreError):
        add_as_good(to_frame(records), *stored)
