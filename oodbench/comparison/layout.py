"""A comparison as a table."""

from __future__ import annotations

from oodbench.statistics import Difference
from oodbench.statistics.verdict import p_text, points
from oodbench.tables.model import Entry, Span, Table

from .result import Comparison, OnOodSet, OnSeed, Pairing

_UNTESTED = "–"


def comparison_table(comparison: Comparison) -> Table:
    """Return a line for each OOD set, and for each of its seeds where two methods are compared.

    Differences that the tests call real are bold where they are for the better, red for the worse.
    """
    one = len(comparison.pairings) == 1
    rows: list[tuple[Entry, ...]] = []
    groups: list[int] = []
    for pairing in comparison.pairings:
        for on_set in pairing.sets:
            head = [] if one else [_entry(pairing.method)]
            head += [_entry(on_set.in_dist), _entry(on_set.out_dist + "*" * on_set.seen)]
            several = len(on_set.seeds) > 1
            lines = [_line(comparison, single) for single in _seeds(pairing, on_set)] if one and several else []
            lines.append(_line(comparison, on_set))
            rows += [(*head, *line) for line in lines]
            # A rule between sets that have several lines, or else between methods.
            groups += [len(rows) if one and several else comparison.pairings.index(pairing)] * len(lines)
    names = ("first", "second") if not one else (comparison.pairings[0].first, comparison.pairings[0].second)
    head_titles = ("In-dist", "Out-dist") if one else ("Method", "In-dist", "Out-dist")
    level = f"{100 * (1 - comparison.alpha):g}%"
    return Table(
        caption=_caption(comparison),
        header=(*head_titles, "Seed", *names, "Difference", f"{level} interval", "Test", "p", "p (Holm)"),
        rows=tuple(rows),
        groups=tuple(groups),
        merged=len(head_titles),
        notes=_notes(comparison),
        numeric=len(head_titles) + 1,
        essential=(len(head_titles) + 3, len(head_titles) + 4, len(head_titles) + 7),
    )


def _line(comparison: Comparison, one: OnOodSet | OnSeed) -> tuple[Entry, ...]:
    seed = str(one.seed) if isinstance(one, OnSeed) else _all_seeds(one.seeds)
    difference = one.difference
    tested = difference.p == difference.p
    sign = 1 if comparison.higher_is_better else -1
    real = one.p < comparison.alpha and abs(difference.estimate) > comparison.margin
    mark = ("best" if sign * difference.estimate > 0 else "worst") if real else ""
    return (
        _entry(seed),
        _entry(f"{100 * difference.first:.2f}"),
        _entry(f"{100 * difference.second:.2f}"),
        (Span(points(difference.estimate), mark),),  # type: ignore[arg-type]
        _entry(_interval(difference) if tested else _UNTESTED),
        _entry(difference.test if tested else _UNTESTED),
        _entry(_p(difference.p) if tested else _UNTESTED),
        _entry(_p(one.p) if tested else _UNTESTED),
    )


def _caption(comparison: Comparison) -> str:
    arrow = "↑" if comparison.higher_is_better else "↓"
    return f"{comparison.label} {arrow} of {comparison.second} against {comparison.first}, in percent."


def _notes(comparison: Comparison) -> tuple[str, ...]:
    star = any(one.seen for pairing in comparison.pairings for one in pairing.sets)
    seen = ["* seen: images of this distribution were used in training, by one of the two at least."] if star else []
    several = any(len(one.seeds) > 1 for pairing in comparison.pairings for one in pairing.sets)
    noise = ["A single seed is judged by the noise of images, several by that of seeds as well."] if several else []
    return (*seen, *noise, *comparison.notes)


def _seeds(pairing: Pairing, on_set: OnOodSet) -> list[OnSeed]:
    return [one for one in pairing.seeds if (one.in_dist, one.out_dist) == (on_set.in_dist, on_set.out_dist)]


def _all_seeds(seeds: tuple[int, ...]) -> str:
    return str(seeds[0]) if len(seeds) == 1 else f"all {len(seeds)}"


def _interval(difference: Difference) -> str:
    return f"{points(difference.low)} to {points(difference.high)}"


def _p(value: float) -> str:
    return p_text(value).removeprefix("p = ").removeprefix("p ")


def _entry(text: str) -> Entry:
    return (Span(text),)
