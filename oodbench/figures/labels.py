"""What the rows, lines and panels of a figure stand for."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from oodbench.spelling import for_matplotlib

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from oodbench.store.records import Record


def names_of(records: Sequence[Record]) -> list[str]:
    """Return a name for each record, which says what differs where methods or images of one name are not the same.

    Where there are several recipes, they are named as well.
    """
    from oodbench.store.rows import to_frame
    from oodbench.tables.experiments import experiments

    several = len({record.recipe for record in records}) > 1
    rows = experiments(to_frame(records)).drop_duplicates("key").set_index("key")
    names = []
    for record in records:
        # Of two records of one experiment and seed, the tables know one.
        row = rows.loc[record.key] if record.key in rows.index else None
        images = "" if row is None else row["in_dist"].removeprefix(record.benchmark["name"])
        name = f"{record.variant if row is None else row['variant']}{images}"
        names.append(f"{name} [{record.recipe}]" if several else name)
    return names


LETTER = 0.068
"""Width of a letter of a title, in inches."""


def add_title(figure: Figure, records: Sequence[Record], **where: Any) -> None:
    """Write over a figure what its results have in common: the in-distribution set, the seed, a reduced training.

    Args:
        figure: to write on.
        records: its results.
        where: as `Figure.suptitle` takes it.
    """
    recipes = sorted({record.recipe for record in records if record.cut_short})
    reduced = f"; reduced training: {', '.join(recipes)}" if recipes else ""
    title = f"{records[0].benchmark['name']} as in-distribution, seed {records[0].seed}{reduced}"
    # A long recipe does not go over the edges of a narrow figure.
    lines = textwrap.fill(title, max(30, int(figure.get_figwidth() / LETTER)), break_long_words=False)
    figure.suptitle(for_matplotlib(lines), fontsize=9, color="#555555", **where)


def wrapped(name: str) -> str:
    """Return a name in lines that are short enough to stand beside a row of panels."""
    return for_matplotlib(textwrap.fill(name, 18, break_long_words=False))


def roles_of(records: Sequence[Record]) -> dict[str, str]:
    """Return the role of every OOD set that was there for any of the records."""
    return {row.out_dist: row.role for record in records for row in record.rows}
