"""Over which OOD sets tables take their means."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from oodbench.benchmark import COVARIATE

if TYPE_CHECKING:
    import pandas as pd

GROUPS: Mapping[str, tuple[str, ...]] = {
    "near": ("novelty",),
    "far": ("anomaly",),
    "mean": ("novelty", "anomaly"),
}
"""OpenOOD's words, by the roles of the sets whose mean they head; "mean" is over all these sets, each once."""
ALL = "all"
"""The mean over all sets but covariate-shifted ones, which are no OOD sets."""


def shared_sets(rows: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Return the OOD sets that all methods with results have, and those that only some have.

    Args:
        rows: of one in-distribution, as `oodbench.tables.experiments.experiments` names them, of the sets that count;
            with a column `label`, the method.
    """
    there = rows[rows["auroc"].notna()]
    everybody = set(there["label"])
    found = {str(name): set(own["label"]) for name, own in there.groupby("out_dist", sort=False)}
    shared = [name for name, methods in found.items() if methods == everybody]
    return shared, [name for name in found if name not in shared]


def means_of(rows: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """Return the sets of each mean that a table may show, by its name: of `GROUPS`, and `ALL`.

    Args:
        rows: of one in-distribution, as for `shared_sets`.
    """
    roles = dict(zip(rows["out_dist"], rows["role"], strict=True))
    counted = shared_sets(rows[rows["role"].isin(GROUPS["mean"])])[0]
    found = {name: _of_roles(counted, roles, of) for name, of in GROUPS.items()}
    found[ALL] = tuple(shared_sets(rows[rows["role"] != COVARIATE])[0])
    return {name: sets for name, sets in found.items() if sets}


def _of_roles(sets: Collection[str], roles: Mapping[str, str], of: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in sets if roles[name] in of)
