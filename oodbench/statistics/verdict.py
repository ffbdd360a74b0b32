"""What the tests of two methods come to, in one plain sentence: better, worse, or no evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .difference import Difference
from .wilcoxon import SignedRank

Word = Literal["better", "worse", "no evidence"]


@dataclass(frozen=True, kw_only=True)
class OnSet:
    """Two methods on one OOD set.

    Attributes:
        name: of the set.
        difference: over its seeds.
        p: of the difference, after Holm's correction for all sets that are tested together; NaN where none was made.
    """

    name: str
    difference: Difference
    p: float


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What can be said of the second of two methods.

    Attributes:
        word: "better" or "worse" than the first, or "no evidence" of either.
        sentence: the same with numbers.
        better_on: OOD sets on which it is better, by the tests of single sets.
        worse_on: sets on which it is worse.
    """

    word: Word
    sentence: str
    better_on: tuple[str, ...]
    worse_on: tuple[str, ...]


def judge(
    first: str,
    second: str,
    metric: str,
    overall: SignedRank,
    sets: Sequence[OnSet],
    *,
    overall_p: float | None = None,
    n_tests: int = 1,
    n_seeds: int = 1,
    higher_is_better: bool = True,
    alpha: float = 0.05,
    margin: float = 0.0,
) -> Verdict:
    """Return whether the second method is better or worse than the first.

    Wilcoxon's test over sets and seeds decides where there are pairs enough for it to find anything; otherwise the
    tests of single sets, where they do not contradict each other.

    Args:
        first: name of the method that is compared with.
        second: name of the one that is judged.
        metric: its heading, such as "AUROC"; values are fractions, and said in points (hundredths).
        overall: the test over sets and seeds.
        sets: the tests of single sets.
        overall_p: p-value of the overall test, corrected where several are made; default its own.
        n_tests: number of overall tests that are corrected together.
        n_seeds: number of seeds.
        higher_is_better: direction of the metric.
        alpha: level of the tests.
        margin: a difference up to this is none, whatever the tests say.
    """
    sign = 1 if higher_is_better else -1
    p = overall.p if overall_p is None else overall_p
    found = [one for one in sets if one.p < alpha and abs(one.difference.estimate) > margin]
    better = tuple(one.name for one in found if sign * one.difference.estimate > 0)
    worse = tuple(one.name for one in found if sign * one.difference.estimate < 0)
    enough = overall.least_p * n_tests < alpha
    word: Word = "no evidence"
    if enough and p < alpha and abs(overall.mean) > margin and overall.mean * overall.median >= 0:
        word = "better" if sign * overall.mean > 0 else "worse"
    elif not enough and bool(better) != bool(worse):
        word = "better" if better else "worse"
    claim = f"{second} is {word} than {first}"
    if word == "no evidence":
        claim = f"no evidence that {second} is better or worse than {first}"
    numbers = _single(metric, sets)
    if enough or len(sets) > 1:
        numbers = _overall(metric, overall, p, len(sets), n_seeds, enough=enough)
    return Verdict(
        word=word, sentence=f"{claim}: {numbers}{_on_sets(better, worse, len(sets))}.", better_on=better, worse_on=worse
    )


def points(value: float) -> str:
    """Return a difference in hundredths, with its sign: "+1.25"."""
    return f"{100 * value:+.2f}"


def p_text(p: float) -> str:
    """Return a p-value as it is read: "p = 0.012", "p < 0.0001"."""
    if math.isnan(p):
        return "not tested"
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"


def _overall(metric: str, overall: SignedRank, p: float, n_sets: int, n_seeds: int, *, enough: bool) -> str:
    where = f"{_count(n_sets, 'set')} and {_count(n_seeds, 'seed')}"
    tested = f"Wilcoxon {p_text(p)}" if enough else "too few for Wilcoxon's test to find anything"
    return (
        f"{metric} {points(overall.mean)} points on average over {where}, higher in {overall.n_above} and lower in "
        f"{overall.n_below} of {_count(overall.n, 'pair')} ({tested})"
    )


def _single(metric: str, sets: Sequence[OnSet]) -> str:
    if not sets:
        return "nothing was compared"
    difference = sets[0].difference
    level = f"{100 * difference.level:g}%"
    return (
        f"{metric} {100 * difference.first:.2f} → {100 * difference.second:.2f}, {points(difference.estimate)} points "
        f"({level} interval {points(difference.low)} to {points(difference.high)}, {difference.test} "
        f"{p_text(sets[0].p)})"
    )


def _on_sets(better: Sequence[str], worse: Sequence[str], n_sets: int) -> str:
    if n_sets < 2 or not (better or worse):
        return ""
    parts = [f"{word} on {_listed(names, n_sets)}" for word, names in (("better", better), ("worse", worse)) if names]
    return f"; by the tests of single sets, {' and '.join(parts)}"


def _listed(names: Sequence[str], n_sets: int) -> str:
    if len(names) == n_sets:
        return f"all {n_sets}"
    return ", ".join(names) if len(names) <= 6 else f"{len(names)} of {n_sets}"


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}{'s' * (n != 1)}"
