"""Tables say how sure their numbers are: ties with the best, and intervals over test images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from oodbench.comparison.intervals import add_intervals
from oodbench.comparison.noise import add_as_good
from oodbench.errors import StoreError
from oodbench.metrics import bootstrap_interval, delong_interval
from oodbench.store.records import ResultStore
from oodbench.store.rows import to_frame
from oodbench.tables import layout_table, render
from oodbench.tables.columns import metric_columns
from oodbench.tables.fit import fitted
from oodbench.tables.model import plain_text
from tests.report.made import save_results
from tests.test_records import a_record, a_row


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


@pytest.mark.parametrize(
    ("layout", "title"), [("openood", "mean AUROC ↑"), ("survey3", "mean"), ("matrix", "mean AUROC ↑")]
)
def test_means_over_sets_are_marked_too(stored, layout, title):
    table = layout_table(add_as_good(to_frame(stored[1]), *stored), layout)
    column = [plain_text(row[table.header.index(title)]) for row in table.rows]

    assert sum("≈" in text for text in column) == 1
    assert any("in a mean over sets" in note for note in table.notes)


def test_means_over_sets_do_not_claim_to_have_intervals(stored):
    frame = add_intervals(to_frame(stored[1]), *stored)
    table = layout_table(frame, "openood")

    assert "interval" not in table.caption
    assert any(note.startswith("Means over sets have no interval") for note in table.notes)
    assert "[" in plain_text(layout_table(frame, "survey3").rows[1][3])


def of_suite(n_members, methods=("odm", "ml", "msp")):
    """Return rows of a suite in which two methods are alike, and the last is worse on every member."""
    random = np.random.default_rng(0)
    return to_frame(
        a_record(method, in_dist=f"member {i}", rows=[a_row("near", auroc=value, oscr=value)], suite="many")
        for i in range(n_members)
        for method, value in zip(methods, (*random.normal(0.9, 0.01, 2), 0.5 + 0.001 * i), strict=True)
    )


def test_a_suite_marks_what_its_members_cannot_tell_from_the_best():
    table = layout_table(of_suite(12), "suite")
    auroc = {plain_text(row[1]): plain_text(row[table.header.index("AUROC ↑")]) for row in table.rows}

    assert [("≈" in auroc["odm"]) + ("≈" in auroc["ml"]), "≈" in auroc["msp"]] == [1, False]
    assert any(note.startswith("≈ cannot be told from the best of its OOD set: Wilcoxon") for note in table.notes)


def test_a_suite_of_too_few_members_says_that_nothing_can_be_told():
    table = layout_table(of_suite(5), "suite")

    assert "≈" not in render(table, "text")
    assert any("needs 7 members to find anything at 5%" in note for note in table.notes)
    # As many as it says do.
    assert not any("to find anything" in note for note in layout_table(of_suite(7), "suite").notes)
