"""Codes of auto-encoders are kept to be drawn, wide ones by their first principal components."""

from __future__ import annotations

import numpy as np

import oodbench
from oodbench.figures import draw_embeddings
from oodbench.store.records import ResultStore
from tests.helpers import small_benchmark


def test_codes_are_drawn_wide_ones_by_principal_components_and_densities_not_at_all(tmp_path):
    methods = ["autoencoder(width=4,code_dim=4)", "skip(width=4,code_dim=24)", "pixel_gmm"]
    oodbench.run(small_benchmark(), methods, recipe="short", results_dir=tmp_path / "r", cache_dir=tmp_path / "c")
    store = ResultStore(tmp_path / "r")
    results = {record.method: (record, store.scores(record)) for record in store.all()}
    points = {name: scores.embedding_id for name, (_, scores) in results.items()}

    assert points["autoencoder"].shape == (len(results["autoencoder"][1].id), 4)
    assert points["skip"].shape[1] == 10
    spread = points["skip"].var(axis=0)
    assert (np.diff(spread) <= 0).all()
    assert {values.shape[1] for values in results["skip"][1].embedding_ood.values()} == {10}
    assert points["pixel_gmm"] is None
    names = [text.get_text() for text in draw_embeddings([*results.values()]).texts]
    assert sum("skip" in name or "autoencoder" in name for name in names) == 2
