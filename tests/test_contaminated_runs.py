"""Runs on training images that are not clean: their records and tables say so."""

from __future__ import annotations

import json

import oodbench
from oodbench.store.records import ResultStore
from tests.helpers import small_benchmark


def test_methods_with_and_without_labels_run_on_images_without_labels(tmp_path):
    options = {"results_dir": tmp_path / "r", "cache_dir": tmp_path / "c", "recipe": "short"}
    methods = ["mahalanobis", "temperature_scaling", "skip(width=4)", "autoencoder(width=4)"]

    frame = oodbench.run(small_benchmark(), methods, contaminate="0.1:uniform", contaminate_labels="none", **options)

    assert set(frame["method"]) == {"mahalanobis", "temperature_scaling", "skip", "autoencoder"}
    text = oodbench.make_table(oodbench.load_results(tmp_path / "r"), "table2")
    assert "of uniform (train), without labels." in text


def test_clean_and_contaminated_results_stand_apart_and_the_table_says_which_is_which(tmp_path):
    options = {"results_dir": tmp_path / "r", "cache_dir": tmp_path / "c", "recipe": "short"}
    clean = oodbench.run(small_benchmark(), "msp", **options)
    dirty = oodbench.run(small_benchmark(), "msp", contaminate="0.1:uniform", **options)

    assert set(clean["contamination"]) == {""}
    (facts,) = {json.loads(text)["images"] for text in dirty["contamination"]}
    assert facts > 0
    records = {record.benchmark["name"]: record for record in ResultStore(tmp_path / "r").all()}
    assert [record.contamination and record.contamination["set"] for record in records.values()] == [None, "uniform"]
    prints = [record.fingerprints for record in records.values()]
    assert prints[0]["id_train"] != prints[1]["id_train"]
    assert prints[0]["id_test"] == prints[1]["id_test"]
    text = oodbench.make_table(oodbench.load_results(tmp_path / "r"), "table2")
    assert "small-with-0.1-uniform: " in text
    assert "ID training images (10%) are of uniform (train), under random labels" in text
