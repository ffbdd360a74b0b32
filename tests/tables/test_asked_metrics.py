"""Metrics that are asked for: one more column in every layout with columns of metrics, printed as what they are."""

from __future__ import annotations

import pytest

from oodbench.errors import ConfigError, UnknownName
from oodbench.store.rows import to_frame
from oodbench.tables import layout_table, make_table
from oodbench.tables.columns import shown
from tests.test_records import a_record, a_row

from .test_layouts import marks_of, rows_of

NUMBERS = {"nll": 1.23456, "oscr": 0.5, "mine": 0.25}


def frame_of(*methods, **metrics):
    return to_frame(
        a_record(name, rows=[a_row(**{**NUMBERS, **{metric: values[i] for metric, values in metrics.items()}})])
        for i, name in enumerate(methods)
    )


@pytest.mark.parametrize(("layout", "before"), [("table1", ""), ("table2", ""), ("matrix", "mean ")])
def test_asked_metrics_follow_the_columns_of_a_layout(layout, before):
    table = layout_table(frame_of("msp"), layout, ["oscr", "nll"])
    assert table.header[-2:] == (f"{before}OSCR ↑", f"{before}NLL ↓")
    digits = "50.00" if layout == "table2" else "50.0"
    assert rows_of(table, *table.header[-2:]) == [(digits, "1.235")]


def test_a_suite_shows_them_too():
    records = [
        a_record("msp", in_dist=name, rows=[a_row(nll=value)], suite="both") for name, value in (("a", 1.0), ("b", 3.0))
    ]
    assert rows_of(layout_table(to_frame(records), "suite", ["nll"]), "NLL ↓") == [("2 ± 1.4",)]


def test_the_best_and_the_worst_are_marked_by_the_direction():
    table = layout_table(frame_of("msp", "odm", nll=(1.0, 2.0)), "table2", ["nll"])
    assert marks_of(table, "NLL ↓") == ["best", "worst"]


def test_a_metric_whose_plugin_is_gone_has_its_name_for_a_heading_and_no_marks():
    table = layout_table(frame_of("msp", "odm", mine=(0.1, 0.2)), "table2", ["mine"])
    assert rows_of(table, "mine") == [("10.00",), ("20.00",)]
    assert marks_of(table, "mine") == ["", ""]


def test_a_metric_that_a_layout_has_already_is_not_shown_twice():
    assert layout_table(frame_of("msp"), "table2", ["auroc"]).header.count("AUROC ↑") == 1


def test_an_unknown_metric_is_refused_with_the_nearest_one():
    with pytest.raises(UnknownName, match="no result has a metric 'oscrr'.*oscr"):
        make_table(frame_of("msp"), metrics=["oscrr"])


def test_a_column_that_is_no_metric_is_refused():
    with pytest.raises(UnknownName, match="no result has a metric 'accuracy'"):
        make_table(frame_of("msp"), metrics=["accuracy"])


def test_a_layout_without_columns_of_metrics_says_so():
    with pytest.raises(ConfigError, match="the layout flat shows no metrics on request"):
        make_table(frame_of("msp"), "flat", metrics=["oscr"])


def test_numbers_that_are_no_fractions_are_printed_as_they_are():
    assert shown("brier").text(0.123456, 0.0123, 2) == "0.1235 ± 0.012"
    assert shown("ece").text(0.123456, 0.0123, 2) == "12.35 ± 1.23"
