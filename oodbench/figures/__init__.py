"""Pictures of stored results: embeddings, score histograms, ROC curves, mean ranks."""

from __future__ import annotations

import itertools
import math
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

__all__ = [
    "KINDS",
    "draw_embeddings",
    "draw_histograms",
    "draw_nearest",
    "draw_pages",
    "draw_ranks",
    "draw_roc",
    "draw_split",
]

KINDS: Mapping[str, Callable[[Sequence[tuple[Record, Scores]]], Figure]] = {
    "embeddings": draw_embeddings,
    "histograms": draw_histograms,
    "roc": draw_roc,
}

A_PAGE: Mapping[str, int] = {"embeddings": 6, "histograms": 12}
"""How many rows of panels a picture of a kind has at most: more are too small on a screen, and too long to read."""


def draw_pages(kind: str, results: Sequence[tuple[Record, Scores]]) -> list[Figure]:
    """Draw results as pictures of one kind: one, or several of some rows each where there are many.

    Args:
        kind: of `KINDS`.
        results: records of one benchmark with their scores.

    Returns:
        Figures, not shown and not saved; each of several says which it is.

    Raises:
        ConfigError: none of the results can be drawn so.
    """
    rows: dict[object, list[tuple[Record, Scores]]] = {}
    for number, result in enumerate(results):
        # Methods that share a network share a row of embeddings, and what has none has no row.
        if kind == "embeddings" and result[1].embedding_id is None:
            continue
        rows.setdefault(result[0].fingerprints["weights"] if kind == "embeddings" else number, []).append(result)
    most = A_PAGE.get(kind, len(results))
    if len(rows) <= most:
        return [KINDS[kind](results)]
    # As many rows on each as can be: a last page with a single one looks like a mistake.
    count = math.ceil(len(rows) / most)
    ends = [round(page * len(rows) / count) for page in range(count + 1)]
    figures = []
    for page, (start, end) in enumerate(itertools.pairwise(ends), start=1):
        figure = KINDS[kind]([result for row in list(rows.values())[start:end] for result in row])
        inch = 1 / figure.get_figheight()
        figure.text(0.995, 1 - 0.08 * inch, f"{page} of {count}", ha="right", va="top", fontsize=9, color="#555555")
        figures.append(figure)
    return figures
