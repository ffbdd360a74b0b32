"""Pictures of stored results: embeddings, score histograms, ROC curves, mean ranks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from .embeddings import draw_embeddings
from .histograms import draw_histograms
from .nearest import draw_nearest
from .ranks import draw_ranks
from .roc import draw_roc
from .split import draw_split

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from oodbench.store.records import Record, Scores

__all__ = ["KINDS", "draw_embeddings", "draw_histograms", "draw_nearest", "draw_ranks", "draw_roc", "draw_split"]

KINDS: Mapping[str, Callable[[Sequence[tuple[Record, Scores]]], Figure]] = {
    "embeddings": draw_embeddings,
    "histograms": draw_histograms,
    "roc": draw_roc,
}
