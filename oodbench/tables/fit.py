"""Tables for a narrow terminal: fewer or shorter columns, and a word on what was left out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from .model import Entry, Span, Table, plain_text
from .render import least_width

_DEVIATION = re.compile(r" ± [\d.]+| \[[^\]]+, [^\]]+\]")
SHORTEST = 8
"""Letters that are left of a text at least."""


def fitted(table: Table, width: int) -> Table:
    """Return a table that is no wider than a terminal, as far as that can be.

    Deviations over seeds, or intervals, go first, then numeric columns from the right, those that matter most
    (`Table.essential`) last, then the other columns but the first and the last of the names; in the end texts are cut.

    Args:
        table: to be shown.
        width: of the terminal, in letters.

    Returns:
        The table itself where it fits; else a narrower one, whose last note says what was left out.
    """
    if least_width(table) <= width:
        return table
    said: list[str] = []
    narrow = _without_deviations(table)
    if narrow != table:
        intervals = any("[" in span.text for row in table.rows for entry in row[table.numeric :] for span in entry)
        said.append("intervals" if intervals else "± over seeds")
    dropped: list[int] = []
    for column in _expendable(table):
        if least_width(_without(narrow, dropped)) <= width:
            break
        dropped.append(column)
    said += [table.header[column].rstrip(" ↑↓") for column in sorted(dropped)]
    narrow = _without(narrow, dropped)
    if least_width(narrow) > width:
        narrow = _cut(narrow, width)
        said.append("what “…” stands for")
    note = f"Left out to fit {width} columns: {', '.join(said)}. All of it: a wider terminal, or --format csv."
    return replace(narrow, notes=(*table.notes, note))


def _without_deviations(table: Table) -> Table:
    rows = tuple(
        tuple(tuple(replace(span, text=_DEVIATION.sub("", span.text)) for span in entry) for entry in row)
        for row in table.rows
    )
    return replace(table, rows=rows)


def _expendable(table: Table) -> list[int]:
    """Return columns in the order in which they are dropped; one numeric column always stays."""
    first = table.numeric or 1
    numeric = list(reversed(range(first, len(table.header))))
    essential = [column for column in numeric if column in table.essential] or numeric[-1:]
    order = [column for column in numeric if column not in essential]
    # Between the first and the last of the names stands what describes them, such as the accuracy.
    order += reversed(range(1, first - 1))
    return order + essential[:-1]


def _without(table: Table, dropped: Sequence[int]) -> Table:
    kept = [column for column in range(len(table.header)) if column not in dropped]
    return replace(
        table,
        header=tuple(table.header[column] for column in kept),
        rows=tuple(tuple(row[column] for column in kept) for row in table.rows),
        merged=sum(column < table.merged for column in kept),
        numeric=sum(column < table.numeric for column in kept),
        essential=(),
    )


def _cut(table: Table, width: int) -> Table:
    """Return a table whose longest texts are cut, one column after another."""
    limits = [max([0, *(len(plain_text(row[column])) for row in table.rows)]) for column in range(len(table.header))]
    while least_width(table) > width and max(limits, default=0) > SHORTEST:
        column = limits.index(max(limits))
        limits[column] = max(SHORTEST, limits[column] - max(1, least_width(table) - width))
        rows = tuple(
            tuple(_shortened(entry, limits[i]) if i == column else entry for i, entry in enumerate(row))
            for row in table.rows
        )
        table = replace(table, rows=rows)
    return table


def _shortened(entry: Entry, limit: int) -> Entry:
    if len(plain_text(entry)) <= limit:
        return entry
    kept: list[Span] = []
    left = limit - 1
    for span in entry:
        if left <= 0:
            break
        kept.append(replace(span, text=span.text[:left]))
        left -= len(span.text)
    return (*kept, Span("…"))
