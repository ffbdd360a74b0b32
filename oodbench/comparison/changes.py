"""What is not the same in two results folders, besides the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from oodbench.settings import short
from oodbench.store.records import Record

from .cells import CellName, Cells

_NAMED = 6


def what_changed(first: Cells, second: Cells) -> list[str]:
    """Return a sentence for each thing that differs: cells, versions, settings, trainings, images, networks.

    Args:
        first: the older one.
        second: the newer one.
    """
    both = [name for name in first.records if name in second.records]
    pairs = [(first.records[name], second.records[name]) for name in both]
    said = [_only("the first", [name for name in first.records if name not in second.records])]
    said += [_only("the second", [name for name in second.records if name not in first.records])]
    said += _differing("versions", both, [(old.versions, new.versions) for old, new in pairs])
    plugins = [({"from": old.plugin}, {"from": new.plugin}) for old, new in pairs]
    said += _differing("methods", both, plugins)
    said += _differing("settings", both, [(old.settings, new.settings) for old, new in pairs])
    said += _differing("training", both, [(old.training, new.training) for old, new in pairs])
    devices = [({"device": old.device}, {"device": new.device}) for old, new in pairs]
    said += _differing("scored on", both, devices)
    for images, words in (("id_train", "training images"), ("id_test", "ID test images"), ("weights", "networks")):
        n = sum(old.fingerprints.get(images) != new.fingerprints.get(images) for old, new in pairs)
        said += [f"{words}: not the same in {_of(n, pairs)}"] if n else []
    n = sum(_ood_images(old) != _ood_images(new) for old, new in pairs)
    said += [f"OOD test images: not the same in {_of(n, pairs)}"] if n else []
    return [one for one in said if one]


def _only(which: str, names: Sequence[CellName]) -> str:
    if not names:
        return ""
    more = f", and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"only in {which}: {', '.join(map(str, names[:_NAMED]))}{more}"


def _differing(
    what: str, names: Sequence[CellName], pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]
) -> list[str]:
    """Return each change of a value once, with the cells that have it."""
    where: dict[str, list[CellName]] = {}
    for name, (old, new) in zip(names, pairs, strict=True):
        for key in sorted({*old, *new}):
            if old.get(key) != new.get(key):
                where.setdefault(f"{key} {_value(old, key)} → {_value(new, key)}", []).append(name)
    return [
        f"{what}: {change}" + ("" if len(found) == len(names) else f" in {_of(len(found), names)}{_of_whom(found)}")
        for change, found in where.items()
    ]


def _value(values: Mapping[str, Any], key: str) -> str:
    return short(values[key]) if key in values else "none"


def _of_whom(names: Sequence[CellName]) -> str:
    variants = list(dict.fromkeys(name.variant for name in names))
    return f" ({', '.join(variants)})" if len(variants) <= _NAMED else ""


def _of(n: int, things: Sequence[object]) -> str:
    return f"{n} of {len(things)} cells"


def _ood_images(record: Record) -> dict[str, str]:
    return {row.out_dist: row.fingerprint for row in record.rows}
