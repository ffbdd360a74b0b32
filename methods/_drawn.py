"""A part of a set of images that is drawn from a seed: the first ones of a folder are all of its first classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oodbench.batch import Batch


def drawn(batch: Batch, count: int | None, seed: int) -> Batch:
    """Return `count` images of a batch, drawn without replacement from a seed; all of them where it has no more."""
    import numpy as np

    if count is None or count >= len(batch):
        return batch
    return batch.at(np.sort(np.random.default_rng(seed).permutation(len(batch))[:count]))
