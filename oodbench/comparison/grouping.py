"""Which stored cells are compared with which: two methods, two recipes, or two folders."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from oodbench.errors import StoreError, UnknownName, did_you_mean
from oodbench.store.selection import as_stored

from .cells import CellName, Cells, load_cells
from .changes import what_changed
from .result import Kind


@dataclass(frozen=True, kw_only=True)
class Group:
    """What is compared as one.

    Attributes:
        method: what it is called among others.
        first: name of what is compared with.
        second: name of what is judged.
        cells: which cell of the first goes with which of the second.
    """

    method: str
    first: str
    second: str
    cells: tuple[tuple[CellName, CellName], ...]


@dataclass(frozen=True, kw_only=True)
class Found:
    """All that two names have in common.

    Attributes:
        kind: what they are the names of.
        first: the first, as it is stored.
        second: the second.
        old: cells of the first.
        new: cells of the second; the same for methods and recipes.
        groups: what is compared, at least one.
        changes: of folders, what is not the same in them.
        notes: what was left out.
    """

    kind: Kind
    first: str
    second: str
    old: Cells
    new: Cells
    groups: tuple[Group, ...]
    changes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def find_groups(
    first: str | Path,
    second: str | Path,
    *,
    benchmarks: Sequence[str],
    methods: Sequence[str],
    recipe: str | None,
    results_dir: Path,
) -> Found:
    """Return what two methods, recipes or folders have in common; arguments and errors are those of `compare`."""
    kind = _kind(first, second, results_dir)
    names = str(first), str(second)
    changes: list[str] = []
    notes: list[str] = []
    if kind == "folders":
        old, new = (load_cells(Path(name), benchmarks=benchmarks, methods=methods, recipe=recipe) for name in names)
        groups, changes = _in_folders(old, new, names), what_changed(old, new)
    else:
        if kind == "methods" and methods:
            raise UnknownName(f"{names[0]} and {names[1]} are methods already; leave --method out")
        old = new = load_cells(results_dir, benchmarks=benchmarks, methods=methods, recipe=recipe)
        names = _spelled(*names, old, kind)
        groups, notes = (_of_methods if kind == "methods" else _of_recipes)(old, *names)
    if not groups:
        raise StoreError(_nothing(*names, kind))
    return Found(
        kind=kind,
        first=names[0],
        second=names[1],
        old=old,
        new=new,
        groups=tuple(groups),
        changes=tuple(changes),
        notes=tuple(notes),
    )


def _kind(first: str | Path, second: str | Path, results_dir: Path) -> Kind:
    """Return what two names are the names of; a stored method goes before a folder of the same name."""
    words = str(first), str(second)
    missing = [word for word in words if not Path(word).is_dir()]
    if _is_path(first) or _is_path(second):
        if missing:
            raise StoreError(f"{missing[0]} is no folder of results; name two folders that oodbench run has written")
        return "folders"
    try:
        cells = load_cells(results_dir)
    except StoreError:
        if missing:
            raise
        return "folders"
    methods = {*cells.variants, *(record.method for record in cells.records.values())}
    recipes = {*cells.recipes, *(recipe.partition(" (")[0] for recipe in cells.recipes)}
    if all(as_stored(word, methods) in methods for word in words):
        return "methods"
    if all(as_stored(word, recipes) in recipes for word in words):
        return "recipes"
    if not missing:
        return "folders"
    known = sorted(methods | recipes)
    if unknown := [word for word in missing if as_stored(word, known) not in known]:
        raise UnknownName(
            f"no stored method or recipe {unknown[0]!r} in {results_dir}, and no folder"
            f"{did_you_mean(unknown[0], known)}"
        )
    raise UnknownName(f"{words[0]} and {words[1]} are not of one kind; compare two methods, two recipes or two folders")


def _is_path(name: str | Path) -> bool:
    return isinstance(name, Path) or os.sep in name or name.startswith(".")


def _spelled(first: str, second: str, cells: Cells, kind: Kind) -> tuple[str, str]:
    """Return two methods or recipes as they are stored; a name that stands for several is refused."""
    found = []
    for word in (first, second):
        if kind == "methods":
            known = {name.variant: record.method for name, record in cells.records.items()}
        else:
            known = {name.recipe: name.recipe.partition(" (")[0] for name in cells.records}
        word = as_stored(word, known)  # noqa: PLW2901
        fitting = [word] if word in known else [full for full, short in known.items() if short == word]
        if not fitting:
            raise StoreError(f"there are no results of {word} among those that were asked for; see: oodbench table")
        if len(fitting) > 1:
            raise UnknownName(f"{word} stands for several: {', '.join(map(repr, fitting))}; name one of them")
        found += fitting
    if found[0] == found[1]:
        raise UnknownName(f"{found[0]} cannot be compared with itself; name two that differ")
    return found[0], found[1]


def _in_folders(old: Cells, new: Cells, names: tuple[str, str]) -> list[Group]:
    """Return a group for each method that both folders have; with its recipe, where there are several."""
    groups: dict[str, list[tuple[CellName, CellName]]] = {}
    several = len({*old.recipes, *new.recipes}) > 1
    for name in old.records:
        if name in new.records:
            groups.setdefault(f"{name.variant} [{name.recipe}]" if several else name.variant, []).append((name, name))
    return [
        Group(method=method, first=f"{method} in {names[0]}", second=f"{method} in {names[1]}", cells=tuple(cells))
        for method, cells in groups.items()
    ]


def _of_methods(cells: Cells, first: str, second: str) -> tuple[list[Group], list[str]]:
    """Return a group for each recipe that both methods have, and what was left out."""
    common, left_out = _in_common(cells, lambda name: name.variant, lambda name: name.recipe, first, second)
    words = {recipe: f" [{recipe}]" if len(common) > 1 else "" for recipe in common}
    return [
        Group(
            method=f"{second} against {first}{words[recipe]}",
            first=first + words[recipe],
            second=second + words[recipe],
            cells=tuple(pairs),
        )
        for recipe, pairs in common.items()
    ], left_out


def _of_recipes(cells: Cells, first: str, second: str) -> tuple[list[Group], list[str]]:
    """Return a group for each method that has both recipes, and what was left out."""
    common, left_out = _in_common(cells, lambda name: name.recipe, lambda name: name.variant, first, second)
    return [
        Group(method=method, first=f"{method} with {first}", second=f"{method} with {second}", cells=tuple(pairs))
        for method, pairs in common.items()
    ], left_out


def _in_common(
    cells: Cells, compared: Callable[[CellName], str], other: Callable[[CellName], str], first: str, second: str
) -> tuple[dict[str, list[tuple[CellName, CellName]]], list[str]]:
    """Return cells that differ only in what is compared, by what they have in common; and a note on the rest."""
    halves: dict[str, dict[tuple[str, str, int], CellName]] = {first: {}, second: {}}
    for name in cells.records:
        if compared(name) in halves:
            halves[compared(name)][other(name), name.in_dist, name.seed] = name
    common: dict[str, list[tuple[CellName, CellName]]] = {}
    for key, name in halves[first].items():
        if key in halves[second]:
            common.setdefault(key[0], []).append((name, halves[second][key]))
    alone = [
        str(name)
        for mine, others in ((first, second), (second, first))
        for key, name in halves[mine].items()
        if key not in halves[others]
    ]
    return common, [f"Left out, as the other has none: {', '.join(alone)}."] if alone else []


def _nothing(first: str, second: str, kind: Kind) -> str:
    need = {
        "methods": "benchmark, recipe and seed",
        "recipes": "benchmark, method and seed",
        "folders": "benchmark, method, recipe and seed",
    }[kind]
    return (
        f"{first} and {second} have no {need} in common; run what is missing, or see what there is: "
        "oodbench table --layout flat"
    )
