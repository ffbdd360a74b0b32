"""Critical-difference diagram: mean ranks on a line, with bars over methods that cannot be told apart.

As in Demšar, JMLR 7, 2006, Figure 1, with the best rank at the left.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from oodbench.spelling import for_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from oodbench.comparison.ranking import Ranking
    from oodbench.statistics import Ranks

# In inches: everything is placed by hand, so that no name can meet another one.
_WIDTH = 5.0
_ROW = 0.22
_BAR = 0.13
_CHARACTER = 0.078
"""Widest that a character of the names is on average."""
_BEST, _LINE, _GROUP = "#2e6bb5", "#808080", "#c0392b"


def draw_ranks(ranking: Ranking) -> Figure:
    """Draw mean ranks on a line, the best at the left; methods that a bar joins cannot be told apart.

    Args:
        ranking: as `oodbench.comparison.ranking.rank_records` returns it.

    Returns:
        A figure, not shown and not saved.
    """
    from matplotlib.figure import Figure

    ranks = ranking.ranks
    k = len(ranks.names)
    half = math.ceil(k / 2)
    bars = _levels(ranks)
    n_levels = 1 + max((level for _, _, level in bars), default=-1)
    left, right = (
        _CHARACTER * max(map(len, names), default=0) + 0.75 for names in (ranks.names[:half], ranks.names[half:])
    )
    width = left + _WIDTH + right
    title = "\n".join(textwrap.fill(line, int(width / _CHARACTER) - 4) for line in _title(ranking))
    above, below = 0.95 + 0.17 * (title.count("\n") + 1), 0.12 + _BAR * n_levels + _ROW * half + 0.15
    figure = Figure(figsize=(width, above + below))
    axes = figure.add_axes((0, 0, 1, 1))
    # One unit is an inch, with the line of ranks at height zero and rank 1 at zero.
    axes.set_xlim(-left, _WIDTH + right)
    axes.set_ylim(-below, above)
    axes.set_axis_off()
    axes.text(
        (_WIDTH + right - left) / 2,
        above - 0.08,
        for_matplotlib(title),
        fontsize=9,
        color="#555555",
        ha="center",
        va="top",
    )
    _draw_line(axes, k)
    _draw_critical_difference(axes, ranks)
    _draw_names(axes, ranks, half, start=0.12 + _BAR * n_levels)
    for start, stop, level in bars:
        places = (_place(ranks.mean_ranks[start], k) - 0.05, _place(ranks.mean_ranks[stop - 1], k) + 0.05)
        axes.plot(places, [-(0.12 + _BAR * level)] * 2, color=_GROUP, linewidth=3.5, solid_capstyle="butt", gid="group")
    return figure


def _place(rank: float, k: int) -> float:
    return _WIDTH * (rank - 1) / (k - 1)


def _draw_line(axes: Axes, k: int) -> None:
    axes.plot([0, _WIDTH], [0, 0], color="black", linewidth=1)
    for rank in range(1, k + 1):
        axes.plot([_place(rank, k)] * 2, [0, 0.08], color="black", linewidth=1)
        # More numbers than these would run into each other.
        if k <= 24 or rank == 1 or rank % 5 == 0:
            axes.text(_place(rank, k), 0.11, str(rank), fontsize=8, ha="center", va="bottom")


def _draw_critical_difference(axes: Axes, ranks: Ranks) -> None:
    # It may be longer than the line of ranks where there are few sets and seeds.
    k = len(ranks.names)
    length = min(ranks.critical_difference, k - 1)
    sign = "= " if length == ranks.critical_difference else "(cut short) = "
    height = 0.48
    axes.plot([0, _place(1 + length, k)], [height] * 2, color="black", linewidth=1)
    for end in (0, _place(1 + length, k)):
        axes.plot([end, end], [height - 0.05, height + 0.05], color="black", linewidth=1)
    text = f"critical difference {sign}{ranks.critical_difference:.2f}"
    axes.text(0, height + 0.08, text, fontsize=8, ha="left", va="bottom")


def _draw_names(axes: Axes, ranks: Ranks, half: int, start: float) -> None:
    k = len(ranks.names)
    good = ranks.as_good_as_best if ranks.differ else ()
    for i, (name, rank) in enumerate(zip(ranks.names, ranks.mean_ranks, strict=True)):
        at_left = i < half
        # From outside in, so that no line crosses another one.
        row = i if at_left else k - 1 - i
        place, height = _place(rank, k), -(start + _ROW * (row + 0.5))
        end = -0.1 if at_left else _WIDTH + 0.1
        axes.plot([place, place, end], [0, height, height], color=_LINE, linewidth=0.8)
        text = f"{name}  {rank:.2f}" if at_left else f"{rank:.2f}  {name}"
        axes.text(
            end + (-0.05 if at_left else 0.05),
            height,
            for_matplotlib(text),
            fontsize=9,
            ha="right" if at_left else "left",
            va="center",
            color=_BEST if name in good else "black",
            gid="name",
        )


def _levels(ranks: Ranks) -> list[tuple[int, int, int]]:
    """Return each group as where it starts and stops in the order of ranks, and a height at which it meets no other."""
    ends: list[float] = []
    placed = []
    k = len(ranks.names)
    for group in ranks.groups:
        start = ranks.names.index(group[0])
        stop = start + len(group)
        first, last = (_place(ranks.mean_ranks[i], k) for i in (start, stop - 1))
        level = next((level for level, end in enumerate(ends) if end + 0.2 < first), len(ends))
        ends[level : level + 1] = [last]
        placed.append((start, stop, level))
    return placed


def _title(ranking: Ranking) -> tuple[str, str]:
    ranks = ranking.ranks
    p = "p < 0.0001" if ranks.friedman_p < 0.0001 else f"p = {ranks.friedman_p:.2g}"
    level = f"{100 * ranks.alpha:g}%"
    apart = f"methods that a bar joins cannot be told apart (Nemenyi's test at {level}); blue: the best and as good"
    if not ranks.differ:
        apart = f"no method can be told from another (at {level})"
    where = f"{_count(ranking.n_sets, 'OOD set')} and {_count(ranking.n_seeds, 'seed')}"
    left_out = f"; {ranking.left_out} left out that not all have" if ranking.left_out else ""
    return (
        f"{_listed(ranking.benchmarks)}: mean ranks by {ranking.label} over {where}{left_out}",
        f"Friedman's test: {p}; {apart}",
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} benchmarks"


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}{'s' * (n != 1)}"
