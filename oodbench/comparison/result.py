"""What a comparison found, for people and for programs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from oodbench.statistics import Difference, SignedRank, Verdict

Kind = Literal["methods", "recipes", "folders"]


@dataclass(frozen=True, kw_only=True)
class OnSeed:
    """A paired difference on one OOD set with one seed, by the noise of images.

    Attributes:
        in_dist: name of the benchmark.
        out_dist: name of the OOD set.
        seed: of training and method.
        difference: second minus first.
        p: of the difference, after Holm's correction for all sets and seeds of the comparison.
    """

    in_dist: str
    out_dist: str
    seed: int
    difference: Difference
    p: float


@dataclass(frozen=True, kw_only=True)
class OnOodSet:
    """A paired difference on one OOD set over its seeds, by the noise of images and, of several seeds, of seeds.

    Attributes:
        in_dist: name of the benchmark.
        out_dist: name of the OOD set.
        role: of the set.
        seen: whether either method saw images of this distribution in training.
        seeds: that both have.
        difference: second minus first, means over the seeds.
        p: of the difference, after Holm's correction for all sets of the comparison.
    """

    in_dist: str
    out_dist: str
    role: str
    seen: bool
    seeds: tuple[int, ...]
    difference: Difference
    p: float


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """Two experiments that are compared: two methods, or one method under two recipes or in two folders.

    Attributes:
        method: what is compared, such as "odm" or "odm against msp".
        first: name of the one that is compared with.
        second: name of the one that is judged.
        sets: a difference for each OOD set.
        seeds: a difference for each OOD set and seed.
        overall: Wilcoxon's test over all sets and seeds.
        overall_p: its p-value, after Holm's correction for all pairings of the comparison.
        verdict: better, worse or no evidence.
    """

    method: str
    first: str
    second: str
    sets: tuple[OnOodSet, ...]
    seeds: tuple[OnSeed, ...]
    overall: SignedRank
    overall_p: float
    verdict: Verdict

    @property
    def worse(self) -> bool:
        """Whether anything got worse by more than noise: all in all, or on a single set."""
        return self.verdict.word == "worse" or bool(self.verdict.worse_on)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two methods, recipes or result folders.

    Attributes:
        kind: what was compared.
        first: name of what is compared with.
        second: name of what is judged.
        metric: name of its column.
        label: heading of the metric.
        higher_is_better: direction of the metric.
        alpha: level of the tests.
        margin: fraction up to which a difference is none.
        pairings: what was compared with what, at least one.
        changes: of two folders, what is not the same in them besides the results.
        notes: what was left out, and what cannot be tested.
    """

    kind: Kind
    first: str
    second: str
    metric: str
    label: str
    higher_is_better: bool
    alpha: float
    margin: float
    pairings: tuple[Pairing, ...]
    changes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def worse(self) -> tuple[Pairing, ...]:
        """The pairings in which something got worse by more than noise."""
        return tuple(pairing for pairing in self.pairings if pairing.worse)

    @property
    def exit_code(self) -> int:
        """1 where something in the second of two folders is worse by more than noise, else 0."""
        return int(self.kind == "folders" and bool(self.worse))

    @property
    def sentence(self) -> str:
        """The verdict; of several pairings, how many got better and worse."""
        if len(self.pairings) == 1:
            return _capital(self.pairings[0].verdict.sentence)
        n, worse = len(self.pairings), self.worse
        better = [pairing for pairing in self.pairings if pairing.verdict.word == "better" and not pairing.worse]
        parts = [
            f"{word} for {len(found)} of {n} methods ({', '.join(pairing.method for pairing in found)})"
            for word, found in (("worse", worse), ("better", better))
            if found
        ]
        if not parts:
            return f"No evidence that {self.second} is better or worse than {self.first} for any of {n} methods."
        return f"{self.second} is {' and '.join(parts)} than {self.first}, beyond noise, by {self.label}."

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain values, for JSON; what was not tested is None."""
        return {
            "kind": self.kind,
            "first": self.first,
            "second": self.second,
            "metric": self.metric,
            "higher_is_better": self.higher_is_better,
            "alpha": self.alpha,
            "margin": self.margin,
            "worse": bool(self.worse),
            "sentence": self.sentence,
            "methods": [_pairing(pairing) for pairing in self.pairings],
            "changes": [*self.changes],
            "notes": [*self.notes],
        }


def _capital(sentence: str) -> str:
    # Names of methods keep their small letter.
    return f"N{sentence[1:]}" if sentence.startswith("no evidence") else sentence


def _pairing(pairing: Pairing) -> dict[str, Any]:
    overall, verdict = pairing.overall, pairing.verdict
    return {
        "method": pairing.method,
        "first": pairing.first,
        "second": pairing.second,
        "verdict": verdict.word,
        "sentence": verdict.sentence,
        "worse": pairing.worse,
        "better_on": [*verdict.better_on],
        "worse_on": [*verdict.worse_on],
        "wilcoxon": {
            "pairs": overall.n,
            "higher": overall.n_above,
            "lower": overall.n_below,
            "mean": overall.mean,
            "median": overall.median,
            "p": overall.p,
            "p_holm": pairing.overall_p,
            "least_p": overall.least_p,
        },
        "sets": [
            {
                "in_dist": one.in_dist,
                "out_dist": one.out_dist,
                "role": one.role,
                "seen": one.seen,
                "seeds": [*one.seeds],
                **_difference(one.difference, one.p),
            }
            for one in pairing.sets
        ],
        "seeds": [
            {
                "in_dist": one.in_dist,
                "out_dist": one.out_dist,
                "seed": one.seed,
                **_difference(one.difference, one.p),
            }
            for one in pairing.seeds
        ],
    }


def _difference(difference: Difference, corrected: float) -> dict[str, Any]:
    return {
        "first": difference.first,
        "second": difference.second,
        "difference": difference.estimate,
        "low": _or_none(difference.low),
        "high": _or_none(difference.high),
        "level": difference.level,
        "p": _or_none(difference.p),
        "p_holm": _or_none(corrected),
        "test": difference.test,
    }


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
