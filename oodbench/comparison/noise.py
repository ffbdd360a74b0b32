"""How sure the numbers of a table are: which methods cannot be told from the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from oodbench.store.records import Scores
from oodbench.store.rows import to_frame
from oodbench.tables.columns import AS_GOOD, AS_GOOD_OVER
from oodbench.tables.experiments import experiments
from oodbench.tables.layouts import labels
from oodbench.tables.means import means_of

from .mean_auroc import best_aurocs

if TYPE_CHECKING:
    import pandas as pd

    from oodbench.store.records import Record


class ScoreSource(Protocol):
    """What finds the raw scores of records, such as a `ResultStore`."""

    def scores(self, record: Record, /) -> Scores:
        """Return the raw scores of a record.

        Raises:
            StoreError: they are missing or damaged.
        """
        ...


def add_as_good(frame: pd.DataFrame, store: ScoreSource, records: Sequence[Record]) -> pd.DataFrame:
    """Return result rows with what cannot be told from the best by the AUROC, on their OOD set and in means over sets.

    Args:
        frame: rows of these records, as `oodbench.store.rows.to_frame` gives them.
        store: where the raw scores are.
        records: the records.

    Returns:
        With two columns: whether the method of a row may be as good as the best of its OOD set; and the names of the
        means of `MEANS` in which it may be as good as the best, with blanks between. The best itself is not marked.

    Raises:
        StoreError: scores are missing or damaged.
    """
    named = _named(records)
    good: dict[tuple[str, str, str], list[str]] = {}
    for _, rows in named.groupby("in_dist", sort=False):
        # The scores of one benchmark at a time.
        results = _results(rows, records, store)
        sets = {str(name): (str(name),) for name in rows["out_dist"]}
        means = {f"{_MEAN}{name}": shared for name, shared in means_of(rows).items()}
        for name, best in best_aurocs(results, {**sets, **means}).items():
            over = (name,) if name in sets else means[name]
            ties = rows[rows["label"].isin(best.as_good) & (rows["label"] != best.name) & rows["out_dist"].isin(over)]
            for i, own_set in zip(ties["record"], ties["own_set"], strict=True):
                key = records[i].benchmark["name"], records[i].key, own_set
                good.setdefault(key, []).append("" if name in sets else name.removeprefix(_MEAN))
    found = [good.get(key, []) for key in keys_of(frame)]
    marked = frame.assign(**{AS_GOOD: ["" in one for one in found]})
    return marked.assign(**{AS_GOOD_OVER: [" ".join(filter(None, one)) for one in found]})


_MEAN = "mean over "
"""Before the name of a mean, so that no OOD set is called so."""


def _named(records: Sequence[Record]) -> pd.DataFrame:
    """Return rows with the names that tables have, `label` of the method, and which record and set they are of."""
    sizes = [len(record.rows) + len(record.missing) for record in records]
    frame = to_frame(records)
    frame = frame.assign(record=[i for i, size in enumerate(sizes) for _ in range(size)], own_set=frame["out_dist"])
    named = experiments(frame)
    named = named.assign(label=labels(named))
    return named[named["n_ood"] > 0]


def _results(
    rows: pd.DataFrame, records: Sequence[Record], store: ScoreSource
) -> dict[str, list[tuple[Record, Scores]]]:
    """Return the results of each method under the names of the rows."""
    found: dict[str, list[tuple[Record, Scores]]] = {}
    for (label, place), own in rows.groupby(["label", "record"], sort=False):
        i = int(str(place))
        names = dict(zip(own["own_set"], own["out_dist"], strict=True))
        record, scores = records[i], store.scores(records[i])
        renamed = tuple(replace(row, out_dist=names[row.out_dist]) for row in record.rows if row.out_dist in names)
        ood = {names[name]: values for name, values in scores.ood.items() if name in names}
        found.setdefault(str(label), []).append((replace(record, rows=renamed), Scores(id=scores.id, ood=ood)))
    return found


def keys_of(frame: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Return what tells rows apart: the benchmark, the key of the cell and the OOD set."""
    return list(zip(frame["in_dist"], frame["key"], frame["out_dist"], strict=True))
