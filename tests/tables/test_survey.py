"""The survey's OOD tables: our numbers and the published ones, criterion by criterion."""

from __future__ import annotations

import pytest

from oodbench.plugins import registry
from oodbench.store.rows import to_frame
from oodbench.tables import layout_table
from oodbench.tables.published import PUBLISHED
from tests.test_records import a_record, a_row

from .test_layouts import rows_of

FPR, AUPR = "fpr_at_95tpr_ood_positive", "aupr_out_one_in_six"
NUMBERS = {FPR: 0.15, "auroc": 0.95, AUPR: 0.7}
LAYOUTS = {"survey3": "survey-cifar10", "survey4": "survey-cifar100", "survey6": "survey-tiny-imagenet"}


def record(method="msp", in_dist="survey-cifar10", names=("gaussian",), **changes):
    return a_record(method, in_dist=in_dist, rows=[a_row(name, "anomaly", **NUMBERS) for name in names], **changes)


def table_of(*records, layout="survey3", metrics=()):
    return layout_table(to_frame(records), layout, metrics)


def test_criteria_stand_below_each_other_with_the_published_numbers():
    table = table_of(record())
    assert table.header == ("Method", "ID acc.", "Criterion", "gaussian", "mean")
    assert rows_of(table, "Criterion", "gaussian") == [
        ("FPR95 ↓", "15.00"),
        ("  published", "14.53"),
        ("  ours − published", "+0.47"),
        ("AUROC ↑", "95.00"),
        ("  published", "94.78"),
        ("  ours − published", "+0.22"),
        ("AUPR ↑", "70.00"),
        ("  published", "70.50"),
        ("  ours − published", "-0.50"),
    ]


def test_only_the_auroc_of_odin_is_compared():
    shown = rows_of(table_of(record("odin")), "Criterion", "gaussian")
    assert [criterion for criterion, _ in shown] == [
        "FPR95 ↓",
        "AUROC ↑",
        "  published",
        "  ours − published",
        "AUPR ↑",
    ]


@pytest.mark.parametrize(("changed", "theirs"), [({}, "99.60"), ({"score": "max_logit"}, "99.62")])
def test_outlier_exposure_is_compared_by_its_score(changed, theirs):
    table = table_of(record("outlier_exposure", changed=changed))
    assert ("  published", theirs) in rows_of(table, "Criterion", "gaussian")


def test_the_last_column_is_the_mean_over_the_sets_that_all_methods_have():
    table = table_of(record(names=("gaussian", "blob")), record("odin", names=("gaussian",)))
    assert {text for _, text in rows_of(table, "Criterion", "mean")} == {"15.00", "95.00", "70.00", ""}
    assert any("without blob" in note for note in table.notes)


def test_it_says_which_fpr_and_which_aupr_these_are():
    notes = " ".join(table_of(record()).notes)
    assert "share of ID images that are rejected where 95% of OOD images are" in notes
    assert "FPR95 of MSP on Rademacher and Blob repeat AUROC and AUPR on Gaussian" in notes


def test_a_metric_that_is_asked_for_is_a_criterion_more():
    rows = [a_row("gaussian", "anomaly", **NUMBERS, oscr=0.5)]
    table = table_of(a_record("msp", in_dist="survey-cifar10", rows=rows), metrics=["oscr"])
    assert rows_of(table, "Criterion", "gaussian")[-1] == ("OSCR ↑", "50.00")


@pytest.mark.parametrize(("layout", "name"), LAYOUTS.items())
def test_every_published_set_of_a_table_is_one_of_its_benchmark_s(layout, name):
    benchmark = registry.benchmark(name)
    published = {out_dist for in_dist, _, out_dist in PUBLISHED[layout]._rows}
    assert benchmark.layout == layout
    assert {in_dist for in_dist, _, _ in PUBLISHED[layout]._rows} == {name}
    assert {ood.name for ood in benchmark.ood} == published
