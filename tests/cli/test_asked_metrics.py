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
