"""Embeddings as points to turn: those of the ID classes, and of each OOD set."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oodbench.figures.embeddings import projector

from .chapter import Chapter

POINTS_ID = 300
POINTS_OOD = 200
"""Drawn of each: more hide each other, and a page must stay small."""


def clouds(chapter: Chapter) -> list[dict[str, Any]]:
    """Return the points of each network: methods that share a network share them.

    Args:
        chapter: whose shown seeds are drawn.

    Returns:
        For each network `methods` that use it, `dimensions` (1 to 3), whether they are `projected` on principal
        components, `id` (a list for each coordinate), `labels` of these points or None, and `sets` (for each OOD set
        coordinates as well, or None). Networks without embeddings are left out.
    """
    found: dict[object, dict[str, Any]] = {}
    for method in chapter.methods:
        shown = chapter.shown[method]
        embedding = shown.scores.embedding_id
        if embedding is None:
            continue
        weights = shown.record.fingerprints.get("members") or shown.record.fingerprints.get("weights") or method
        if weights in found:
            found[weights]["methods"].append(method)
            continue
        project = projector(embedding)
        chosen = _spread(len(embedding), POINTS_ID)
        labels = shown.scores.labels_id
        points = project(embedding[chosen])
        found[weights] = {
            "methods": [method],
            "dimensions": points.shape[1],
            "projected": embedding.shape[1] > points.shape[1],
            "id": _columns(points),
            "labels": None if labels is None else labels[chosen].tolist(),
            "sets": [
                _of_set(shown.scores.embedding_ood.get(shown.sets.get(name, "")), project) for name in chapter.sets
            ],
        }
    return [*found.values()]


def _of_set(embedding: NDArray[np.float32] | None, project: Any) -> list[list[float]] | None:
    return None if embedding is None else _columns(project(embedding[_spread(len(embedding), POINTS_OOD)]))


def _spread(count: int, wanted: int) -> NDArray[np.intp]:
    return np.linspace(0, count - 1, min(wanted, count)).astype(np.intp)


def _columns(points: NDArray[np.float32]) -> list[list[float]]:
    """Return coordinates one after another, in four digits of the widest: more is not seen."""
    size = float(np.abs(points).max()) if points.size else 1.0
    digits = 3 - int(np.floor(np.log10(size))) if size > 0 and np.isfinite(size) else 3
    return [[float(value) for value in np.round(column.astype(np.float64), digits)] for column in points.T]
