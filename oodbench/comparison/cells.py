"""The cells of a results folder, by names that tell experiments apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from oodbench.errors import StoreError, UnknownName, did_you_mean
from oodbench.store.records import Record, ResultStore, Scores, open_results
from oodbench.store.selection import as_stored, benchmarks_of, recipes_of


class CellName(NamedTuple):
    """What a cell is called: two of one name in two folders are the same cell."""

    in_dist: str
    variant: str
    recipe: str
    seed: int

    def __str__(self) -> str:
        return f"{self.in_dist} {self.variant} [{self.recipe}] seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Stored cells of one folder.

    Attributes:
        store: where they are.
        records: by name, in the order of their files.
    """

    store: ResultStore
    records: Mapping[CellName, Record]

    def scores(self, name: CellName) -> Scores:
        """Return the raw scores of a cell.

        Raises:
            StoreError: they are missing or damaged.
        """
        return self.store.scores(self.records[name])

    @property
    def variants(self) -> list[str]:
        """Names of methods, each once."""
        return list(dict.fromkeys(name.variant for name in self.records))

    @property
    def recipes(self) -> list[str]:
        """Names of recipes, each once."""
        return list(dict.fromkeys(name.recipe for name in self.records))


def load_cells(
    folder: Path, *, benchmarks: Sequence[str] = (), methods: Sequence[str] = (), recipe: str | None = None
) -> Cells:
    """Return the cells of a results folder, or of the folder of one benchmark in it.

    Args:
        folder: as `oodbench run` wrote it.
        benchmarks: only these, or the members of suites; all where there are none.
        methods: only these, or variants such as "odm (margin=5)"; all where there are none.
        recipe: only this one.

    Raises:
        StoreError: there are none, or a record is not whole.
        UnknownName: there is no such benchmark, method or recipe in it.
    """
    if not folder.is_dir():
        raise StoreError(f"{folder} is no folder of results; name one that oodbench run has written")
    store, records = open_results(folder)
    _check(benchmarks, {name for record in records for name in benchmarks_of(record)}, "benchmark", folder)
    names = {name for record in records for name in (record.method, record.variant)}
    wanted = [as_stored(method, names) for method in methods]
    _check(wanted, names, "method", folder)
    _check([recipe] if recipe else [], {name for record in records for name in recipes_of(record)}, "recipe", folder)
    chosen = [
        record
        for record in records
        if (not benchmarks or any(name in benchmarks for name in benchmarks_of(record)))
        and (not wanted or record.method in wanted or record.variant in wanted)
        and (recipe is None or recipe in recipes_of(record))
    ]
    if not chosen:
        raise StoreError(f"no result in {folder} fits all of these options; see: oodbench table --layout flat")
    return Cells(store=store, records=name_cells(chosen))


def name_cells(records: Sequence[Record]) -> dict[CellName, Record]:
    """Return records by names that say what differs where experiments of one name are not the same."""
    from oodbench.store.rows import to_frame
    from oodbench.tables.experiments import experiments

    sizes = [len(record.rows) + len(record.missing) for record in records]
    frame = to_frame(records).assign(record=[i for i, size in enumerate(sizes) for _ in range(size)])
    named = experiments(frame).drop_duplicates("record")
    columns = (named[column] for column in ("in_dist", "variant", "recipe", "seed", "record"))
    return {
        CellName(in_dist, variant, recipe, int(seed)): records[i]
        for in_dist, variant, recipe, seed, i in zip(*columns, strict=True)
    }


def _check(names: Sequence[str], known: set[str], what: str, folder: Path) -> None:
    for name in names:
        if name not in known:
            raise UnknownName(f"no {what} {name!r} in {folder}{did_you_mean(name, known)}")
