"""The results of one benchmark, by the names that its part of the page calls them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oodbench.store.records import Record, ResultStore, Scores

if TYPE_CHECKING:
    import pandas as pd

Stored = Sequence[tuple[ResultStore, Sequence[Record]]]
"""Folders of results with those of their records that are wanted."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """One method with the seed that pictures are drawn of.

    Attributes:
        record: its result.
        scores: of every test image.
        sets: what each OOD set is called in the record, by its name on the page.
    """

    record: Record
    scores: Scores
    sets: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, eq=False)
class Chapter:
    """The results of one benchmark.

    Attributes:
        name: of the benchmark, as the page calls it.
        rows: result rows as `oodbench.tables.experiments` names them, with a column `label`, the method as the page
            calls it, a column `record`, the place of the record, and `own_set`, the OOD set as the record calls it.
        stored: every record with the store that it is in.
        methods: best first, by the mean AUROC over the sets that all methods have.
        sets: role of each OOD set.
        shown: the seed of each method that pictures are drawn of.
    """

    name: str
    rows: pd.DataFrame
    stored: Sequence[tuple[ResultStore, Record]]
    methods: tuple[str, ...]
    sets: Mapping[str, str]
    shown: Mapping[str, Shown]

    @property
    def records(self) -> list[Record]:
        """Records of the benchmark, each once."""
        return [self.stored[i][1] for i in dict.fromkeys(self.rows["record"])]

    def all_scores(self) -> dict[str, list[tuple[Record, Scores]]]:
        """Return what every seed of each method says, by the method's name on the page; read from the disk anew."""
        return self._grouped(self.rows["label"])

    def by_recipe(self) -> dict[str, dict[str, list[tuple[Record, Scores]]]]:
        """Return what every seed of each method says, by recipe and by the plain variant of the method."""
        return {str(recipe): self._grouped(rows["variant"]) for recipe, rows in self.rows.groupby("recipe", sort=False)}

    def _grouped(self, names: pd.Series[str]) -> dict[str, list[tuple[Record, Scores]]]:
        found: dict[str, list[tuple[Record, Scores]]] = {}
        places = self.rows.loc[names.index, "record"]
        for name, i in dict.fromkeys(zip(names, places, strict=True)):
            store, record = self.stored[i]
            found.setdefault(str(name), []).append((record, store.scores(record)))
        return found


def chapters(stored: Stored, *, seed: int) -> list[Chapter]:
    """Return results benchmark by benchmark, in the order in which they come.

    Args:
        stored: records with the stores that they are in.
        seed: to draw pictures of; a method without it shows its lowest one.

    Raises:
        StoreError: scores are missing or damaged.
    """
    from oodbench.store.rows import to_frame
    from oodbench.tables.experiments import experiments

    flat = [(store, record) for store, records in stored for record in records]
    sizes = [len(record.rows) + len(record.missing) for _, record in flat]
    frame = to_frame(record for _, record in flat)
    frame = frame.assign(record=[i for i, size in enumerate(sizes) for _ in range(size)], own_set=frame["out_dist"])
    named = experiments(frame)
    recipes = named.groupby("in_dist")["recipe"].transform("nunique")
    label = named["variant"].where(recipes == 1, named["variant"] + " [" + named["recipe"] + "]")
    named = named.assign(label=label)
    return [_chapter(str(name), rows, flat, seed) for name, rows in named.groupby("in_dist", sort=False)]


def _chapter(name: str, rows: pd.DataFrame, stored: Sequence[tuple[ResultStore, Record]], seed: int) -> Chapter:
    means = rows.groupby(["label", "out_dist"], sort=False)["auroc"].mean().unstack()  # noqa: PD010  # there is nothing left to pivot
    shared = means.loc[:, means.notna().all()]
    order = (shared if shared.shape[1] else means).mean(axis="columns")
    # Sorting is stable: methods that are equally good stay in the order in which they were asked for.
    methods = sorted(dict.fromkeys(rows["label"]), key=lambda m: -order[m] if not math.isnan(order[m]) else math.inf)
    return Chapter(
        name=name,
        rows=rows,
        stored=stored,
        methods=tuple(map(str, methods)),
        sets=dict(zip(map(str, rows["out_dist"]), map(str, rows["role"]), strict=True)),
        shown={str(method): _shown(rows[rows["label"] == method], stored, seed) for method in methods},
    )


def _shown(rows: pd.DataFrame, stored: Sequence[tuple[ResultStore, Record]], seed: int) -> Shown:
    chosen = seed if (rows["seed"] == seed).any() else rows["seed"].min()
    of_seed = rows[rows["seed"] == chosen]
    # Of several recipes of one label there is one record; a set that was missing has no scores.
    i = of_seed["record"].iloc[0]
    store, record = stored[i]
    there = of_seed[(of_seed["record"] == i) & (of_seed["n_ood"] > 0)]
    return Shown(
        record=record,
        scores=store.scores(record),
        sets=dict(zip(map(str, there["out_dist"]), map(str, there["own_set"]), strict=True)),
    )
