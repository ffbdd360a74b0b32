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


def test_every_metric_that_is_asked_for_has_its_interval_and_can_be_verified(oodbench, small):
    oodbench("run", "--in", small, "--method", "msp")
    asked = [word for name in ("oscr", "ece", "brier", "nll") for word in ("--metric", name)]
    done = oodbench("table", "--layout", "table2", *asked, "--spread", "interval", "--verify", "--format", "csv")
    assert done.code == 0
    for row in done.out.splitlines()[1:]:
        assert row.count("[") == row.count("]") == 9, row

    done = oodbench("table", "--layout", "table2", *asked, "--spread", "interval")
    assert "[95% interval over test images" in " ".join(done.out.split())
    assert "none of" not in " ".join(done.out.split())


def test_flat_rows_have_the_ends_of_intervals_of_all_metrics(oodbench, small):
    oodbench("run", "--in", small, "--method", "msp")
    done = oodbench("table", "--layout", "flat", "--spread", "interval", "--format", "csv")
    columns = done.out.splitlines()[0].split(",")
    assert done.code == 0
    assert {"interval_over", "interval_low_auroc", "interval_high_oscr", "interval_low_macro_f"} <= {*columns}
    assert "interval_low_auroc" not in oodbench("table", "--layout", "flat", "--format", "csv").out
