"""Only seeds of one experiment are averaged; what else has the same name is told apart, and says what differs."""

from __future__ import annotations

import json

import pytest

from oodbench.metrics import METRICS
from oodbench.store.rows import to_frame
from oodbench.tables import layout_table
from oodbench.tables.experiments import experiments
from tests.test_records import a_record, a_row

from .test_layouts import marks_of, rows_of

ONE_SEED = "OOD detection with tiny as in-distribution, in percent; one seed."
BENCHMARK = {"name": "tiny", "title": "", "source": "", "layout": "table2"}
IMAGES = {"id_train": "aa", "id_test": "bb", "seen": None, "weights": "w"}


def of(auroc, **changes):
    """Return a record with a key of its own, since some part of it is another."""
    return a_record(**{"rows": [a_row(auroc=auroc)], "key": f"{auroc} {changes}", **changes})


def table_of(*records, layout="table2"):
    return layout_table(to_frame(records), layout)


def methods_of(table):
    return rows_of(table, "Method", "AUROC ↑")


DIFFERENT = {
    "settings": ({"settings": {"k": 1}}, {"settings": {"k": 3}}, "odm [k=1]", "odm [k=3]"),
    "a setting that one lacks": ({"settings": {}}, {"settings": {"k": 3}}, "odm [no k]", "odm [k=3]"),
    "training": ({"training": {"epochs": 2}}, {"training": {"epochs": 9}}, "odm [epochs=2]", "odm [epochs=9]"),
    "given models": (
        {"training": {}, "fingerprints": IMAGES | {"weights": "1111111122"}},
        {"training": {}, "fingerprints": IMAGES | {"weights": "3333333344"}},
        "odm [model 11111111]",
        "odm [model 33333333]",
    ),
    "seen images": (
        {"fingerprints": IMAGES | {"seen": "5555555566"}},
        {"fingerprints": IMAGES | {"seen": "7777777788"}},
        "odm [seen images 55555555]",
        "odm [seen images 77777777]",
    ),
    "plugin": ({"plugin": "a.py (1)"}, {"plugin": "a.py (2)"}, "odm [a.py (1)]", "odm [a.py (2)]"),
}


@pytest.mark.parametrize("seeds", [(0, 0), (0, 1)], ids=["one seed", "two seeds"])
@pytest.mark.parametrize(("one", "other", "first", "second"), DIFFERENT.values(), ids=DIFFERENT)
def test_results_that_differ_in_more_than_the_seed_are_never_averaged(one, other, first, second, seeds):
    table = table_of(of(0.4, seed=seeds[0], **one), of(0.8, seed=seeds[1], **other))

    assert methods_of(table) == [(first, "40.00"), (second, "80.00")]
    assert table.caption == ONE_SEED
    assert "[…]: what differs between results of one name; they are not averaged." in table.notes


@pytest.mark.parametrize("layout", ["table1", "matrix"])
def test_other_layouts_do_not_average_them_either(layout):
    table = table_of(of(0.4, settings={"k": 1}), of(0.8, settings={"k": 3}), layout=layout)

    cells = rows_of(table, "AUROC ↑") if layout == "table1" else rows_of(table, "Method", "novel")
    assert cells == ([("40.0/80.0",)] if layout == "table1" else [("odm [k=3]", "80.0"), ("odm [k=1]", "40.0")])


@pytest.mark.parametrize(
    ("training", "seeds", "said"), [({}, (0, 1), True), ({}, (0, 0), False), ({"e": 1}, (0, 1), False)]
)
def test_seeds_of_a_given_model_are_said_to_tell_nothing_of_training(training, seeds, said):
    table = table_of(*(of(0.4, training=training, fingerprints=IMAGES, seed=seed) for seed in seeds))

    assert ("A given model is the same for all seeds: ± says nothing of how training varies." in table.notes) is said


def test_a_given_model_is_described_where_a_name_has_it_in_brackets():
    facts = {"name": "m.py:build", "weights": "", "normalise": "imagenet", "features": "fc", "class_names": None}
    one, other = (
        of(auroc, training={}, fingerprints=IMAGES | {"weights": weights}, model=model)
        for auroc, weights, model in ((0.4, "1111111122", facts), (0.8, "3333333344", {}))
    )

    said = "model 11111111: m.py:build, normalise imagenet, features fc."
    assert [note for note in table_of(one, other).notes if "model " in note] == [said]
    assert said not in table_of(one).notes


def test_a_name_says_no_more_than_it_takes_to_tell_results_apart():
    one, other, third = ({"k": k, "p": 2, "t": t} for k, t in ((1, 1), (3, 3), (3, 3)))
    table = table_of(
        of(0.4, settings=one, plugin="a 1"),
        of(0.6, settings=other, plugin="a 2"),
    )
    assert methods_of(table) == [("odm [k=1, t=1]", "40.00"), ("odm [k=3, t=3]", "60.00")]

    table = table_of(
        of(0.4, settings=one, plugin="a 1"),
        of(0.6, settings=other, plugin="a 1"),
        of(0.8, settings=third, plugin="a 2"),
    )
    assert [method for method, _ in methods_of(table)] == [
        "odm [k=1, t=1, a 1]",
        "odm [k=3, t=3, a 1]",
        "odm [k=3, t=3, a 2]",
    ]


@pytest.mark.parametrize("which", ["id_train", "id_test"])
def test_results_on_other_id_images_are_another_in_distribution_that_is_compared_apart(which):
    images = [{"fingerprints": IMAGES | {which: name}} for name in ("mine", "yours")]
    table = table_of(
        of(0.4, **images[0]),
        of(0.5, method="msp", **images[0]),
        of(0.8, **images[1]),
        of(0.9, method="msp", **images[1]),
    )

    (first,), *_, (second,) = rows_of(table, "In-dist")
    assert first != second
    assert all(name.startswith("tiny [images ") for name in (first, second))
    assert rows_of(table, "Method", "AUROC ↑") == [
        ("odm", "40.00"),
        ("msp", "50.00"),
        ("odm", "80.00"),
        ("msp", "90.00"),
    ]
    assert marks_of(table, "AUROC ↑") == ["worst", "best", "worst", "best"]


def test_results_on_other_ood_images_are_another_set_that_is_compared_apart():
    rows = [a_row(metrics={"auroc": auroc}) for auroc in (0.4, 0.8)]
    changed = type(rows[1])(**{**vars(rows[1]), "fingerprint": "0123456789"})
    table = table_of(a_record("msp", rows=rows[:1]), a_record("odm", rows=[changed]))

    assert rows_of(table, "Out-dist", "AUROC ↑") == [
        ("novel [images images o] (novelty)", "40.00"),
        ("novel [images 01234567] (novelty)", "80.00"),
    ]
    assert marks_of(table, "AUROC ↑") == ["", ""]


def test_a_benchmark_of_the_same_name_and_images_is_told_apart_by_where_it_comes_from():
    table = table_of(
        of(0.4, benchmark=BENCHMARK | {"plugin": "oodbench 0.1.0"}), of(0.8, benchmark=BENCHMARK | {"plugin": "mine 2"})
    )
    assert rows_of(table, "In-dist", "AUROC ↑") == [("tiny [oodbench]", "40.00"), ("tiny [mine 2]", "80.00")]


def test_what_differs_between_seeds_or_machines_makes_no_other_experiment():
    records = [
        of(
            0.4 + 0.4 * seed,
            seed=seed,
            fitted={"epsilon": seed},
            settings={"epsilon": "auto", "margin": (5, 5.0)[seed], **({"batch_size": 9} if seed else {})},
            fingerprints=IMAGES | {"weights": f"network {seed}"},
            device=("cpu", "cuda")[seed],
            trained_on=("cpu", "cuda")[seed],
            versions={"torch": f"2.{seed}"},
            plugin=f"oodbench 0.{seed}.0",
            benchmark=BENCHMARK | ({"plugin": "oodbench 0.2.0"} if seed else {}),
        )
        for seed in (0, 1)
    ]
    table = table_of(*records)

    assert methods_of(table) == [("odm", "60.00 ± 28.28")]
    assert table.caption.endswith("over 2 seeds.")
    assert not any("[…]" in note for note in table.notes)


def test_a_seed_counts_once_however_often_it_was_run():
    twice = [of(0.4, seed=0), of(0.8, seed=0, versions={"torch": "9"}), of(0.6, seed=1)]

    table = table_of(*twice)
    assert methods_of(table) == [("odm", "50.00 ± 14.14")]
    assert "Several results with one seed, of which the first one counts: odm." in table.notes
    # A record that lies there twice is no other result.
    table = table_of(twice[0], twice[0])
    assert methods_of(table) == [("odm", "40.00")]
    assert not any("one seed" in note for note in table.notes)


def test_one_training_that_was_asked_for_in_two_ways_is_one():
    long = {"recipe": "quick (epochs=2, max_images=None)", "changed": {"width": 8}}
    records = [of(0.4, settings={"width": 8}, **long), of(0.8, settings={"width": 8}, seed=1)]

    for order in (records, records[::-1]):
        assert methods_of(table_of(*order)) == [("odm", "60.00 ± 28.28")]
    # Where nobody spelled it shorter, it is called what it was called.
    other = of(0.6, method="msp", training={"epochs": 1})
    assert [method for method, _ in methods_of(table_of(records[0], other))] == [
        "odm (width=8) [quick (epochs=2, max_images=None)]",
        "msp [default]",
    ]


def test_a_set_that_one_seed_lacks_is_the_same_set_and_the_caption_counts_what_is_there():
    records = [of(0.4, seed=0), of(0.8, seed=1, rows=[], missing={"novel": "novelty"})]

    table = table_of(*records)
    assert rows_of(table, "Out-dist", "AUROC ↑") == [("novel (novelty)", "40.00")]
    assert table.caption == ONE_SEED


def test_a_caption_counts_the_seeds_of_each_set():
    near, far = a_row("near"), a_row("far")
    table = table_of(a_record(rows=[near, far]), a_record(seed=1, rows=[near]))

    assert table.caption.endswith("over 1 to 2 seeds.")


def test_rows_are_left_alone_and_may_come_from_several_frames():
    import pandas as pd

    frames = [to_frame([of(auroc, seed=seed)]) for seed, auroc in enumerate((0.4, 0.8))]
    both = pd.concat(frames)
    same = both.copy()

    assert methods_of(layout_table(both, "table2")) == [("odm", "60.00 ± 28.28")]
    pd.testing.assert_frame_equal(both, same)


def test_names_of_rows_alone_say_which_are_seeds_of_one_experiment():
    frame = to_frame([of(0.4, settings={"k": 1}), of(0.5, settings={"k": 1}, seed=1), of(0.6, settings={"k": 2})])

    rows = experiments(frame)
    assert list(rows["variant"]) == ["odm [k=1]", "odm [k=1]", "odm [k=2]"]
    assert list(rows["settings"].map(json.loads)) == [{"k": 1}, {"k": 1}, {"k": 2}]
    assert list(rows[[*METRICS]].columns) == [*METRICS]
