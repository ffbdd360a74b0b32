"""The layout of OpenOOD: means over near and far sets by hand, with and without covariate-shifted images."""

from __future__ import annotations

from oodbench.store.rows import to_frame
from oodbench.tables import layout_table
from tests.test_records import a_record, a_row

from .test_layouts import marks_of, rows_of

THEIRS, OURS = "fpr_at_95tpr_ood_positive", "fpr_at_95tpr"


def near_and_far(near=(0.6, 0.8), far=(0.9,), shifted=None):
    """Return a row for each set; the full-spectrum AUROC is a tenth below the plain one."""
    lower = {} if shifted is None else {"full_spectrum_": 0.1}
    names = {"novelty": near, "anomaly": far}
    rows = [
        a_row(
            f"{role} {i}",
            role,
            metrics={
                "auroc": auroc,
                THEIRS: 0.3,
                OURS: 0.2,
                **{f"{p}auroc": auroc - less for p, less in lower.items()},
            },
        )
        for role, values in names.items()
        for i, auroc in enumerate(values)
    ]
    if shifted is not None:
        rows += [
            a_row(f"shifted {i}", "covariate", auroc=0.5, shifted_accuracy=value) for i, value in enumerate(shifted)
        ]
    return rows


def table_of(*records, metrics=()):
    return layout_table(to_frame(records), "openood", metrics)


def test_means_are_over_near_over_far_and_over_all_sets():
    table = table_of(a_record("msp", rows=near_and_far()))
    shown = rows_of(table, "Method", "Acc.", "near AUROC ↑", "far AUROC ↑", "mean AUROC ↑")
    assert shown == [("msp", "90.00", "70.00", "90.00", "76.67")]


def test_both_senses_of_fpr95_are_named():
    table = table_of(a_record("msp", rows=near_and_far()))
    assert rows_of(table, "near FPR95 OOD+ ↓", "near FPR95 ID+ ↓") == [("30.00", "20.00")]
    assert any("fpr_at_95tpr_ood_positive; FPR@95 of OpenOOD v1.5" in note for note in table.notes)


def test_the_deviation_is_that_of_the_means_over_seeds():
    seeds = [a_record("msp", rows=near_and_far(near=(0.6, 0.8 + 0.2 * seed)), seed=seed) for seed in (0, 1)]
    assert rows_of(table_of(*seeds), "near AUROC ↑") == [("75.00 ± 7.07",)]


def test_shifted_images_have_a_block_of_their_own_with_the_accuracy_on_them():
    table = table_of(a_record("msp", rows=near_and_far(shifted=(0.5, 0.7))))
    shown = rows_of(table, "In-dist", "Acc.", "near AUROC ↑", "mean AUROC ↑")
    assert shown == [("tiny", "90.00", "70.00", "76.67"), ("tiny + shifted", "60.00", "60.00", "66.67")]
    assert "shifted sets of tiny: shifted 0, shifted 1." in table.notes
    assert "tiny: near novelty 0, novelty 1; far anomaly 0." in table.notes


def test_a_set_that_only_some_methods_have_is_in_no_mean_and_said():
    table = table_of(a_record("msp", rows=near_and_far()), a_record("odm", rows=near_and_far(near=(0.5,))))
    assert rows_of(table, "Method", "near AUROC ↑") == [("msp", "60.00"), ("odm", "50.00")]
    assert any(note.endswith("results on them: novelty 1.") for note in table.notes)
    assert marks_of(table, "near AUROC ↑") == ["best", "worst"]


def test_shifted_sets_are_in_no_mean_of_the_matrix():
    frame = to_frame([a_record("msp", rows=near_and_far(shifted=(0.5,)))])
    assert rows_of(layout_table(frame, "matrix"), "shifted 0", "mean AUROC ↑") == [("50.0", "76.7")]


def test_a_metric_that_is_asked_for_has_its_means_too():
    rows = [a_row(role, role, oscr=value) for role, value in (("novelty", 0.25), ("anomaly", 0.75))]
    table = table_of(a_record("msp", rows=rows), metrics=["oscr"])
    assert rows_of(table, "near OSCR ↑", "far OSCR ↑", "mean OSCR ↑") == [("25.00", "75.00", "50.00")]
