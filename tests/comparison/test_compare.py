"""Comparisons of made results: what is found, what is not, and what cannot be compared."""

from __future__ import annotations

import json

import numpy as np
import pytest

import oodbench
from oodbench.comparison.layout import comparison_table
from oodbench.errors import ConfigError, StoreError, UnknownName
from oodbench.metrics import SAMPLE_METRICS, auroc, resampled_sample_metrics
from oodbench.statistics import compare_aurocs, judged_by, over_seeds
from oodbench.store.records import ResultStore
from oodbench.store.samples import samples_of
from oodbench.store.selection import as_stored
from oodbench.tables import render
from tests.helpers import signed

from .made import save_cell, save_cells, stored_in


def test_a_better_method_is_found(tmp_path):
    save_cells(tmp_path, {"bad": 0.3, "good": 1.5})
    found = oodbench.compare("bad", "good", results_dir=tmp_path)

    assert found.kind == "methods"
    assert found.exit_code == 0
    assert found.sentence.startswith("good is better than bad: AUROC +")
    assert found.sentence.endswith("(Wilcoxon p = 0.031); by the tests of single sets, better on all 2.")
    assert oodbench.compare("good", "bad", results_dir=tmp_path).pairings[0].verdict.word == "worse"


def test_differences_are_those_of_the_stored_scores(tmp_path):
    for method, skill in (("a", 0.5), ("b", 1.0)):
        save_cell(tmp_path, method, skill=skill)
    store = ResultStore(tmp_path)
    scores = {record.method: store.scores(record) for record in store.all()}
    found = oodbench.compare("a", "b", results_dir=tmp_path).pairings[0].seeds[0]
    known = compare_aurocs(*((scores[name].id, scores[name].ood["near"]) for name in "ab"))

    assert (found.out_dist, found.seed) == ("near", 0)
    assert found.difference == known
    assert found.difference.first == auroc(scores["a"].id, scores["a"].ood["near"])


def test_seeds_of_one_set_are_judged_by_seeds_and_images_together(tmp_path):
    save_cells(tmp_path, {"a": 0.5, "b": 0.9}, noise=0.3)
    found = oodbench.compare("a", "b", results_dir=tmp_path).pairings[0]
    seeds = [one.difference for one in found.seeds if one.out_dist == "near"]
    without_images = over_seeds([one.first for one in seeds], [one.second for one in seeds], np.zeros((3, 3)))

    assert found.sets[0].seeds == (0, 1, 2)
    assert found.sets[0].difference.estimate == pytest.approx(np.mean([one.estimate for one in seeds]))
    assert found.sets[0].difference.p != without_images.p


@pytest.mark.parametrize("metric", ["fpr_at_95tpr", "aupr_in"])
def test_other_metrics_have_a_bootstrap(tmp_path, metric):
    save_cells(tmp_path, {"bad": 0.3, "good": 2.0}, n=60)
    found = oodbench.compare("bad", "good", metric=metric, resamples=200, results_dir=tmp_path)

    assert found.pairings[0].verdict.word == "better"
    assert found.pairings[0].sets[0].difference.test == "paired bootstrap over 3 seeds"
    assert found.pairings[0].seeds[0].difference.test == "paired bootstrap"


@pytest.mark.parametrize("metric", ["oscr", "macro_f", "aurc", "ece", "nll"])
def test_metrics_over_samples_have_a_bootstrap_too(tmp_path, metric):
    store, records = stored_in(tmp_path, seeds=3)
    found = oodbench.compare("msp", "odm", metric=metric, resamples=200, results_dir=tmp_path)
    first = found.pairings[0].seeds[0]
    both = [next(one for one in records if (one.method, one.seed) == (name, first.seed)) for name in ("msp", "odm")]
    samples = [samples_of(one, store.scores(one), "near") for one in both]
    draws = resampled_sample_metrics(samples, metrics=[metric], n_resamples=200)[metric].T

    assert found.pairings[0].sets[0].difference.test == "paired bootstrap over 3 seeds"
    assert first.difference == judged_by(draws, *(SAMPLE_METRICS[metric](one) for one in samples), level=0.95)
    assert not any("not tested" in note for note in found.notes)


def test_a_metric_that_older_results_do_not_hold_is_tested_over_sets_and_seeds_only(tmp_path):
    stored_in(tmp_path, seeds=2, certain=False, ece=0.1)
    found = oodbench.compare("msp", "odm", metric="ece", results_dir=tmp_path)

    assert found.notes[-1] == "The metric needs more than scores, so that single sets were not tested."


def test_one_set_and_one_seed_say_what_cannot_be_tested(tmp_path):
    for method, skill in (("a", 0.5), ("b", 1.0)):
        save_cell(tmp_path, method, skill=skill, sets={"near": "novelty"})
    notes = oodbench.compare("a", "b", results_dir=tmp_path).notes

    assert notes == (
        "One seed: whether other trainings would show the same cannot be tested; run more: --seeds 3.",
        "Over sets and seeds nothing can be tested with 1 pair: Wilcoxon's test needs 6 to find anything at 5%.",
    )


def test_recipes_are_compared_for_each_method_that_has_both(tmp_path):
    save_cells(tmp_path, {"a": 0.5, "b": 0.5, "c": 0.5}, recipe="short")
    save_cells(tmp_path, {"a": 0.5, "b": 2.0}, recipe="long")
    found = oodbench.compare("short", "long", results_dir=tmp_path)

    assert found.kind == "recipes"
    assert [pairing.method for pairing in found.pairings] == ["a", "b"]
    assert [pairing.verdict.word for pairing in found.pairings] == ["no evidence", "better"]
    assert found.sentence == "long is better for 1 of 2 methods (b) than short, beyond noise, by AUROC."
    assert found.notes[0].startswith("Left out, as the other has none: tiny c [short] seed 0")
    assert oodbench.compare("short", "long", methods=["a"], results_dir=tmp_path).sentence.startswith("No evidence")


def test_methods_with_several_recipes_are_compared_within_each(tmp_path):
    for recipe in ("short", "long"):
        save_cells(tmp_path, {"a": 0.5, "b": 1.5}, recipe=recipe)

    both = oodbench.compare("a", "b", results_dir=tmp_path)
    assert [pairing.second for pairing in both.pairings] == ["b [long]", "b [short]"]
    assert len(oodbench.compare("a", "b", recipe="long", results_dir=tmp_path).pairings) == 1


def test_same_folder_twice_has_no_change(tmp_path):
    old, new = (save_cells(tmp_path / name, {"a": 0.5, "b": 1.0}) for name in ("old", "new"))
    found = oodbench.compare(old, new)

    assert found.exit_code == 0
    assert found.changes == ("scores: the same, number for number, in 6 of 6 cells",)
    assert all(pairing.overall.p == 1 for pairing in found.pairings)


def test_what_got_worse_in_a_folder_is_told(tmp_path):
    old = save_cells(tmp_path / "old", {"a": 1.5, "b": 1.0})
    new = save_cells(tmp_path / "new", {"a": 0.3, "b": 1.0})
    found = oodbench.compare(old, new)

    assert found.exit_code == 1
    assert [pairing.method for pairing in found.worse] == ["a"]
    assert oodbench.compare(new, old).exit_code == 0
    assert oodbench.compare(old, new, margin=0.6).exit_code == 0


def test_luck_with_a_training_is_no_change_for_the_worse(tmp_path):
    old = save_cells(tmp_path / "old", {"a": 1.0}, noise=0.5)
    new = save_cells(tmp_path / "new", {"a": 0.999}, noise=0.5)
    found = oodbench.compare(old, new)

    # Each training alone is told from the other one, all three together are not.
    assert min(one.p for one in found.pairings[0].seeds) < 0.05
    assert found.exit_code == 0


def test_changes_between_folders_are_named(tmp_path):
    old = save_cells(tmp_path / "old", {"a": 1.0, "gone": 1.0}, seeds=1)
    new = save_cells(
        tmp_path / "new",
        {"a": 1.1, "came": 1.0},
        seeds=1,
        settings={"k": 5},
        versions={"oodbench": "0.2.0", "python": "3.11", "torch": "2.4", "numpy": "2.0"},
        training={"epochs": 3, "learning_rate": 0.1},
    )
    assert oodbench.compare(old, new).changes == (
        "only in the first: tiny gone [default] seed 0",
        "only in the second: tiny came [default] seed 0",
        "versions: oodbench 0.1.0 → 0.2.0",
        "settings: k none → 5",
        "training: epochs 7 → 3",
        "scores: the same, number for number, in 0 of 1 cells",
    )


def test_folder_of_one_benchmark_can_be_named(tmp_path):
    old, new = (save_cells(tmp_path / name, {"a": 0.5}) for name in ("old", "new"))
    save_cells(new, {"a": 0.5}, in_dist="other")

    assert len(oodbench.compare(old / "tiny", new / "tiny").pairings[0].seeds) == 6


def test_sets_with_other_images_are_left_out(tmp_path):
    save_cell(tmp_path, "a")
    file = save_cell(tmp_path, "b")
    content = json.loads(file.read_text())
    content["rows"][0]["fingerprint"] = "others"
    file.write_text(json.dumps(signed(content)))
    found = oodbench.compare("a", "b", results_dir=tmp_path)

    assert [one.out_dist for one in found.pairings[0].sets] == ["far"]
    assert found.notes[0] == "tiny, near: left out, as the test images are not the same."


def test_everything_is_there_as_plain_values(tmp_path):
    save_cells(tmp_path, {"a": 0.5, "b": 1.0}, seeds=1)
    found = json.loads(json.dumps(oodbench.compare("a", "b", results_dir=tmp_path).as_dict(), allow_nan=False))

    assert found["methods"][0]["wilcoxon"]["pairs"] == 2
    assert {"difference", "low", "high", "p", "p_holm"} <= found["methods"][0]["sets"][0].keys()
    assert found["worse"] is False


@pytest.fixture
def stored(tmp_path):
    save_cells(tmp_path, {"msp": 0.5, "odm": 1.0}, seeds=1)
    save_cell(tmp_path, "odin", in_dist="other")
    return tmp_path


@pytest.mark.parametrize(
    ("first", "second", "options", "error", "message"),
    [
        ("mps", "odm", {}, UnknownName, "no stored method or recipe 'mps' in .*Did you mean 'msp'"),
        ("msp", "default", {}, UnknownName, "msp and default are not of one kind"),
        ("msp", "msp", {}, UnknownName, "msp cannot be compared with itself"),
        ("msp", "odin", {}, StoreError, "msp and odin have no benchmark, recipe and seed in common"),
        ("msp", "odm", {"benchmarks": ["tini"]}, UnknownName, "no benchmark 'tini' in .*Did you mean 'tiny'"),
        ("msp", "odm", {"benchmarks": ["other"]}, StoreError, "there are no results of msp among those"),
        ("msp", "odm", {"recipe": "long"}, UnknownName, "no recipe 'long'"),
        ("msp", "odm", {"methods": ["odin"]}, UnknownName, "are methods already; leave --method out"),
        ("msp", "odm", {"metric": "aurok"}, UnknownName, "no metric 'aurok'. Did you mean 'auroc'"),
        ("msp", "odm", {"alpha": 5}, ConfigError, "alpha must be between 0 and 1, got 5"),
        ("msp", "odm", {"margin": -1}, ConfigError, "margin must be at least 0"),
        ("msp", "odm", {"resamples": 1}, ConfigError, "resamples must be at least 100"),
        ("./nowhere", "./nor/here", {}, StoreError, "./nowhere is no folder of results"),
    ],
)
def test_bad_input_is_one_sentence(stored, first, second, options, error, message):
    with pytest.raises(error, match=message):
        oodbench.compare(first, second, results_dir=stored, **options)


def test_a_method_with_several_settings_must_be_named_whole(tmp_path):
    for k in (3, 5):
        save_cell(tmp_path, f"knn{k}", changed={"k": k}, settings={"k": k})
        file = tmp_path / f"tiny/knn{k}-64656661-seed0.json"
        content = json.loads(file.read_text())
        file.write_text(json.dumps(signed({**content, "method": "knn"})))
    save_cell(tmp_path, "msp")

    with pytest.raises(UnknownName, match=r"knn stands for several: 'knn \(k=3\)', 'knn \(k=5\)'; name one of them"):
        oodbench.compare("msp", "knn", results_dir=tmp_path)


def test_a_suite_is_all_of_its_members(tmp_path):
    for member in ("tiny-a", "tiny-b"):
        for method, skill in {"odm": 2.0, "msp": 1.0}.items():
            save_cell(tmp_path, method, skill=skill, in_dist=member, suite="tiny")
    save_cell(tmp_path, "odm", in_dist="other")

    (pairing,) = oodbench.compare("msp", "odm", results_dir=tmp_path, benchmarks=["tiny"]).pairings
    assert {found.in_dist for found in pairing.sets} == {"tiny-a", "tiny-b"}


def test_settings_may_stand_in_any_order(tmp_path):
    settings = {"margin": 5, "squared": False}
    save_cell(tmp_path, "odm", changed=settings, settings=settings)
    save_cell(tmp_path, "msp")

    assert oodbench.compare("msp", "odm(squared=False, margin=5)", results_dir=tmp_path).kind == "methods"


def test_a_name_that_is_stored_is_taken_as_it_is():
    known = ["a (weights=1,2)", "a (weights=2,1)"]
    assert [as_stored(name, known) for name in known] == known


def test_damaged_scores_are_refused(stored):
    for file in stored.glob("tiny/msp*.npz"):
        file.write_bytes(b"nothing")

    with pytest.raises(StoreError, match="are missing or do not belong to their record"):
        oodbench.compare("msp", "odm", results_dir=stored)


def test_damaged_records_are_refused(stored):
    next(stored.glob("tiny/msp*.json")).write_text("{")

    with pytest.raises(StoreError, match="is not a whole record"):
        oodbench.compare("msp", "odm", results_dir=stored)


def test_a_metric_that_needs_more_than_scores_is_tested_over_sets_and_seeds_only(tmp_path, monkeypatch):
    class OfSamples:
        label, higher_is_better, takes = "OSCR", True, "samples"

    monkeypatch.setattr("oodbench.comparison.measured.find_metric", lambda _: OfSamples)
    save_cells(tmp_path, {"a": 0.5, "b": 1.0})
    found = oodbench.compare("a", "b", results_dir=tmp_path)

    assert found.pairings[0].overall.p == 0.03125
    assert found.as_dict()["methods"][0]["sets"][0]["p"] is None
    assert found.notes[-1] == "The metric needs more than scores, so that single sets were not tested."
    assert "–" in render(comparison_table(found), "text")
