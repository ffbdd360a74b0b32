"""Which stored records a table, a picture or a page is about."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from oodbench.errors import StoreError, UnknownName, did_you_mean
from oodbench.objectives import CrossEntropy

from .records import Record, ResultStore, open_results


def check_choice(value: str | None, choices: Iterable[str], what: str) -> None:
    """Refuse a word that is not among the choices.

    Raises:
        UnknownName: with the nearest choices.
    """
    if value is not None and value not in choices:
        raise UnknownName(f"no {what} {value!r}{did_you_mean(value, choices)}")


def select(
    results_dir: Path, *, benchmarks: Sequence[str], methods: Sequence[str], recipe: str | None
) -> tuple[ResultStore, list[Record]]:
    """Return the store and its records of these benchmarks and methods, in the order in which they are named.

    Args:
        results_dir: folder of the records, or that of one benchmark in it.
        benchmarks: names; all where there are none.
        methods: names, or variants such as "odm (margin=5)"; all where there are none.
        recipe: name of a training recipe; all where it is None.

    Raises:
        StoreError: there are no such records, or one is not whole.
        UnknownName: no record has such a benchmark, method or recipe.
    """
    return select_from([results_dir], benchmarks=benchmarks, methods=methods, recipe=recipe)[0]


def select_from(
    folders: Sequence[Path], *, benchmarks: Sequence[str], methods: Sequence[str], recipe: str | None
) -> list[tuple[ResultStore, list[Record]]]:
    """Return the stores of several folders and their records of these benchmarks and methods, see `select`.

    A folder that has none of them is left out.

    Args:
        folders: of records; what is named must be in one of them.
        benchmarks: names; all where there are none.
        methods: names, or variants; all where there are none.
        recipe: name of a training recipe; all where it is None.

    Raises:
        StoreError: there are no such records, or one is not whole.
        UnknownName: no record has such a benchmark, method or recipe.
    """
    opened = [open_results(folder) for folder in folders]
    records = [record for _, stored in opened for record in stored]
    for value in benchmarks:
        check_choice(value, {name for record in records for name in benchmarks_of(record)}, "stored benchmark")
    names = {name for record in records for name in (record.method, record.variant)}
    methods = [as_stored(value, names) for value in methods]
    for value in methods:
        check_choice(value, names, "stored method")
    check_choice(recipe, {name for record in records for name in recipes_of(record)}, "stored recipe")

    def wanted(record: Record) -> bool:
        return (
            (not benchmarks or any(name in benchmarks for name in benchmarks_of(record)))
            and (not methods or record.method in methods or record.variant in methods)
            and (recipe is None or recipe in recipes_of(record))
        )

    def place(record: Record) -> tuple[object, ...]:
        position = min((benchmarks.index(name) for name in benchmarks_of(record) if name in benchmarks), default=0)
        named = [name for name in (record.variant, record.method) if name in methods]
        rank = methods.index(named[0]) if named else 0
        # As a run of all methods orders them: plain classifiers first, those trained on OOD images last.
        name = str(record.objective["name"])
        return (
            position,
            rank,
            "seen_ood" in record.sees,
            name != CrossEntropy.name,
            name,
            len(record.sees),
            record.variant,
            record.seed,
        )

    chosen = [(store, sorted(filter(wanted, stored), key=place)) for store, stored in opened]
    if not any(found for _, found in chosen):
        raise StoreError(
            f"no stored result in {', '.join(map(str, folders))} fits all of these options; see: oodbench table "
            "--layout flat"
        )
    return [(store, found) for store, found in chosen if found]


def as_stored(name: str, known: Collection[str]) -> str:
    """Return a method or recipe as records spell it, whatever the spaces and the order of its settings.

    >>> as_stored("odm(squared=False,margin=5)", ["odm", "odm (margin=5, squared=False)"])
    'odm (margin=5, squared=False)'
    """
    # Values may hold commas too: two stored names may differ in nothing but their order.
    if name in known:
        return name
    return {_without_order(one): one for one in known}.get(_without_order(name), name)


def _without_order(name: str) -> tuple[str, ...]:
    owner, _, settings = name.replace(" ", "").removesuffix(")").partition("(")
    return owner, *sorted(settings.split(","))


def benchmarks_of(record: Record) -> tuple[str, ...]:
    """Return the names that a record's benchmark is asked for by: its own, and that of its suite."""
    return (record.benchmark["name"], record.suite) if record.suite else (record.benchmark["name"],)


def recipes_of(record: Record) -> tuple[str, str]:
    """Return the name of a record's recipe, with and without what was changed of it."""
    return record.recipe, record.recipe.partition(" (")[0]
