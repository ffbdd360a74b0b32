"""Scores as the few numbers that histograms, thresholds and curves are drawn from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oodbench.errors import MetricError
from oodbench.metrics import delong_interval

from .chapter import Chapter, Shown

BINS = 50
GRID = (
    *(i / 100 for i in range(1, 50)),
    *(i / 200 for i in range(100, 190)),
    *(i / 1000 for i in range(950, 1001)),
)
"""True positive rates that thresholds stand at: closer where thresholds are chosen."""

Floats = NDArray[np.float64]


def curves(chapter: Chapter) -> list[dict[str, Any]]:
    """Return of each method, in the order of the page, what its histograms and curves are drawn from.

    Args:
        chapter: whose shown seeds are drawn.

    Returns:
        For each method `n_id`, `thresholds` and `tpr` at the places of `GRID`, `right` (share of the accepted ID images
        that are classified right, or None where that is not known), and `sets`: for each OOD set None or a histogram
        with `low` and `high` ends and shares of `id` and `ood` images, `fpr` at the same places, `n`, `auroc` and its
        `interval`.
    """
    return [_of_method(chapter.shown[method], list(chapter.sets)) for method in chapter.methods]


def _of_method(shown: Shown, sets: list[str]) -> dict[str, Any]:
    scores = shown.scores
    order = np.argsort(-scores.id, kind="stable")
    ordered = scores.id[order]
    # The threshold that accepts at least so many ID images; those with equal scores are accepted together.
    thresholds = ordered[[max(0, math.ceil(tpr * len(ordered) - 1e-9) - 1) for tpr in GRID]]
    accepted = np.searchsorted(-ordered, -thresholds, side="right")
    return {
        "n_id": len(ordered),
        "thresholds": _short(thresholds),
        "tpr": _short(accepted / len(ordered)),
        "right": _right(shown, order, accepted),
        "sets": [_on_set(shown, name, thresholds) for name in sets],
    }


def _right(shown: Shown, order: NDArray[np.intp], accepted: NDArray[np.intp]) -> list[float] | None:
    """Return the share of accepted ID images that are classified right, or None in records that do not know it."""
    scores = shown.scores
    if scores.predicted_id is None or scores.true_id is None or len(shown.record.class_names) < 2:
        return None
    right = np.cumsum((scores.predicted_id == scores.true_id)[order])
    return _short(right[accepted - 1] / accepted)


def _on_set(shown: Shown, name: str, thresholds: Floats) -> dict[str, Any] | None:
    if name not in shown.sets:
        return None
    own = shown.sets[name]
    scores_id, scores_ood = shown.scores.id, shown.scores.ood[own]
    ascending = np.sort(scores_ood)
    fpr = 1 - np.searchsorted(ascending, thresholds, side="left") / len(ascending)
    ends = np.percentile(scores_id, [1, 99]), np.percentile(scores_ood, [1, 99])
    low, high = float(np.min(ends)), float(np.max(ends))
    high = high if high > low else low + 1
    row = next(row for row in shown.record.rows if row.out_dist == own)
    return {
        "low": _rounded(low),
        "high": _rounded(high),
        "id": _histogram(scores_id, low, high),
        "ood": _histogram(scores_ood, low, high),
        "fpr": _short(fpr),
        "n": len(scores_ood),
        "auroc": _rounded(row.metrics.get("auroc", math.nan)),
        "interval": _interval(scores_id, scores_ood),
    }


def _histogram(values: Floats, low: float, high: float) -> list[float]:
    """Return the share of images in each bin; what lies beyond the ends is in the outermost ones."""
    counts, _ = np.histogram(values.clip(low, high), bins=BINS, range=(low, high))
    return _short(counts / len(values))


def _interval(scores_id: Floats, scores_ood: Floats) -> list[float] | None:
    try:
        interval = delong_interval(scores_id, scores_ood)
    # Of a single image nothing is known.
    except MetricError:
        return None
    return [_rounded(interval.low), _rounded(interval.high)]


def _short(values: Floats) -> list[Any]:
    return [_rounded(float(value)) for value in values]


def _rounded(value: float) -> Any:
    """Return a number in five significant digits, which a page needs no more of; None for what is none."""
    if not math.isfinite(value):
        return None
    short = float(f"{value:.5g}")
    return int(short) if short.is_integer() and abs(short) < 1e6 else short
