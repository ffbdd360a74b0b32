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

OOD_COLOURS = {
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
"""By role: seen is turquoise, novelty green, anomalies yellow, orange and grey."""


def ood_colours(roles: dict[str, str]) -> dict[str, str]:
    """Return a colour for each OOD set: novelty green, anomalies yellow, orange and grey, as in Figure 1.

    Args:
        roles: by the name of the set.
    """
    taken: dict[str, int] = {}
    colours = {}
    for name, role in roles.items():
        palette = OOD_COLOURS[role]
        colours[name] = palette[taken.get(role, 0) % len(palette)]
        taken[role] = taken.get(role, 0) + 1
    return colours


def group_colours(groups: Sequence[str]) -> dict[str, str]:
    """Return a colour for each group of classes; they begin again where there are more groups than colours."""
    return {group: ID_COLOURS[i % len(ID_COLOURS)] for i, group in enumerate(groups)}


def mixed(colour: str, other: str, share: float) -> str:
    """Return a colour mixed with another one.

    Args:
        colour: such as "#1f4e5f".
        other: another one.
        share: of the other one, in [0, 1].

    >>> mixed("#000000", "#ffffff", 0.5)
    '#808080'
    """
    pairs = zip(_parts(colour), _parts(other), strict=True)
    return "#" + "".join(f"{round(part + share * (to - part)):02x}" for part, to in pairs)


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colours as the Web Content Accessibility Guidelines 2.1 have it, from 1 to 21.

    >>> contrast("#000000", "#ffffff")
    21.0
    """
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


def readable(colour: str, ground: str, least: float = 3.0) -> str:
    """Return a colour that stands out from its ground: as it is, or as little paler or darker as is needed.

    Args:
        colour: of points, lines or areas.
        ground: behind them; on a light one colours get darker, on a dark one paler.
        least: contrast; 3 is what the guidelines ask of graphics.
    """
    end = "#000000" if _luminance(ground) > 0.5 else "#ffffff"
    shades = (mixed(colour, end, step / 20) for step in range(21))
    return next((shade for shade in shades if contrast(shade, ground) >= least), end)


def _parts(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(colour: str) -> float:
    linear = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (value / 255 for value in _parts(colour))
    )
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
