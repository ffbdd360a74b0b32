"""The results store keeps records whole, says what is wrong with those that are not, and makes frames of them."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from oodbench.errors import StoreError
from oodbench.hashing.values import digest
from oodbench.metrics import METRICS
from oodbench.store.records import Record, ResultStore, Row, Scores
from oodbench.store.rows import to_frame

FILE = Path("tiny/odm-1a2b3c4d-seed0.json")


def a_row(out_dist="novel", role="novelty", *, seen=False, metrics=None, **numbers):
    """Return the result on one OOD set; metrics that are not given are 0.5."""
    return Row(
        out_dist=out_dist,
        role=role,
        seen=seen,
        n_ood=3,
        fingerprint=f"images of {out_dist}",
        metrics={**dict.fromkeys(METRICS, 0.5), **(metrics or {}), **numbers},
    )


def a_record(method="odm", *, in_dist="tiny", rows=None, seed=0, recipe="default", **changes):
    """Return a result that was never computed."""
    fields = {
        "key": f"{in_dist} {method} {recipe} {seed} {changes.get('changed')}",
        "benchmark": {"name": in_dist, "title": "a tiny one", "source": "tests", "layout": "table2"},
        "method": method,
        "settings": {},
        "changed": {},
        "sees": (),
        "fitted": {},
        "objective": {"name": "ce"},
        "recipe": recipe,
        "training": {"epochs": 2, "learning_rate": 0.1},
        "cut_short": "",
        "seed": seed,
        "class_names": ("cat", "dog"),
        "accuracy": 0.9,
        "n_id": 4,
        "rows": (a_row(),) if rows is None else tuple(rows),
        "missing": {},
        "fingerprints": {"id_train": "aa", "id_test": "bb", "seen": None, "weights": f"{method} network"},
        "device": "cpu",
        "trained_on": "cpu",
        "versions": {"oodbench": "0.1.0", "python": "3.11", "torch": "2.4", "numpy": "2.0"},
        "plugin": "oodbench 0.1.0",
        "seconds": {"train": 1.5, "fit": 0.0, "score": 0.1},
        **changes,
    }
    return Record(**fields)


def some_scores(record):
    """Return random scores and 3-D embeddings for a record."""
    random = np.random.default_rng(0)
    return Scores(
        id=random.normal(size=record.n_id),
        ood={row.out_dist: random.normal(size=row.n_ood) for row in record.rows},
        embedding_id=random.normal(size=(record.n_id, 3)).astype(np.float32),
        labels_id=random.integers(0, 2, record.n_id),
        embedding_ood={row.out_dist: random.normal(size=(row.n_ood, 3)).astype(np.float32) for row in record.rows},
    )


@pytest.fixture
def store(tmp_path):
    return ResultStore(tmp_path / "results")


@pytest.fixture
def saved(store):
    """Return a record that is in the store, at FILE."""
    record = a_record(rows=[a_row("novel"), a_row("noise", "anomaly", auroc=1 / 3)])
    return store.save(FILE, record, some_scores(record))


def edit(store, change, *, signed=True):
    """Change what the stored record says, and its checksum as well unless that is to be wrong."""
    path = store.root / FILE
    content = json.loads(path.read_text())
    checksum = content.pop("sha256")
    change(content)
    path.write_text(json.dumps({**content, "sha256": digest(content) if signed else checksum}))
    return path


def test_a_record_comes_back_as_it_was_saved(store, saved):
    assert saved == store.load(FILE)


def test_a_saved_record_differs_from_the_given_one_only_in_the_checksum_of_its_scores(saved):
    assert a_record(rows=saved.rows) == dataclasses.replace(saved, scores_sha256="")
    assert re.fullmatch("[0-9a-f]{64}", saved.scores_sha256)


def test_a_record_is_json_with_sorted_keys_and_a_schema_number(store, saved):
    text = (store.root / FILE).read_text()
    assert json.dumps(json.loads(text), indent=1, sort_keys=True) + "\n" == text
    assert json.loads(text)["schema"] == 2


def test_records_are_found_in_the_order_of_their_file_names(store):
    for name in ("b-0-seed1", "b-0-seed0", "a-0-seed0"):
        record = a_record(key=name)
        store.save(Path("tiny") / f"{name}.json", record, some_scores(record))
    assert [record.key for record in store.all()] == ["a-0-seed0", "b-0-seed0", "b-0-seed1"]


def test_a_record_that_is_not_there_is_none(store, saved):
    assert store.load(Path("tiny/odm-1a2b3c4d-seed1.json")) is None


def test_a_stored_record_knows_its_file(store, saved):
    store.save(Path("tiny/odm-00000000-seed0.json"), a_record(changed={"margin": 5.0}), some_scores(a_record()))
    assert store.file_of(saved) == FILE


def test_scores_come_back_in_full_precision(store):
    record = a_record()
    exact = np.array([1 / 3, np.nextafter(1.0, 2.0), 1e-300, -1e300])
    store.save(FILE, record, dataclasses.replace(some_scores(record), id=exact))
    loaded = store.scores(store.load(FILE)).id
    assert loaded.dtype == np.float64
    assert exact.tolist() == loaded.tolist()


def test_scores_and_embeddings_come_back_under_the_name_of_their_set(store, saved):
    expected, actual = some_scores(saved), store.scores(saved)
    assert ["novel", "noise"] == list(actual.ood) == list(actual.embedding_ood)
    for name in expected.ood:
        np.testing.assert_array_equal(expected.ood[name], actual.ood[name])
        np.testing.assert_array_equal(expected.embedding_ood[name], actual.embedding_ood[name])
    np.testing.assert_array_equal(expected.embedding_id, actual.embedding_id)
    np.testing.assert_array_equal(expected.labels_id, actual.labels_id)
    assert (np.float32, np.int64) == (actual.embedding_id.dtype, actual.labels_id.dtype)


class ReplaceFails:
    """os.replace that fails when it is called for the n-th time."""

    def __init__(self, monkeypatch, n):
        self.left, self.real = n, os.replace
        monkeypatch.setattr(os, "replace", self)

    def __call__(self, source, target):
        self.left -= 1
        if self.left == 0:
            raise OSError(28, "No space left on device")
        self.real(source, target)


@pytest.mark.parametrize("call", [1, 2])
def test_a_save_that_fails_leaves_no_record_and_no_temporary_file(store, monkeypatch, call):
    ReplaceFails(monkeypatch, call)
    with pytest.raises(StoreError):
        store.save(FILE, a_record(), some_scores(a_record()))
    assert store.load(FILE) is None
    assert list((store.root / "tiny").iterdir()) == []


@pytest.mark.parametrize("call", [1, 2])
def test_a_save_that_fails_leaves_the_earlier_record_whole(store, saved, monkeypatch, call):
    ReplaceFails(monkeypatch, call)
    with pytest.raises(StoreError):
        store.save(FILE, a_record(accuracy=0.1), some_scores(a_record()))
    assert saved == store.load(FILE)


def test_a_save_that_fails_says_why_and_what_to_do(store, monkeypatch):
    ReplaceFails(monkeypatch, 1)
    with pytest.raises(StoreError) as caught:
        store.save(FILE, a_record(), some_scores(a_record()))
    assert (
        f"cannot write {store.root / FILE} (No space left on device); free space, change permissions or name another "
        "results folder: --results-dir"
    ) == str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("rows"),
        lambda content: content.pop("accuracy"),
        lambda content: content.pop("schema"),
        lambda content: content["rows"][0].pop("metrics"),
        lambda content: content.update(sees=None),
    ],
    ids=["no rows", "no accuracy", "no schema", "a row without metrics", "null for a list"],
)
def test_a_record_without_a_field_is_named_and_may_be_deleted(store, saved, change):
    path = edit(store, change)
    with pytest.raises(StoreError, match=f"{re.escape(str(path))} is not a whole record .*; delete it and run"):
        store.load(FILE)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "\xff"], ids=["empty", "cut", "a list", "not UTF-8"])
def test_a_file_that_holds_no_record_is_named_and_may_be_deleted(store, saved, text):
    path = store.root / FILE
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(StoreError, match=f"{re.escape(str(path))} is not a whole record .*; delete it and run"):
        store.all()


def test_every_cut_of_a_record_is_noticed(store, saved):
    path = store.root / FILE
    whole = path.read_bytes().rstrip()
    for end in range(0, len(whole), 97):
        path.write_bytes(whole[:end])
        with pytest.raises(StoreError, match="not a whole record"):
            store.load(FILE)


def test_a_record_of_another_schema_is_named_and_may_be_deleted(store, saved):
    path = edit(store, lambda content: content.update(schema=99))
    with pytest.raises(StoreError) as caught:
        store.load(FILE)
    assert f"{path} has the format 99, this version of oodbench reads 1 and 2; delete it and run again" == str(
        caught.value
    )


@pytest.mark.parametrize("exists", [True, False], ids=["empty", "missing"])
def test_a_folder_without_results_says_what_to_run(store, exists):
    if exists:
        store.root.mkdir()
    with pytest.raises(StoreError) as caught:
        store.all()
    assert (
        f"no results in {store.root}; run a benchmark first (oodbench run) or name another folder: --results-dir"
    ) == str(caught.value)


@pytest.mark.parametrize("name", [".odm-1-seed0.json.x1.tmp", ".odm-1-seed0.json", "odm-1-seed0.json.tmp"])
def test_files_that_are_being_written_are_no_records(store, saved, name):
    (store.root / "tiny" / name).write_text("{")
    assert [saved] == store.all()


def scores_files(store):
    return sorted(path.name for path in (store.root / FILE).parent.glob("*.npz"))


def other_scores(record):
    return dataclasses.replace(some_scores(record), id=np.zeros(record.n_id))


def test_lost_scores_are_made_again_with_force(store, saved):
    path = store.root / "tiny" / f"odm-1a2b3c4d-seed0-{saved.scores_sha256[:8]}.npz"
    path.unlink()
    with pytest.raises(StoreError) as caught:
        store.scores(saved)
    assert (
        f"the scores {path} are missing or do not belong to their record; run the benchmark again with --force"
    ) == str(caught.value)
    assert not store.has_scores(FILE, saved)


def test_damaged_scores_are_refused(store, saved):
    path = store.root / "tiny" / scores_files(store)[0]
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert not store.has_scores(FILE, saved)
    with pytest.raises(StoreError, match="do not belong to their record; run the benchmark again with --force"):
        store.scores(saved)


KILLED = """
import os, signal
from tests.test_records import FILE, ResultStore, other_scores, Path
store = ResultStore(Path("results"))
record, replace = store.load(FILE), os.replace
def last(source, target):
    replace(source, target)
    os.kill(os.getpid(), signal.SIGKILL)
os.replace = last
store.save(FILE, record, other_scores(record))
"""


def test_a_save_that_is_killed_between_its_two_files_leaves_the_earlier_record_with_its_scores(store, saved):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    died = subprocess.run([sys.executable, "-P", "-c", KILLED], env=environment, cwd=store.root.parent, check=False)

    assert died.returncode == -signal.SIGKILL
    assert len(scores_files(store)) == 2
    assert saved == store.load(FILE)
    np.testing.assert_array_equal(store.scores(saved).id, some_scores(saved).id)


def test_a_record_that_is_saved_again_takes_the_scores_of_the_earlier_one_away(store, saved):
    again = store.save(FILE, saved, other_scores(saved))

    assert scores_files(store) == [f"odm-1a2b3c4d-seed0-{again.scores_sha256[:8]}.npz"]
    assert store.scores(again).id.tolist() == [0.0] * 4


def test_the_same_scores_saved_again_stay(store, saved):
    before = scores_files(store)
    assert store.save(FILE, saved, some_scores(saved)) == saved
    assert scores_files(store) == before
    assert store.has_scores(FILE, saved)


def test_scores_under_the_name_of_their_record_are_found_and_give_way_to_new_ones(store, saved):
    named = store.root / "tiny" / scores_files(store)[0]
    older = named.rename((store.root / FILE).with_suffix(".npz"))
    np.testing.assert_array_equal(store.scores(saved).id, some_scores(saved).id)

    again = store.save(FILE, saved, other_scores(saved))

    assert not older.exists()
    assert store.scores(again).id.tolist() == [0.0] * 4


def test_scores_of_a_record_that_was_never_stored_are_refused(store, saved):
    with pytest.raises(StoreError, match=r"no record of msp seed 3 in .*results"):
        store.scores(a_record("msp", seed=3))


@pytest.mark.parametrize("below", [".", "results", "results/deeper"])
def test_a_results_folder_below_a_file_is_refused_before_any_work(tmp_path, below):
    (tmp_path / "file").touch(mode=0o755)
    root = tmp_path / "file" / below
    with pytest.raises(StoreError) as caught:
        ResultStore(root).check_writable()
    cannot = (
        f"the results folder {root} cannot be written to; change its permissions or name another one: --results-dir"
    )
    expected = {".": f"{root} is a file; name a folder for the results: --results-dir"}.get(below, cannot)
    assert expected == str(caught.value)


def test_a_results_folder_that_is_not_there_yet_is_accepted_and_not_made(tmp_path):
    ResultStore(tmp_path / "new" / "results").check_writable()
    assert list(tmp_path.iterdir()) == []


def test_a_variant_shows_only_the_settings_that_are_not_at_their_defaults():
    assert a_record("odm", settings={"margin": 10.0}).variant == "odm"
    assert a_record("odm", settings={"margin": 5.0, "p": 2}, changed={"margin": 5.0}).variant == "odm (margin=5)"


FIRST = ["in_dist", "method", "seed", "out_dist", "role", "accuracy", *METRICS, "recipe"]


def test_a_frame_starts_with_what_tells_rows_apart_and_all_metrics():
    assert list(to_frame([a_record()]).columns)[: len(FIRST)] == FIRST


def test_a_frame_of_stored_records_has_the_same_columns_as_one_of_new_records(store, saved):
    assert list(to_frame([saved]).columns) == list(to_frame(store.all()).columns)


def test_a_frame_has_a_row_for_each_record_and_set():
    rows = [a_row("new"), a_row("noise", "anomaly")]
    frame = to_frame([a_record("msp", rows=rows), a_record("odm", rows=rows, seed=4)])
    expected = [
        ["tiny", "msp", 0, "new", "novelty"],
        ["tiny", "msp", 0, "noise", "anomaly"],
        ["tiny", "odm", 4, "new", "novelty"],
        ["tiny", "odm", 4, "noise", "anomaly"],
    ]
    assert expected == frame[FIRST[:5]].to_numpy().tolist()


def test_a_frame_holds_fractions_in_full_precision(store):
    values = {name: 1 / (i + 3) for i, name in enumerate(METRICS)}
    record = store.save(FILE, a_record(rows=[a_row(metrics=values)], accuracy=2 / 3), some_scores(a_record()))
    frame = to_frame([store.load(FILE)])
    assert values == frame[list(METRICS)].iloc[0].to_dict()
    assert frame["accuracy"].tolist() == [record.accuracy]


def test_a_missing_set_is_a_row_of_nan_without_images():
    frame = to_frame([a_record(missing={"lsun": "anomaly"})])
    (lost,) = frame[frame["out_dist"] == "lsun"].to_dict("records")
    assert (lost["role"], lost["n_ood"], lost["seen"]) == ("anomaly", 0, False)
    assert all(math.isnan(lost[name]) for name in METRICS)


def test_a_missing_set_whose_distribution_was_trained_on_is_seen_nevertheless():
    frame = to_frame([a_record(seen="old", missing={"old": "seen"}), a_record("msp", missing={"old": "seen"})])
    assert frame.loc[frame["out_dist"] == "old", "seen"].tolist() == [True, False]


def test_the_accuracy_of_a_method_that_does_not_classify_is_nan():
    assert math.isnan(to_frame([a_record(accuracy=None)])["accuracy"].item())


def test_a_metric_that_is_newer_than_the_record_is_nan():
    row = a_row()
    older = dataclasses.replace(row, metrics={name: value for name, value in row.metrics.items() if name != "auroc"})
    assert math.isnan(to_frame([a_record(rows=[older])])["auroc"].item())
