"""What the first paper claims: on the embedded digits, and in the stored tables of trained networks."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import oodbench

NOVELTY = "digits 5 9 1"


@pytest.fixture(scope="module")
def auroc(tmp_path_factory):
    """Return the AUROC of each method on each OOD set, a mean over two seeds; 40 of the 100 epochs are enough."""
    folder = tmp_path_factory.mktemp("claims")
    frame = oodbench.run(
        *("digits", ["msp", "ml", "odm"]),
        seeds=2,
        settings={"recipe": {"epochs": 40}},
        results_dir=folder / "results",
        cache_dir=folder / "cache",
    )
    return frame.groupby(["method", "out_dist"])["auroc"].mean()


@pytest.mark.parametrize("other", ["msp", "ml"])
def test_odm_beats_the_others_on_novelty(auroc, other):
    assert auroc["odm", NOVELTY] > auroc[other, NOVELTY]


def test_odm_is_nearly_perfect_on_novelty_and_on_what_it_has_seen(auroc):
    assert auroc["odm", NOVELTY] > 0.98
    assert auroc["odm", "digits 0 3 4 8"] > 0.98


@pytest.mark.parametrize("method", ["msp", "ml", "odm"])
def test_every_method_tells_photos_from_digits(auroc, method):
    assert auroc[method, "photo patches"] > 0.95


STORED = Path(__file__).parents[1] / "results"


@pytest.fixture(scope="module")
def stored():
    """Return the stored Tables 1 and 2, a row a cell and OOD set."""
    return pd.concat([oodbench.load_results(STORED / "table1"), oodbench.load_results(STORED / "table2")])


@pytest.mark.parametrize(
    ("in_dist", "variant", "aim"),
    [
        ("svhn", "msp", 0.94),
        ("svhn", "odm", 0.93),
        ("svhn", "ccag (outliers=seen)", 0.93),
        ("cifar10", "odm", 0.85),
        *[
            ("tsinghua", variant, 0.97)
            for variant in ("odin", "ml", "odm", "odm (seen=background)", "odm (seen=gaussian)")
        ],
    ],
)
def test_stored_tables_are_of_three_trainings_that_know_their_classes(stored, in_dist, variant, aim):
    rows = stored[(stored["in_dist"] == in_dist) & (stored["variant"] == variant)]

    assert set(rows["seed"]) == {0, 1, 2}
    assert rows["accuracy"].min() > aim


@pytest.mark.parametrize("variant", ["odm", "ccag (outliers=seen)"])
def test_stored_table_has_what_is_seen_near_perfect_and_cross_entropy_below(stored, variant):
    of = stored[stored["in_dist"] == "svhn"].groupby(["variant", "out_dist"])["auroc"].mean()

    assert of[variant]["cifar10"] > 0.99
    assert of[variant].min() > 0.98
    assert (of["msp"] < of[variant]).all()
