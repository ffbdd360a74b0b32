"""A table before it has a format: cells of marked texts, with a caption and notes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mark = Literal["", "best", "worst", "aside", "tie"]
"""Bold, red, quieter than the rest (published numbers, differences), or a sign that belongs to the number before it."""


@dataclass(frozen=True)
class Span:
    """A piece of a cell.

    Attributes:
        text: without any markup.
        mark: how it stands out.
    """

    text: str
    mark: Mark = ""


AS_GOOD_SIGN = Span(" ≈", "tie")
"""Follows the number of a method that cannot be told from the best one."""

Entry = tuple[Span, ...]
"""One cell of a table."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table.

    Attributes:
        caption: what it shows.
        header: a title for each column.
        rows: as many entries each as there are columns.
        groups: for each row, which block it belongs to; a rule stands between blocks.
        merged: number of first columns in which a value that repeats in a block is printed once.
        notes: sentences below the table.
        numeric: index of the first column that is set flush right.
        essential: numeric columns that stay where there is no room for all.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]
    groups: tuple[int, ...]
    merged: int = 0
    notes: tuple[str, ...] = ()
    numeric: int = 0
    essential: tuple[int, ...] = ()

    def starts_block(self, row: int) -> bool:
        """Return whether a rule stands above a row."""
        return row > 0 and self.groups[row] != self.groups[row - 1]

    def printed(self, row: int) -> tuple[Entry, ...]:
        """Return a row without the values that the row above, of the same block, has in the merged columns."""
        entries = self.rows[row]
        if row == 0 or self.starts_block(row):
            return entries
        above = self.rows[row - 1]
        return tuple(
            () if column < self.merged and entry == above[column] else entry for column, entry in enumerate(entries)
        )


def plain_text(entry: Entry) -> str:
    """Return a cell without its marks."""
    return "".join(span.text for span in entry)


def value_text(entry: Entry) -> str:
    """Return a cell without its marks, and without the signs behind numbers: for programs."""
    return "".join(span.text for span in entry if span.mark != "tie")
