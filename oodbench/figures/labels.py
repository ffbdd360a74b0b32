"""What the rows, lines and panels of a figure stand for."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oodbench.records import Record


def names_of(records: Sequence[Record]) -> list[str]:
    """Return a name for each record; where there are several recipes, they are named as well."""
    several = len({record.recipe for record in records}) > 1
    return [f"{record.variant} [{record.recipe}]" if several else record.variant for record in records]


def wrapped(name: str) -> str:
    """Return a name in lines that are short enough to stand beside a row of panels."""
    return textwrap.fill(name, 18, break_long_words=False)


def roles_of(records: Sequence[Record]) -> dict[str, str]:
    """Return the role of every OOD set that was there for any of the records."""
    return {row.out_dist: row.role for record in records for row in record.rows}
