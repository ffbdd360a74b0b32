"""One colour a class and one an OOD set, the same in every figure."""

from __future__ import annotations

from collections.abc import Sequence

ID_COLOURS = (
    "#c0392b",
    "#2e6bb5",
    "#7d3c98",
    "#8e5a2b",
    "#c2478c",
    "#1f4e5f",
    "#5b6b1f",
    "#9a3412",
    "#3f3f8f",
    "#6b7280",
)
"""Red, blue and purple first, as in Figure 1 of Masana et al. (BMVC 2018)."""

_BY_ROLE = {
    "seen": ("#0f9d9d", "#36c2a8", "#5fb8d4", "#0b6e6e"),
    "novelty": ("#2ca02c", "#7fbf3f", "#176117", "#a9d18e"),
    "covariate": ("#7b68c8", "#a596e0", "#54429c", "#c7bdf0"),
    "anomaly": (
        "#e0b000",
        "#f07f1f",
        "#7f7f7f",
        "#b09060",
        "#505050",
        "#d4a5a5",
        "#c9b400",
        "#a0522d",
        "#98a8b8",
        "#f4a582",
    ),
}


def ood_colours(roles: dict[str, str]) -> dict[str, str]:
    """Return a colour for each OOD set: novelty green, anomalies yellow, orange and grey, as in Figure 1.

    Args:
        roles: by the name of the set.
    """
    taken: dict[str, int] = {}
    colours = {}
    for name, role in roles.items():
        palette = _BY_ROLE[role]
        colours[name] = palette[taken.get(role, 0) % len(palette)]
        taken[role] = taken.get(role, 0) + 1
    return colours


def group_colours(groups: Sequence[str]) -> dict[str, str]:
    """Return a colour for each group of classes; they begin again where there are more groups than colours."""
    return {group: ID_COLOURS[i % len(ID_COLOURS)] for i, group in enumerate(groups)}
