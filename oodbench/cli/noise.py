"""Marks in tables: what cannot be told from the best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from oodbench.comparison.noise import ScoreSource
    from oodbench.store.records import Record


def with_as_good(frame: pd.DataFrame, store: ScoreSource, records: Sequence[Record]) -> pd.DataFrame:
    """Return rows with what cannot be told from the best; without, and a word on it, where there are no scores."""
    from oodbench.comparison.noise import add_as_good
    from oodbench.errors import StoreError

    from .terminal import stderr

    try:
        return add_as_good(frame, store, records)
    except StoreError as error:
        stderr().print(f"no method is marked as being as good as the best: {error}")
        return frame
