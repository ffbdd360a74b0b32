"""Made results for pages: methods that tell ID from OOD as well as their skill says, with embeddings and classes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from oodbench.metrics import auroc
from oodbench.store.records import ResultStore, Scores
from tests.test_records import a_record, a_row

SETS = {"near": "novelty", "far": "anomaly"}


def save_results(
    folder, skills, *, sets=SETS, seeds=1, n=60, in_dist="tiny", classes=("cat", "dog"), old=False, **changes
):
    """Store results of several methods; old ones know no class of any image."""
    for method, skill in skills.items():
        for seed in range(seeds):
            random = np.random.default_rng([seed, *map(ord, method)])
            labels = np.arange(n) % len(classes)
            ood = {name: random.normal(0, 1, n) for name in sets}
            scores = Scores(
                id=random.normal(skill, 1, n),
                ood=ood,
                predicted_id=None if old else np.where(np.arange(n) % 10 == 0, 1 - labels, labels),
                true_id=None if old else labels,
                predicted_ood={} if old else dict.fromkeys(sets, labels),
                embedding_id=random.normal(size=(n, 3)).astype(np.float32) + labels[:, None],
                labels_id=labels,
                embedding_ood={name: random.normal(size=(n, 3)).astype(np.float32) for name in sets},
            )
            rows = [
                dataclasses.replace(
                    a_row(name, role, auroc=auroc(scores.id, ood[name]), fpr_at_95tpr=0.1 + skill / 100), n_ood=n
                )
                for name, role in sets.items()
            ]
            record = a_record(method, in_dist=in_dist, rows=rows, seed=seed, n_id=n, class_names=classes, **changes)
            if old:
                record = dataclasses.replace(record, schema=1)
            ResultStore(folder).save(Path(in_dist) / f"{method}-1a2b3c4d-seed{seed}.json", record, scores)
    return folder
