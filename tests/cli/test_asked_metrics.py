"""`oodbench table --metric`: more columns, several at once."""

from __future__ import annotations


def test_each_metric_is_a_column_more(oodbench, small):
    oodbench("run", "--in", small, "--method", "msp")
    done = oodbench("table", "--metric", "oscr", "--metric", "nll", "--format", "csv")
    assert done.code == 0
    assert done.out.splitlines()[0].endswith(",OSCR,NLL")


def test_an_unknown_metric_is_one_sentence(oodbench, small):
    oodbench("run", "--in", small, "--method", "msp")
    done = oodbench("table", "--metric", "oscrr")
    assert done.code == 2
    assert "no result has a metric 'oscrr'" in done.err


def test_an_asked_metric_has_its_interval_and_the_table_says_whose_have_none(oodbench, small):
    oodbench("run", "--in", small, "--method", "msp")
    done = oodbench("table", "--layout", "table2", "--metric", "oscr", "--metric", "nll", "--spread", "interval")
    assert done.code == 0
    assert "[95% interval over test images" in " ".join(done.out.split())
    assert "none of NLL" in " ".join(done.out.split())


def test_flat_rows_have_the_ends_of_intervals_of_all_metrics(oodbench, small):
    oodbench("run", "--in", small, "--method", "msp")
    done = oodbench("table", "--layout", "flat", "--spread", "interval", "--format", "csv")
    columns = done.out.splitlines()[0].split(",")
    assert done.code == 0
    assert {"interval_over", "interval_low_auroc", "interval_high_oscr", "interval_low_macro_f"} <= {*columns}
    assert "interval_low_auroc" not in oodbench("table", "--layout", "flat", "--format", "csv").out
