"""Which rows are seeds of one experiment: these are averaged, and what else has the same name gets one of its own.

An experiment is everything that its numbers depend on but the seed: the images, the method with its settings and the
plugin that it comes from, and how the network was trained, or which model was given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from oodbench.settings import short

if TYPE_CHECKING:
    import pandas as pd

PROBLEM = ("id_images", "benchmark_plugin")
"""Columns that tell in-distributions of one name apart, the most telling one first."""

METHOD = ("settings", "model", "training", "seen_images", "plugin")
"""The same of methods."""

OOD_SET = ("ood_images",)
"""The same of OOD sets."""

OURS = "oodbench"
_EXECUTION = ("batch_size",)
"""Settings that change how fast scores are computed, and not the scores."""


def experiments(frame: pd.DataFrame) -> pd.DataFrame:
    """Return result rows with names that tell experiments apart, and each seed of an experiment once.

    Args:
        frame: rows as `oodbench.store.rows.to_frame` gives them.

    Returns:
        Rows are seeds of one experiment if `in_dist`, `variant`, `recipe` and `out_dist` are the same: where one name
        stands for several things, it says in brackets what differs, such as "knn [k=5]", and where one training was
        asked for in several ways, the shortest one counts. With more columns: `paper`, the plain in-distribution,
        variant and OOD set to look published numbers up by, or None where the benchmark or the method only has the
        name of one of oodbench's; `named_apart`, whether a name has brackets; `repeated`, whether other rows of the
        same seed were left out.
    """
    rows = frame.reset_index(drop=True)
    traits = _traits(rows)
    ours = (traits[["plugin", "benchmark_plugin"]] == OURS).all(axis="columns")
    rows = _in_shortest_words(rows, traits)
    plain = list(zip(rows["in_dist"], rows["variant"], rows["out_dist"], strict=True))
    paper: Any = [names if of_ours else None for names, of_ours in zip(plain, ours, strict=True)]
    in_dist = _told_apart(rows[["in_dist"]], traits[[*PROBLEM]])
    rows = rows.assign(
        in_dist=in_dist,
        variant=_told_apart(rows[["variant", "recipe"]].assign(within=in_dist), traits[[*METHOD]]),
        out_dist=_told_apart(rows[["out_dist"]].assign(within=in_dist), traits[[*OOD_SET]]),
        paper=paper,
    )
    now = zip(rows["in_dist"], rows["variant"], rows["out_dist"], strict=True)
    seed = ["in_dist", "variant", "recipe", "out_dist", "seed"]
    rows = rows.assign(
        named_apart=[names != before for names, before in zip(now, plain, strict=True)],
        repeated=rows.groupby(seed)["key"].transform("nunique") > 1,
    )
    return rows.drop_duplicates(seed, ignore_index=True)


def _traits(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what experiments depend on, without the differences that make none another one."""
    # A set that is missing has no images to tell it by; it is the one that others have.
    found = rows["ood_images"].where(rows["ood_images"] != "")
    first = found.groupby([rows["in_dist"], rows["out_dist"]]).transform("first")
    return rows[["in_dist", "method", *PROBLEM, *METHOD]].assign(
        settings=rows["settings"].map(_canonical),
        training=rows["training"].map(_canonical),
        plugin=rows["plugin"].map(_without_our_version),
        benchmark_plugin=rows["benchmark_plugin"].map(_without_our_version),
        ood_images=found.fillna(first).fillna(""),
    )


def _canonical(settings: str) -> str:
    """Return settings with one spelling of each value: 5 and 5.0 are one."""
    kept = {name: short(value) for name, value in json.loads(settings).items() if name not in _EXECUTION}
    return json.dumps(kept, sort_keys=True)


def _without_our_version(plugin: str) -> str:
    # The first records did not say where their benchmark came from; there were no others.
    return OURS if not plugin or plugin.startswith(f"{OURS} ") else plugin


def _in_shortest_words(rows: pd.DataFrame, traits: pd.DataFrame) -> pd.DataFrame:
    """Return rows whose training is named in one way, however it was asked for."""
    words = rows[["recipe", "variant", "cut_short"]]
    length = words.apply(lambda column: column.str.len()).sum(axis="columns")
    order = length.sort_values(kind="stable").index
    same = [traits[name] for name in ("in_dist", "method", *PROBLEM, *METHOD)]
    # Assigned by index, so that the order in which they are looked through does not matter.
    return rows.assign(**words.loc[order].groupby([column.loc[order] for column in same]).transform("first"))


def _told_apart(names: pd.DataFrame, traits: pd.DataFrame) -> pd.Series[str]:
    """Return names that say in brackets what differs where one stands for several things.

    Args:
        names: the names in the first column; those that are the same in all others as well need to be told apart.
        traits: of the same rows, what to tell things apart by, the most telling column first.
    """
    told = names.iloc[:, 0].copy()
    for _, rows in names.groupby([*names], sort=False):
        told.loc[rows.index] += _differences(traits.loc[rows.index])
    return told


def _differences(things: pd.DataFrame) -> list[str]:
    """Return for each row how it differs from others, by as few columns as do, such as " [k=3]"; "" where all agree."""
    said: list[tuple[str, ...]] = [()] * len(things)
    for trait in things:
        if len(set(said)) == len(things.drop_duplicates()):
            break
        values = [str(value) for value in things[trait]]
        if len(set(values)) > 1:
            said = [(*before, _say(str(trait), value, values)) for before, value in zip(said, values, strict=True)]
    return [f" [{', '.join(parts)}]" if parts else "" for parts in said]


def _say(trait: str, value: str, others: Sequence[str]) -> str:
    """Say what a trait is, in short."""
    if trait in ("settings", "training"):
        return _differing(value, others)
    if trait in _HASHED:
        return f"{_HASHED[trait]} {value[:8]}" if value else f"no {_HASHED[trait]}"
    return value


def given_models(frame: pd.DataFrame) -> list[str]:
    """Return a note about each given model that a name has in brackets: what it was given with.

    Args:
        frame: rows as `experiments` gives them.
    """
    notes: dict[str, None] = {}
    for variant, model, given in zip(frame["variant"], frame["model"], frame["given"], strict=True):
        said = _say("model", model, ())
        facts = json.loads(given)
        if model and facts and said in variant:
            # Models of older records were stretched.
            usual = {"preprocess": "stretch"}
            shown = [name for name in _GIVEN if facts.get(name) not in (None, "", usual.get(name))]
            words = [f"{name} {facts[name]}" for name in shown]
            notes[f"{said}: {', '.join([facts['name'], *words])}."] = None
    return [*notes]


_GIVEN = ("weights", "normalise", "preprocess", "features")

_HASHED: Mapping[str, str] = {
    "id_images": "images",
    "ood_images": "images",
    "seen_images": "seen images",
    "model": "model",
}


def _differing(value: str, others: Sequence[str]) -> str:
    """Return the settings that are not the same everywhere."""
    own, every = json.loads(value), [json.loads(other) for other in set(others)]
    names = sorted({name for settings in every for name in settings})
    differing = [name for name in names if len({settings.get(name) for settings in every}) > 1]
    return ", ".join(f"{name}={own[name]}" if name in own else f"no {name}" for name in differing)
