"""The numbers of the papers: they can be read, and stand beside ours where they may be compared."""

from __future__ import annotations

import csv
import dataclasses
from textwrap import dedent

import pytest

from oodbench.metrics import METRICS
from oodbench.store.rows import to_frame
from oodbench.tables import layout_table, make_table
from oodbench.tables.model import plain_text
from oodbench.tables.published import PUBLISHED, published_folder

from .test_records import a_record, a_row

FILES = sorted(published_folder().glob("*.csv"))
NUMBERS = {"accuracy", "aupr", *METRICS}
WORDS = {"in_dist", "out_dist", "method", "kind", "seen_out_dist", "dataset"}

OUR_MSP = {
    "tnr_at_95tpr": 0.5,
    "detection_accuracy": 0.8,
    "auroc": 0.65,
    "aupr_in_equal_prior": 0.7,
    "aupr_out_equal_prior": 0.9,
}
OUR_ODM = dict.fromkeys(OUR_MSP, 1.0)
OUR_ODIN = {"fpr_at_95tpr": 0.1, "detection_error": 0.05, "auroc": 0.99, "aupr_in": 0.95, "aupr_out": 1.0}


def on(out_dist, metrics, method, **changes):
    return a_record(method, rows=[a_row(out_dist, "anomaly", metrics=metrics)], **changes)


def cells(table):
    """Return the set and the numbers of each line."""
    start = table.header.index("Out-dist")
    return [tuple(plain_text(entry) for entry in row[start:]) for row in table.rows]


def is_compared(records, layout):
    text = make_table(to_frame(records), layout)
    assert ("ours − published" in text) == ("published: Masana et al." in text)
    return "ours − published" in text


def test_there_is_a_file_for_each_published_table():
    assert {"table1_paper.csv", "table2_paper.csv"} <= {path.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_published_files_hold_percentages_in_whole_rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert set(header) <= NUMBERS | WORDS
    assert {len(header)} == {len(row) for row in rows}
    values = [float(row[i]) for row in rows for i, name in enumerate(header) if name in NUMBERS]
    assert values
    assert all(0 <= value <= 100 for value in values)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_published_row_is_there_twice(path):
    with path.open(newline="", encoding="utf-8") as file:
        rows = [tuple(value for name, value in row.items() if name in WORDS) for row in csv.DictReader(file)]
    assert len(set(rows)) == len(rows)


@pytest.mark.parametrize("layout", PUBLISHED)
def test_published_methods_and_metrics_have_the_names_that_the_table_asks_for(layout):
    published = PUBLISHED[layout]
    with (published_folder() / published.file).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if published.in_dists:
        rows = [{**row, "in_dist": published.in_dists.get(row["in_dist"])} for row in rows]
        rows = [row for row in rows if row["in_dist"]]
    for method in published.methods.values():
        sets = [published.out_dists.get(row["out_dist"], row["out_dist"]) for row in rows]
        in_dists = [row.get("in_dist", "tsinghua") for row in rows]
        in_dists = [published.in_dists.get(in_dist, in_dist) for in_dist in in_dists]
        found = [published.numbers(*place) for place in zip(in_dists, [method] * len(rows), sets, strict=True)]
        assert all(numbers is not None for numbers in found)
        assert {name for numbers in found for name in numbers} <= {"accuracy", *METRICS}


def test_table2_tells_the_three_kinds_of_seen_images_apart():
    published = PUBLISHED["table2"]
    variants = ("odm", "odm (seen=background)", "odm (seen=gaussian)")
    found = [published.numbers("tsinghua", variant, "unseen signs")["auroc"] for variant in variants]
    assert found == [99.01, 97.84, 98.50]
    assert published.accuracies("tsinghua")["odm (seen=background)"] == 98.57


def test_table1_shows_the_published_numbers_and_the_differences():
    records = [on("cifar10", OUR_MSP, "msp", in_dist="svhn"), on("cifar10", OUR_ODM, "odm", in_dist="svhn")]
    assert cells(layout_table(to_frame(records), "table1")) == [
        ("cifar10", "50.0/100.0", "80.0/100.0", "65.0/100.0", "70.0/100.0", "90.0/100.0"),
        ("  published", "47.4/99.8", "78.6/99.8", "62.6/99.5", "71.6/99.7", "91.2/99.9"),
        ("  ours − published", "+2.6/+0.2", "+1.4/+0.2", "+2.4/+0.5", "-1.6/+0.3", "-1.2/+0.1"),
    ]


def test_table1_has_a_dash_where_nothing_was_published_for_a_method():
    records = [on("cifar10", OUR_MSP, "msp", in_dist="svhn"), on("cifar10", OUR_MSP, "ml", in_dist="svhn")]
    assert [line[1] for line in cells(layout_table(to_frame(records), "table1"))] == ["50.0/50.0", "47.4/–", "+2.6/–"]


def test_table1_says_that_its_column_odin_is_the_baseline():
    table = layout_table(to_frame([on("cifar10", OUR_MSP, "msp", in_dist="svhn")]), "table1")
    assert table.notes[-2] == (
        "published: Masana et al., BMVC 2018, Table 1. Its column ODIN repeats the cross-entropy baseline of the CC-AG "
        "paper digit for digit, so it stands beside msp."
    )
    assert table.notes[-1] == "published ID accuracy with svhn: msp 93.8."


def test_table1_does_not_compare_our_odin_with_the_column_of_that_name():
    assert not is_compared([on("cifar10", OUR_MSP, "odin", in_dist="svhn")], "table1")


def test_table2_shows_the_published_numbers_and_the_differences():
    records = [on("unseen signs", OUR_ODIN, "odin", in_dist="tsinghua")]
    expected = """\
    OOD detection with tsinghua as in-distribution, in percent; one seed.

     Method   ID acc.   Out-dist                 FPR at 95% TPR ↓   Detection error ↓   AUROC ↑   AUPR-in ↑   AUPR-out ↑
    ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
     odin     90.00     unseen signs (anomaly)              10.00                5.00     99.00       95.00       100.00
                          published                          8.74                6.87     97.82       96.19        98.92
                          ours − published                  +1.26               -1.87     +1.18       -1.19        +1.08

    published: Masana et al., BMVC 2018, Table 2; its Tsinghua row stands beside the unseen signs.
    published ID accuracy with tsinghua: odin 98.29.
    """  # as wide as it is printed
    assert dedent(expected) == make_table(to_frame(records), "table2")


def test_published_numbers_are_marked_as_an_aside_and_never_as_best():
    table = layout_table(to_frame([on("unseen signs", OUR_ODIN, "odin", in_dist="tsinghua")]), "table2")
    assert [{span.mark for entry in row[2:] for span in entry} for row in table.rows] == [{""}, {"aside"}, {"aside"}]


def test_the_difference_is_that_of_the_mean_over_seeds():
    seeds = [on("cifar10", {**OUR_MSP, "auroc": v}, "msp", in_dist="svhn", seed=i) for i, v in enumerate((0.6, 0.7))]
    assert [line[3] for line in cells(layout_table(to_frame(seeds), "table1"))] == ["65.0 ± 7.1", "62.6", "+2.4"]


def test_there_is_no_difference_where_our_set_is_missing():
    lost = a_record("msp", in_dist="svhn", rows=[], missing={"cifar10": "anomaly"})
    assert [line[1] for line in cells(layout_table(to_frame([lost]), "table1"))] == ["–", "47.4", "–"]


@pytest.mark.parametrize("layout", ["table1", "table2"])
def test_other_benchmarks_are_not_compared(layout):
    assert not is_compared([on("cifar10", OUR_MSP, "msp"), on("tsinghua", OUR_ODIN, "odin")], layout)


@pytest.mark.parametrize(
    ("in_dist", "out_dist", "layout"), [("svhn", "cifar10", "table2"), ("tsinghua", "tsinghua", "table1")]
)
def test_numbers_of_another_table_are_not_compared(in_dist, out_dist, layout):
    assert not is_compared([on(out_dist, None, "msp", in_dist=in_dist)], layout)


def test_other_hyper_parameters_are_not_compared():
    assert is_compared([on("cifar10", OUR_ODM, "odm", in_dist="svhn")], "table1")
    assert not is_compared([on("cifar10", OUR_ODM, "odm", in_dist="svhn", changed={"margin": 5.0})], "table1")


@pytest.mark.parametrize("origin", ["oodbench 0.1.0", "oodbench 2.0"])
def test_results_on_images_or_with_a_method_of_a_users_own_are_not_compared(origin):
    def compared(benchmark, plugin):
        entry = {"name": "svhn", "title": "", "source": "", "layout": "table1", "plugin": benchmark}
        return is_compared([on("cifar10", OUR_MSP, "msp", benchmark=entry, plugin=plugin)], "table1")

    assert compared(origin, origin)
    assert not compared("passed to oodbench.run", origin)
    assert not compared(origin, "passed to oodbench.run")


def test_a_published_benchmark_is_compared_beside_images_of_its_name():
    ours = on("cifar10", OUR_MSP, "msp", in_dist="svhn")
    entry = {**ours.benchmark, "plugin": "passed to oodbench.run"}
    prints = {**ours.fingerprints, "id_test": "others"}
    theirs = on("cifar10", OUR_ODM, "msp", benchmark=entry, fingerprints=prints)
    table = layout_table(to_frame([ours, theirs]), "table1")

    assert [line[:2] for line in cells(table)] == [
        ("cifar10", "50.0"),
        ("  published", "47.4"),
        ("  ours − published", "+2.6"),
        ("cifar10", "100.0"),
    ]


def test_a_set_that_was_not_published_is_not_compared():
    assert not is_compared([on("mnist", OUR_MSP, "msp", in_dist="svhn")], "table1")


def test_every_published_method_is_compared_once_for_each_set():
    published = dataclasses.replace(PUBLISHED["table1"])
    assert sorted(published._rows) == sorted(
        (in_dist, method, out_dist)
        for in_dist, other in (("svhn", "cifar10"), ("cifar10", "svhn"))
        for method in ("msp", "ccag (outliers=seen)", "odm")
        for out_dist in (other, "tiny_imagenet", "lsun", "gaussian")
    )


OUR_SKIP = {"auroc": 0.99, "aupr_in": 0.98, "aupr_out": 0.97}


def test_skip1_shows_the_baseline_and_the_method_in_each_cell_with_the_published_numbers():
    records = [on("omniglot", OUR_SKIP, name, in_dist="skip-mnist") for name in ("abnormality_module", "skip")]
    table = layout_table(to_frame(records), "skip1")
    assert cells(table) == [
        ("omniglot", "99.00/99.00", "98.00/98.00", "97.00/97.00"),
        ("  published", "99.45/99.50", "99.49/99.45", "99.40/99.38"),
        ("  ours − published", "-0.45/-0.50", "-1.49/-1.45", "-2.40/-2.38"),
    ]
    assert table.notes[-1].startswith("published: Chen & Zhao")


def test_skip2_compares_each_member_with_the_line_of_its_digits():
    records = [
        on("left-out digits", OUR_SKIP, "skip", in_dist=f"skip-mnist-digits-{pair}", suite="skip-mnist-digits")
        for pair in ("01", "23")
    ]
    lines = cells(layout_table(to_frame(records), "skip2"))
    assert [line[1] for line in lines] == ["99.00", "94.65", "+4.35", "99.00", "98.85", "+0.15"]


def test_a_set_in_the_place_of_a_missing_one_is_not_compared():
    table = layout_table(to_frame([on("scenes (for sun)", OUR_SKIP, "skip", in_dist="skip-cifar10")]), "skip1")
    assert [line[0] for line in cells(table)] == ["scenes (for sun)"]
