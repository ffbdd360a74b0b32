"""What was asked, with what, how the networks were trained, what it cost, and how to make it again."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oodbench.store.records import Record

from .chapter import Chapter
from .material import IN_PLACE


@dataclass(frozen=True, kw_only=True)
class Network:
    """How the networks of one kind were trained, over seeds.

    Attributes:
        name: the objective, or the given model.
        settings: of the objective, in words.
        training: recipe and configuration, in words, without what is at its default and says little.
        cut_short: by how much the training was shorter than the full one; "" where it was not.
        accuracy: share of ID test images that are classified right, in words.
        seconds: of training, mean over seeds, in words.
        where: device that trained.
        methods: that use it.
        seeds: in words.
    """

    name: str
    settings: str
    training: str
    cut_short: str
    accuracy: str
    seconds: str
    where: str
    methods: tuple[str, ...]
    seeds: str


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds that a method took, means over its seeds.

    Attributes:
        method: its name.
        seconds: of each kind of work, by name; None where a record does not say.
        images: number of test images that were scored.
    """

    method: str
    seconds: Mapping[str, float | None]
    images: int


def summary(chapter: Chapter) -> dict[str, str]:
    """Return what a chapter is about, by headings."""
    first = chapter.records[0]
    records = chapter.records
    counts = f"{len(chapter.methods)} methods, {len(chapter.sets)} OOD sets, {_seeds(records)}"
    return {
        "Question": first.benchmark.get("title", ""),
        "Source": first.benchmark.get("source", ""),
        "Compared": counts,
        "ID images": f"trained on {_range(records, 'n_train')}, tested on {_range(records, 'n_id')}",
        "Hardware": f"trained on {_each(record.trained_on for record in records)}, "
        f"scored on {_each(record.device for record in records)}",
        "Versions": ", ".join(
            f"{name} {_each(record.versions.get(name, '?') for record in records)}"
            for name in sorted({name for record in records for name in record.versions})
        ),
    }


def commands(chapter: Chapter) -> list[str]:
    """Return the commands that make the results again; of given models one only says what was scored."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in chapter.records:
        sets = tuple(found[2] + "=" + found[1] for row in record.rows if (found := IN_PLACE.fullmatch(row.out_dist)))
        groups.setdefault((record.benchmark["name"], record.recipe, *sets), []).append(record)
    return [_command(name, recipe, sets, records) for (name, recipe, *sets), records in groups.items()]


def _command(name: str, recipe: str, sets: Sequence[str], records: Sequence[Record]) -> str:
    words = ["oodbench", "run", "--in", name]
    found = re.fullmatch(r"(.+?) \((.+)\)", recipe)
    plain, changes = (found[1], found[2].split(", ")) if found else (recipe, [])
    if not records[0].training:
        words += ["--model", f"… ({recipe})"]
    elif plain != records[0].benchmark.get("recipe"):
        words += ["--recipe", plain]
    for method in dict.fromkeys(record.variant for record in records):
        words += ["--method", method.replace(" ", "")]
    for change in changes if records[0].training else ():
        words += ["--set", f"recipe.{change}"]
    for entry in sets:
        words += ["--out", entry]
    if (seeds := max(record.seed for record in records) + 1) > 1:
        words += ["--seeds", str(seeds)]
    return shlex.join(words)


def networks(chapter: Chapter) -> list[Network]:
    """Return how networks were trained: those that differ in their seeds only are one."""
    groups: dict[str, list[tuple[str, Record]]] = {}
    for label, i in chapter.rows[["label", "record"]].drop_duplicates().itertuples(index=False):
        record = chapter.stored[i][1]
        same = [record.objective, record.training, record.recipe, record.model]
        groups.setdefault(json.dumps(same, sort_keys=True, default=str), []).append((str(label), record))
    return [_network(found) for found in groups.values()]


def _network(found: Sequence[tuple[str, Record]]) -> Network:
    records = [record for _, record in found]
    first = records[0]
    settings = _in_words({name: value for name, value in first.objective.items() if name != "name"})
    config = _in_words({name: value for name, value in first.training.items() if _telling(name, value)})
    accuracies = [record.accuracy for record in records if record.accuracy is not None]
    seconds = [record.seconds["train"] for record in records if "train" in record.seconds]
    return Network(
        name=str(first.objective.get("name", "?")) if first.training else first.recipe,
        settings=settings if first.training else "",
        training=f"recipe {first.recipe}: {config}" if first.training else "trained elsewhere",
        cut_short=first.cut_short,
        accuracy=_percents(accuracies),
        seconds=f"{sum(seconds) / len(seconds):,.0f} s" if seconds else "–",
        where=_each(record.trained_on for record in records),
        methods=tuple(dict.fromkeys(label for label, _ in found)),
        seeds=_seeds(records),
    )


def costs(chapter: Chapter) -> list[Cost]:
    """Return what each method took, in the order of the page; kinds of work in the order in which they are done."""
    found = []
    kinds = dict.fromkeys(
        (
            "train",
            *(kind for record in chapter.records for kind in record.seconds if kind not in ("fit", "score")),
            "fit",
            "score",
        )
    )
    for method in chapter.methods:
        records = [chapter.stored[i][1] for i in dict.fromkeys(chapter.rows[chapter.rows["label"] == method]["record"])]
        seconds = {
            kind: _mean([record.seconds[kind] for record in records if kind in record.seconds]) for kind in kinds
        }
        images = records[0].n_id + sum(row.n_ood for row in records[0].rows)
        found.append(Cost(method=method, seconds=seconds, images=images))
    return found


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _each(values: Any) -> str:
    return ", ".join(dict.fromkeys(map(str, values)))


def _seeds(records: Sequence[Record]) -> str:
    seeds = sorted({record.seed for record in records})
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds"


def _range(records: Sequence[Record], name: str) -> str:
    values = {getattr(record, name) for record in records}
    return f"{min(values):,}" if len(values) == 1 else f"{min(values):,} to {max(values):,}"


def _percents(values: Sequence[float]) -> str:
    if not values:
        return "–"
    low, high = f"{100 * min(values):.2f}", f"{100 * max(values):.2f}"
    return f"{low}%" if low == high else f"{low} to {high}%"


_ALWAYS = ("epochs", "steps", "batch_size", "optimizer", "learning_rate", "schedule", "precision")
"""Settings of a training that say what it was, whatever their defaults are."""


def _telling(name: str, value: object) -> bool:
    from oodbench.hashing.values import plain
    from oodbench.training.config import TrainConfig

    return name in _ALWAYS or value != plain(getattr(TrainConfig, name, None))


def _in_words(settings: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={_brief(value)}" for name, value in settings.items() if value not in (None, [], ""))


def _brief(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
