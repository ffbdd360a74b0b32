"""Our scores under the evaluation code of 2018, beside the exact numbers."""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest

from oodbench.metrics import auroc
from oodbench.store.records import ResultStore
from oodbench.store.rows import to_frame
from oodbench.tables import make_table
from oodbench.tables.legacy import PREFIX, add_legacy
from tests.test_records import a_record, a_row, some_scores


@pytest.fixture
def stored():
    """Have one record whose scores tie at the top, as those of a saturated softmax do."""
    store = ResultStore(Path("results"))
    rng = np.random.default_rng(0)
    scores = some_scores(a_record())
    tied = {name: np.minimum(1.0, rng.normal(0.9, 0.2, 200)) for name in scores.ood}
    scores = type(scores)(
        id=np.minimum(1.0, rng.normal(1.1, 0.2, 200)),
        ood=tied,
        embedding_id=scores.embedding_id,
        labels_id=scores.labels_id,
        embedding_ood=scores.embedding_ood,
    )
    record = a_record(rows=tuple(a_row(out_dist=name) for name in tied))
    file = Path(record.benchmark["name"]) / f"{record.method}-00000000-seed{record.seed}.json"
    record = store.save(file, record, scores)
    return store, record, scores


def test_columns_are_those_of_the_replica_on_the_stored_scores(stored):
    store, record, scores = stored

    frame = add_legacy(to_frame([record]), store, [record])

    expected = [auroc(scores.id, scores.ood[row.out_dist], legacy="ccag") for row in record.rows]
    assert frame[f"{PREFIX}auroc"].tolist() == expected
    assert all(expected < np.array([auroc(scores.id, scores.ood[row.out_dist]) for row in record.rows]))


def test_table_has_a_line_with_them_below_each_set(stored):
    store, record, _ = stored
    frame = add_legacy(to_frame([record]), store, [record])

    rows = list(csv.DictReader(io.StringIO(make_table(frame, layout="table1", format="csv"))))

    assert [row["Out-dist"] for row in rows[:2]] == [record.rows[0].out_dist, "with the CC-AG code"]
    assert float(rows[1]["AUROC"]) == pytest.approx(100 * frame[f"{PREFIX}auroc"][0], abs=0.05)


def test_table_without_them_has_no_such_line(stored):
    _, record, _ = stored

    assert "CC-AG code" not in make_table(to_frame([record]), layout="table1")


def test_scores_that_are_all_equal_are_a_dash_and_the_table_is_printed():
    store, record = ResultStore(Path("results")), a_record(rows=[a_row("same"), a_row("other")])
    scores = some_scores(record)
    same = {"same": np.ones(3), "other": scores.ood["other"]}
    scores = dataclasses.replace(scores, id=np.ones(record.n_id), ood=same)
    record = store.save(Path("tiny/odm-00000000-seed0.json"), record, scores)

    frame = add_legacy(to_frame([record]), store, [record])

    assert frame[[f"{PREFIX}auroc", f"{PREFIX}tnr_at_95tpr"]].isna().all(axis=1).tolist() == [True, False]
    lines = list(csv.DictReader(io.StringIO(make_table(frame, layout="table1", format="csv"))))
    assert next(line["AUROC"] for line in lines if line["Out-dist"] == "with the CC-AG code") == "–"
