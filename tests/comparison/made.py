"""Made results: a folder of small records with scores."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from oodbench.metrics import METRICS, certainty_of, sample_metrics
from oodbench.store.records import ResultStore, Scores
from oodbench.store.samples import samples_of
from tests.report.made import save_results
from tests.test_records import a_record, a_row

SETS = {"near": "novelty", "far": "anomaly"}


def save_cell(
    folder, method="odm", *, skill=1.0, seed=0, noise=0.0, n=100, in_dist="tiny", sets=SETS, recipe="default", **changes
):
    """Store a record of one method that tells ID from OOD as well as its skill says.

    Methods agree on which images are hard, but for their own luck with a seed (`noise`).
    """
    hard = np.random.default_rng(0)
    own = np.random.default_rng([seed, *map(ord, method + str(skill))])
    luck = noise * own.normal()
    scores_id = hard.normal(0, 1, n) + skill + luck + own.normal(0, 0.3, n)
    ood = {name: hard.normal(0, 1, n) + own.normal(0, 0.3, n) for name in sets}
    rows = [
        dataclasses.replace(
            a_row(name, role),
            n_ood=n,
            metrics={metric: METRICS[metric](scores_id, ood[name]) for metric in METRICS},
        )
        for name, role in sets.items()
    ]
    # What is trained in the same way is one experiment, whatever its recipe is called.
    changes.setdefault("training", {"epochs": len(recipe), "learning_rate": 0.1})
    record = a_record(method, in_dist=in_dist, rows=rows, seed=seed, n_id=n, recipe=recipe, **changes)
    scores = Scores(
        id=scores_id,
        ood=ood,
        embedding_id=np.zeros((2, 2), dtype=np.float32),
        labels_id=np.zeros(2, dtype=np.int64),
        embedding_ood={name: np.zeros((2, 2), dtype=np.float32) for name in sets},
    )
    words = "".join(f"{ord(letter):x}" for letter in recipe)[:8]
    file = Path(in_dist) / f"{method}-{words}-seed{seed}.json"
    ResultStore(folder).save(file, record, scores)
    return folder / file


def save_cells(folder, skills, *, seeds=3, **changes):
    """Store several methods with several seeds."""
    for method, skill in skills.items():
        for seed in range(seeds):
            save_cell(folder, method, skill=skill, seed=seed, **changes)
    return folder


def stored_in(folder, *, seeds=1, n=40, sets=None, old=False, certain=True, **numbers):
    """Store two methods whose rows have the metrics over samples that their samples give, and some other numbers.

    `certain` says whether what probabilities say is stored, as versions before it did not.
    """
    store = ResultStore(
        save_results(folder, {"odm": 2.0, "msp": 0.2}, seeds=seeds, n=n, old=old, sets=sets or {"near": "novelty"})
    )
    for record in store.all():
        scores = store.scores(record)
        if certain and scores.true_id is not None:
            drawn = np.random.default_rng(record.seed).dirichlet(np.ones(len(record.class_names)), len(scores.id))
            scores = dataclasses.replace(scores, certainty_id=certainty_of(drawn, scores.true_id).astype(np.float32))
        rows = [
            dataclasses.replace(
                row, metrics={**row.metrics, **sample_metrics(samples_of(record, scores, row.out_dist)), **numbers}
            )
            for row in record.rows
        ]
        store.save(store.file_of(record), dataclasses.replace(record, rows=tuple(rows)), scores)
    return store, store.all()
