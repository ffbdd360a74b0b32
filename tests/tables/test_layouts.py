"""The tables of the papers from hand-made results: numbers, marks, stars and notes."""

from __future__ import annotations

import csv
import io
from textwrap import dedent

import pandas as pd
import pytest

from oodbench.errors import UnknownName
from oodbench.metrics import METRICS
from oodbench.plugins import registry
from oodbench.store.rows import to_frame
from oodbench.tables import layout_table, make_table
from oodbench.tables.model import Span, plain_text
from tests.test_records import a_record, a_row

FPR, ERROR, AUROC, AUPR_IN, AUPR_OUT = "fpr_at_95tpr", "detection_error", "auroc", "aupr_in", "aupr_out"
TNR, ACCURACY = "tnr_at_95tpr", "detection_accuracy"
IN_EQUAL, OUT_EQUAL = "aupr_in_equal_prior", "aupr_out_equal_prior"


def rows_of(table, *columns):
    """Return some columns of a table without marks, every value in every row."""
    return [tuple(plain_text(row[table.header.index(column)]) for column in columns) for row in table.rows]


def marks_of(table, title):
    """Return the marks in a column, from top to bottom and from left to right."""
    return [span.mark for row in table.rows for span in row[table.header.index(title)] if span.text != "/"]


def two_methods(metric, values, layout="table2"):
    """Return the table of methods m0, m1, … that differ in one metric on one set."""
    records = [a_record(f"m{i}", rows=[a_row(metrics={metric: value})]) for i, value in enumerate(values)]
    return layout_table(to_frame(records), layout)


def two_sets(auroc, *, seen=False):
    """Return rows whose metrics all differ, so that no two columns can be mixed up."""
    spread = {FPR: 0.1, ERROR: 0.05, AUROC: auroc, AUPR_IN: auroc - 0.03, AUPR_OUT: auroc - 0.06}
    paper = {TNR: 0.9, ACCURACY: 0.85, IN_EQUAL: auroc - 0.1, OUT_EQUAL: auroc - 0.2}
    return [a_row("old", "seen", seen=seen, metrics=spread | paper), a_row("noise", "anomaly", metrics=spread | paper)]


def msp_and_odm():
    return [
        a_record("msp", rows=two_sets(0.9), accuracy=0.98765),
        a_record("odm", rows=two_sets(0.97, seen=True), accuracy=None, sees=("seen_ood",), settings={"margin": 10.0}),
    ]


def test_table2_is_a_block_for_each_method_and_a_line_for_each_set():
    expected = """\
        OOD detection with tiny as in-distribution, in percent; one seed.

         Method   ID acc.   Out-dist            FPR at 95% TPR ↓   Detection error ↓   AUROC ↑   AUPR-in ↑   AUPR-out ↑
        ────────────────────────────────────────────────────────────────────────────────────────────────────────────────
         msp      98.77     old (unseen here)              10.00                5.00     90.00       87.00        84.00
                            noise (anomaly)                10.00                5.00     90.00       87.00        84.00

         odm      –         old* (seen)                    10.00                5.00     97.00       94.00        91.00
                            noise (anomaly)                10.00                5.00     97.00       94.00        91.00

        unseen here: not used in training by this method, but by others of the table.
        * seen: images of this distribution (not the test images) were used in training.
        odm: margin=10; may see seen OOD training images.
        """
    assert dedent(expected) == make_table(to_frame(msp_and_odm()), "table2", "text")


def test_table1_is_a_line_for_each_set_with_all_methods_in_each_cell():
    table = layout_table(to_frame(msp_and_odm()), "table1")
    assert table.header == (
        "In-dist",
        "ID accuracy",
        "Out-dist",
        "TNR at 95% TPR ↑",
        "Detection accuracy ↑",
        "AUROC ↑",
        "AUPR-in (equal prior) ↑",
        "AUPR-out (equal prior) ↑",
    )
    assert rows_of(table, *table.header) == [
        ("tiny", "98.8/–", "old*", "90.0/90.0", "85.0/85.0", "90.0/97.0", "80.0/87.0", "70.0/77.0"),
        ("tiny", "98.8/–", "noise", "90.0/90.0", "85.0/85.0", "90.0/97.0", "80.0/87.0", "70.0/77.0"),
    ]
    assert table.caption == (
        "OOD detection with tiny as in-distribution, in percent; one seed. Methods in each cell: msp/odm."
    )


def test_table1_as_text():
    expected = """\
        OOD detection with tiny as in-distribution, in percent; one seed. Methods in each cell: msp.

         In-dist   ID accuracy   Out-dist   TNR at 95% TPR ↑   Detection accuracy ↑   AUROC ↑   AUPR-in (equal prior) ↑   AUPR-out (equal prior) ↑
        ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
         tiny      98.8          old                    90.0                   85.0      90.0                      80.0                       70.0
                                 noise                  90.0                   85.0      90.0                      80.0                       70.0

        """  # noqa: E501  # tables without a terminal are as wide as they need to be
    assert dedent(expected) == make_table(to_frame(msp_and_odm()[:1]), "table1", "text")


# Their mean is 0.92; squared deviations 0.0004 + 0.0001 + 0.0009 = 0.0014, over 3 − 1: 0.0007; its root: 0.0264575…
THREE_SEEDS = (0.90, 0.91, 0.95)


@pytest.mark.parametrize(("layout", "expected"), [("table2", "92.00 ± 2.65"), ("table1", "92.0 ± 2.6")])
def test_several_seeds_become_mean_and_sample_standard_deviation(layout, expected):
    frame = to_frame(a_record(seed=i, rows=[a_row(auroc=value)]) for i, value in enumerate(THREE_SEEDS))
    table = layout_table(frame, layout)
    assert [(expected,)] == rows_of(table, "AUROC ↑")
    assert table.caption.removesuffix(" Methods in each cell: odm.") == (
        "OOD detection with tiny as in-distribution, in percent; mean ± sample standard deviation over 3 seeds."
    )


def test_several_seeds_become_mean_and_sample_standard_deviation_of_the_accuracy():
    frame = to_frame(a_record(seed=i, accuracy=value) for i, value in enumerate(THREE_SEEDS))
    assert rows_of(layout_table(frame, "table2"), "ID acc.") == [("92.00 ± 2.65",)]


def test_a_caption_says_when_methods_ran_with_different_numbers_of_seeds():
    frame = to_frame([a_record("msp"), a_record("msp", seed=1), a_record("odm")])
    assert layout_table(frame, "table2").caption.endswith("over 1 to 2 seeds.")


@pytest.mark.parametrize("metric", [AUROC, AUPR_IN, AUPR_OUT])
def test_the_highest_is_best_where_higher_is_better(metric):
    marks = marks_of(two_methods(metric, [0.7, 0.9, 0.8]), f"{METRICS[metric].label} ↑")
    assert marks == ["worst", "best", ""]


@pytest.mark.parametrize("metric", [FPR, ERROR])
def test_the_lowest_is_best_where_lower_is_better(metric):
    marks = marks_of(two_methods(metric, [0.7, 0.9, 0.8]), f"{METRICS[metric].label} ↓")
    assert marks == ["best", "worst", ""]


def test_the_methods_in_one_cell_are_marked_each():
    assert marks_of(two_methods(TNR, [0.7, 0.9, 0.8], "table1"), "TNR at 95% TPR ↑") == ["worst", "best", ""]


@pytest.mark.parametrize(
    ("layout", "values"), [("table2", [0.90001, 0.90004, 0.8, 0.80004]), ("table1", [0.9001, 0.9004, 0.8, 0.8004])]
)
def test_all_that_print_the_same_are_marked_the_same(layout, values):
    assert marks_of(two_methods(AUROC, values, layout), "AUROC ↑") == ["best", "best", "worst", "worst"]


def test_values_that_print_differently_are_marked_differently():
    assert marks_of(two_methods(AUROC, [0.9001, 0.9004]), "AUROC ↑") == ["worst", "best"]


@pytest.mark.parametrize("layout", ["table1", "table2"])
@pytest.mark.parametrize("values", [[0.9, 0.9, 0.9], [0.9]], ids=["all equal", "one method"])
def test_nothing_is_marked_where_there_is_nothing_to_choose(layout, values):
    table = two_methods(AUROC, values, layout)
    assert {""} == {span.mark for row in table.rows for entry in row for span in entry}
    assert "Bold" not in make_table(to_frame([a_record()]), layout)


def test_best_and_worst_are_of_each_set_and_not_of_the_table():
    frame = to_frame(
        [
            a_record("msp", rows=[a_row("near", auroc=0.6), a_row("far", auroc=0.99)]),
            a_record("odm", rows=[a_row("near", auroc=0.7), a_row("far", auroc=0.98)]),
        ]
    )
    assert marks_of(layout_table(frame, "table2"), "AUROC ↑") == ["worst", "best", "best", "worst"]


def test_best_and_worst_are_of_each_benchmark():
    values = {("a", "msp"): 0.6, ("a", "odm"): 0.7, ("b", "msp"): 0.9, ("b", "odm"): 0.8}
    frame = to_frame(a_record(m, in_dist=name, rows=[a_row(auroc=value)]) for (name, m), value in values.items())
    assert marks_of(layout_table(frame, "table2"), "AUROC ↑") == ["worst", "best", "best", "worst"]


def test_a_method_without_data_is_no_rival():
    frame = to_frame([a_record("msp", rows=[], missing={"novel": "novelty"}), a_record("odm")])
    assert marks_of(layout_table(frame, "table2"), "AUROC ↑") == ["", ""]


def test_table2_stars_a_seen_set_only_where_the_method_was_trained_on_it():
    table = layout_table(to_frame(msp_and_odm()), "table2")
    assert rows_of(table, "Method", "Out-dist") == [
        ("msp", "old (unseen here)"),
        ("msp", "noise (anomaly)"),
        ("odm", "old* (seen)"),
        ("odm", "noise (anomaly)"),
    ]


@pytest.mark.parametrize("layout", ["table1", "table2"])
def test_no_star_is_explained_where_none_is_printed(layout):
    assert "*" not in make_table(to_frame(msp_and_odm()[:1]), layout)


@pytest.mark.parametrize("layout", ["table1", "table2"])
def test_a_missing_set_is_a_dash_with_a_note(layout):
    table = layout_table(to_frame([a_record(missing={"lsun": "anomaly"})]), layout)
    assert [plain_text(entry) for entry in table.rows[1][-5:]] == ["–"] * 5
    assert "– no data: lsun." in table.notes


def test_a_method_that_has_no_result_on_a_benchmark_is_a_dash():
    records = [a_record("msp", in_dist="a"), a_record("msp", in_dist="b"), a_record("odm", in_dist="b")]
    table = layout_table(to_frame(records), "table1")
    assert rows_of(table, "In-dist", "ID accuracy", "AUROC ↑") == [
        ("a", "90.0/–", "50.0/–"),
        ("b", "90.0/90.0", "50.0/50.0"),
    ]


@pytest.mark.parametrize("layout", ["table1", "table2"])
def test_a_shorter_training_is_noted(layout):
    records = [a_record("msp"), a_record("odm", recipe="quick", cut_short="2 of 10 epochs")]
    notes = [note for note in layout_table(to_frame(records), layout).notes if "Reduced" in note]
    assert notes == ["Reduced training on tiny, recipe quick (2 of 10 epochs): odm."]


def test_a_full_training_has_no_note_about_it():
    assert layout_table(to_frame([a_record("msp")]), "table2").notes == ()


def test_two_recipes_of_a_method_are_never_averaged():
    records = [
        a_record(recipe="default", rows=[a_row(auroc=0.9)]),
        a_record(recipe="quick (epochs=2)", training={"epochs": 2}, rows=[a_row(auroc=0.7)]),
    ]
    assert rows_of(layout_table(to_frame(records), "table2"), "Method", "AUROC ↑") == [
        ("odm [default]", "90.00"),
        ("odm [quick (epochs=2)]", "70.00"),
    ]


def test_two_recipes_of_a_method_stand_beside_each_other_in_table1():
    records = [
        a_record(recipe="default", rows=[a_row(auroc=0.9)]),
        a_record(recipe="quick", training={"epochs": 1}, rows=[a_row(auroc=0.7)]),
    ]
    table = layout_table(to_frame(records), "table1")
    assert rows_of(table, "AUROC ↑") == [("90.0/70.0",)]
    assert table.caption.endswith("Methods in each cell: odm [default]/odm [quick].")


def test_a_recipe_is_not_named_where_it_is_the_only_one_of_its_benchmark():
    records = [a_record(in_dist="a", recipe="default"), a_record(in_dist="b", recipe="long")]
    assert rows_of(layout_table(to_frame(records), "table2"), "In-dist", "Method") == [("a", "odm"), ("b", "odm")]


def test_two_variants_of_a_method_are_never_averaged():
    records = [
        a_record(settings={"margin": 10.0}, rows=[a_row(auroc=0.9)]),
        a_record(settings={"margin": 5.0}, changed={"margin": 5.0}, rows=[a_row(auroc=0.7)]),
    ]
    table = layout_table(to_frame(records), "table2")
    assert rows_of(table, "Method", "AUROC ↑") == [("odm", "90.00"), ("odm (margin=5)", "70.00")]
    assert table.notes == ("odm: margin=10.", "odm (margin=5): margin=5.")


def test_several_benchmarks_in_one_table_are_told_apart():
    records = [a_record("msp", in_dist=name, rows=[a_row(auroc=value)]) for name, value in (("a", 0.9), ("b", 0.7))]
    table = layout_table(to_frame(records), "table2")
    assert rows_of(table, "In-dist", "Method", "AUROC ↑") == [("a", "msp", "90.00"), ("b", "msp", "70.00")]
    assert marks_of(table, "AUROC ↑") == ["", ""]
    assert table.caption == "OOD detection with a, b as in-distribution, in percent; one seed."
    assert table.starts_block(1)


def test_the_results_of_a_method_stand_together_whatever_the_order_of_the_rows():
    frame = to_frame(msp_and_odm()).sort_values("out_dist")
    assert [method for (method,) in rows_of(layout_table(frame, "table2"), "Method")] == ["msp", "msp", "odm", "odm"]


def facts(**changes):
    """Return the note about the hyper-parameters of one method."""
    (note,) = layout_table(to_frame([a_record("odin", **changes)]), "table2").notes
    return note


def test_notes_name_hyper_parameters_briefly_and_leave_out_none():
    settings = {"temperature": 1000.0, "tune": "id", "tune_images": 1000, "cap": None}
    assert facts(settings=settings) == "odin: temperature=1000, tune=id, tune_images=1000."


def test_notes_say_what_fitting_chose_but_not_what_was_given():
    settings = {"temperature": 1000.0, "epsilon": "auto"}
    fitted = {"temperature": 1000.0, "epsilon": 0.0014, "batch_size": 500}
    assert facts(settings=settings, fitted=fitted) == "odin: temperature=1000, epsilon chosen: 0.0014."


def test_notes_say_where_the_best_value_is_at_the_edge_of_what_was_tried():
    fitted = {"epsilon": 0.004, "epsilon_at_edge": True}
    expected = "odin: epsilon chosen: 0.004 (at the edge of what was tried)."
    assert facts(settings={"epsilon": "auto"}, fitted=fitted) == expected

    fitted = {"epsilon": 0.002, "epsilon_at_edge": False}
    assert facts(settings={"epsilon": "auto"}, fitted=fitted) == "odin: epsilon chosen: 0.002."


def test_notes_say_what_fitting_chose_where_that_is_a_word():
    assert facts(settings={"metric": "auto"}, fitted={"metric": "cosine"}) == "odin: metric chosen: cosine."


def test_notes_name_every_value_that_some_seed_chose_once():
    chosen = (0.0014, 0.002, 0.0014)
    records = [a_record(seed=i, settings={"epsilon": "auto"}, fitted={"epsilon": e}) for i, e in enumerate(chosen)]
    assert layout_table(to_frame(records), "table2").notes == ("odm: epsilon chosen: 0.0014, 0.002.",)


@pytest.mark.parametrize(
    ("training", "said"), [({"epochs": 2}, "trained on 9 ID images"), ({}, "methods fitted on 9 ID images")]
)
def test_notes_say_how_many_images_were_trained_on_or_that_a_given_model_was_not_trained_here(training, said):
    frame = to_frame([a_record(n_train=9, training=training)])
    assert f"tiny: {said}, tested on 4." in layout_table(frame, "table2").notes


def test_notes_say_which_value_belongs_to_which_in_distribution_set():
    records = [
        a_record("ccag", in_dist="svhn", settings={"beta": 1.0, "width": 16}),
        a_record("ccag", in_dist="cifar10", settings={"beta": 0.1, "width": 16}),
    ]
    assert layout_table(to_frame(records), "table1").notes[-1] == "ccag: beta=1 (svhn) or 0.1 (cifar10), width=16."


@pytest.mark.parametrize(
    ("sees", "expected"),
    [
        (("id_validation",), "held-out ID training images"),
        (("id_validation", "seen_ood"), "held-out ID training images and seen OOD training images"),
        (("ood_test",), "THE OOD TEST SETS"),
    ],
)
def test_notes_say_what_data_a_method_may_see(sees, expected):
    assert facts(sees=sees) == f"odin: may see {expected}."


def test_flat_is_the_frame_itself():
    frame = to_frame(msp_and_odm())
    table = layout_table(frame, "flat")
    assert tuple(frame.columns) == table.header
    assert len(frame) == len(table.rows)
    assert (Span("0.97"),) == table.rows[2][table.header.index("auroc")]


def test_flat_text_keeps_each_row_on_one_line():
    record = a_record(settings={f"setting_{i}": "a long value" for i in range(100)})
    assert len(make_table(to_frame([record]), "flat").splitlines()) == 6


@pytest.fixture
def thirds():
    """Return a frame with numbers that need all their digits, and a missing set."""
    values = {name: (i + 1) / 30 for i, name in enumerate(METRICS)}
    return to_frame([a_record(rows=[a_row(metrics=values)], accuracy=2 / 3, missing={"lsun": "anomaly"})])


def test_flat_csv_has_every_digit(thirds):
    row = next(csv.DictReader(io.StringIO(make_table(thirds, "flat", "csv"))))
    for name in ("accuracy", *METRICS):
        assert thirds[name][0] == float(row[name])


def test_flat_csv_is_read_by_pandas_as_the_frame_that_it_was(thirds):
    versions = {name: "str" for name in thirds.columns if name.endswith("_version")}
    text = io.StringIO(make_table(thirds, "flat", "csv"))
    read = pd.read_csv(text, dtype=versions, na_values=["nan"], keep_default_na=False)
    pd.testing.assert_frame_equal(thirds, read, rtol=1e-15)


def test_an_unknown_layout_is_refused_with_the_nearest_one():
    with pytest.raises(UnknownName) as caught:
        make_table(to_frame([a_record()]), layout="tabel2")
    assert str(caught.value).startswith("no layout 'tabel2'. Did you mean 'table2'")


def test_an_unknown_format_is_refused_with_the_nearest_one():
    with pytest.raises(UnknownName) as caught:
        make_table(to_frame([a_record()]), format="markdwon")
    assert str(caught.value) == "no table format 'markdwon'. Did you mean 'markdown'?"


def test_a_word_like_no_layout_is_refused_with_the_whole_choice():
    with pytest.raises(UnknownName) as caught:
        make_table(to_frame([a_record()]), layout="xyz")
    names = ", ".join(sorted(registry.names("layouts")))
    assert str(caught.value) == f"no layout 'xyz'; there is: {names}. See: oodbench list layouts"


def test_matrix_has_a_line_a_method_the_best_first_and_means_over_sets():
    def record(method, near, far, **changes):
        rows = [
            a_row("near", "seen", metrics={"auroc": near, "fpr_at_95tpr": 0.5}, seen=method == "odm"),
            a_row("far", "anomaly", metrics={"auroc": far, "fpr_at_95tpr": 0.1}),
        ]
        return a_record(method, rows=rows, **changes)

    table = layout_table(to_frame([record("msp", 0.8, 0.9), record("odm", 0.9, 1.0)]), "matrix")

    assert table.header[2:] == ("near", "far", "mean AUROC ↑", "mean FPR at 95% TPR ↓")
    lines = [[plain_text(entry) for entry in row] for row in table.rows]
    assert [line[0] for line in lines] == ["odm", "msp"]
    assert [line[2:] for line in lines] == [["90.0*", "100.0", "95.0", "30.0"], ["80.0", "90.0", "85.0", "30.0"]]
    assert [[span.mark for span in row[3]] for row in table.rows] == [["best"], ["worst"]]


def test_matrix_has_a_dash_where_a_set_was_missing_and_a_mean_over_the_others():
    there, missing = a_row("near", "novelty", metrics={"auroc": 0.8, "fpr_at_95tpr": 0.4}), {"far": "anomaly"}
    table = layout_table(to_frame([a_record("msp", rows=[there], missing=missing)]), "matrix")

    assert [plain_text(entry) for entry in table.rows[0]][2:] == ["80.0", "–", "80.0", "40.0"]


def test_matrix_ranks_by_means_over_the_sets_that_all_methods_have():
    records = [
        a_record("ml", rows=[], missing={"near": "novelty", "far": "anomaly"}),
        a_record("msp", rows=[a_row("near", auroc=0.6), a_row("far", auroc=0.9)]),
        a_record("odm", rows=[a_row("near", auroc=0.7)], missing={"far": "anomaly"}),
    ]
    table = layout_table(to_frame(records), "matrix")

    assert rows_of(table, "Method", "near", "far", "mean AUROC ↑") == [
        ("odm", "70.0", "–", "70.0"),
        ("msp", "60.0", "90.0", "60.0"),
        ("ml", "–", "–", "–"),
    ]
    assert table.notes[-1] == "Means with tiny are over the OOD sets that all methods have results on, so without far."


def test_matrix_has_no_note_about_means_where_all_methods_have_all_sets():
    records = [a_record(in_dist=name, rows=[a_row(name)]) for name in ("a", "b")]
    assert not any("Means" in note for note in layout_table(to_frame(records), "matrix").notes)
