"""Differences of groups of cells on every OOD set, then tested together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from oodbench.benchmark import COVARIATE
from oodbench.statistics import OnSet, holm, judge, signed_rank
from oodbench.store.records import Record, Row, Scores

from .cells import Cells
from .grouping import Group
from .measured import Pair, TwoSets, measure, samples_for
from .result import OnOodSet, OnSeed, Pairing


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A group that was measured; its p-values are not corrected yet.

    Attributes:
        group: what was compared.
        sets: a difference for each OOD set that both have on the same images.
        seeds: a difference for each set and seed.
        n_same: number of cells whose scores are the same in both.
        notes: what was left out.
    """

    group: Group
    sets: tuple[OnOodSet, ...]
    seeds: tuple[OnSeed, ...]
    n_same: int
    notes: tuple[str, ...]


def draft(group: Group, old: Cells, new: Cells, metric: str, alpha: float, resamples: int) -> Draft:
    """Measure all OOD sets of a group that were tested on the same images."""
    pairs: dict[tuple[str, str], list[Pair]] = {}
    facts: dict[tuple[str, str], tuple[str, bool]] = {}
    notes: list[str] = []
    n_same = 0
    for name_first, name_second in group.cells:
        first, second = old.records[name_first], new.records[name_second]
        scores = old.scores(name_first), new.scores(name_second)
        n_same += _equal(*scores)
        for row in _out_of_distribution(first):
            other = next((one for one in second.rows if one.out_dist == row.out_dist), None)
            if other is None:
                notes.append(f"{name_first.in_dist}, {row.out_dist}: left out, as {group.second} has no such OOD set.")
                continue
            images = first.fingerprints.get("id_test") or "", row.fingerprint
            if images != (second.fingerprints.get("id_test") or "", other.fingerprint):
                notes.append(f"{name_first.in_dist}, {row.out_dist}: left out, as the test images are not the same.")
                continue
            key = name_first.in_dist, row.out_dist
            facts[key] = row.role, row.seen or other.seen or facts.get(key, ("", False))[1]
            values = [one.metrics.get(metric, math.nan) for one in (row, other)]
            pairs.setdefault(key, []).append(
                Pair(
                    seed=name_first.seed,
                    images=images,
                    first=values[0],
                    second=values[1],
                    scores=(_two_sets(scores[0], row.out_dist), _two_sets(scores[1], row.out_dist)),
                    samples=samples_for(metric, ((first, scores[0]), (second, scores[1])), row.out_dist),
                )
            )
        mine = {row.out_dist for row in _out_of_distribution(first)}
        notes += [
            f"{name_first.in_dist}, {row.out_dist}: left out, as {group.first} has no such OOD set."
            for row in _out_of_distribution(second)
            if row.out_dist not in mine
        ]
    sets, seeds = [], []
    for (in_dist, out_dist), found in pairs.items():
        whole, single = measure(metric, found, level=1 - alpha, resamples=resamples)
        if math.isnan(whole.estimate):
            notes.append(f"{in_dist}, {out_dist}: left out, as the records have no {metric}.")
            continue
        role, seen = facts[in_dist, out_dist]
        sets.append(
            OnOodSet(
                in_dist=in_dist,
                out_dist=out_dist,
                role=role,
                seen=seen,
                seeds=tuple(pair.seed for pair in found),
                difference=whole,
                p=whole.p,
            )
        )
        seeds += [
            OnSeed(in_dist=in_dist, out_dist=out_dist, seed=pair.seed, difference=difference, p=difference.p)
            for pair, difference in zip(found, single, strict=True)
        ]
    return Draft(group=group, sets=tuple(sets), seeds=tuple(seeds), n_same=n_same, notes=tuple(notes))


def judged(
    drafts: Sequence[Draft], label: str, *, higher_is_better: bool, alpha: float, margin: float
) -> tuple[Pairing, ...]:
    """Return groups with corrected p-values and a verdict each.

    Args:
        drafts: all that are compared, with at least one OOD set each.
        label: heading of the metric.
        higher_is_better: its direction.
        alpha: level of the tests.
        margin: fraction up to which a difference is none.
    """
    on_sets = iter(holm([one.p for made in drafts for one in made.sets]))
    on_seeds = iter(holm([one.p for made in drafts for one in made.seeds]))
    overall = [signed_rank([one.difference.estimate for one in made.seeds]) for made in drafts]
    pairings = []
    for made, rank, p in zip(drafts, overall, holm([rank.p for rank in overall]), strict=True):
        sets = tuple(replace(one, p=next(on_sets)) for one in made.sets)
        several = len({one.in_dist for one in sets}) > 1
        names = [f"{one.in_dist}: {one.out_dist}" if several else one.out_dist for one in sets]
        verdict = judge(
            made.group.first,
            made.group.second,
            label,
            rank,
            [OnSet(name=name, difference=one.difference, p=one.p) for name, one in zip(names, sets, strict=True)],
            overall_p=p,
            n_tests=len(drafts),
            n_seeds=len({one.seed for one in made.seeds}),
            higher_is_better=higher_is_better,
            alpha=alpha,
            margin=margin,
        )
        pairings.append(
            Pairing(
                method=made.group.method,
                first=made.group.first,
                second=made.group.second,
                sets=sets,
                seeds=tuple(replace(one, p=next(on_seeds)) for one in made.seeds),
                overall=rank,
                overall_p=p,
                verdict=verdict,
            )
        )
    return tuple(pairings)


def untestable(pairings: Sequence[Pairing], alpha: float) -> list[str]:
    """Return a sentence for each thing that so few seeds and sets cannot tell."""
    said = []
    if all(len(one.seeds) == 1 for pairing in pairings for one in pairing.sets):
        said.append("One seed: whether other trainings would show the same cannot be tested; run more: --seeds 3.")
    # What n pairs give at the best is 2 ** (1 - n).
    fewest = math.floor(1 - math.log2(alpha / len(pairings))) + 1
    if short := [pairing.overall.n for pairing in pairings if pairing.overall.n < fewest]:
        said.append(
            f"Over sets and seeds nothing can be tested with {min(short)} pair{'s' * (min(short) != 1)}: Wilcoxon's "
            f"test needs {fewest} to find anything at {100 * alpha:g}%."
        )
    elif any(len(pairing.sets) > 1 for pairing in pairings):
        said.append("Wilcoxon's test takes sets and seeds as independent; sets that one network scores are not quite.")
    if any(math.isnan(one.p) for pairing in pairings for one in pairing.sets):
        said.append("The metric needs more than scores, so that single sets were not tested.")
    return said


def _out_of_distribution(record: Record) -> list[Row]:
    return [row for row in record.rows if row.role != COVARIATE]


def _two_sets(scores: Scores, out_dist: str) -> TwoSets:
    return scores.id, scores.ood[out_dist]


def _equal(first: Scores, second: Scores) -> bool:
    return (
        np.array_equal(first.id, second.id)
        and first.ood.keys() == second.ood.keys()
        and all(np.array_equal(first.ood[name], second.ood[name]) for name in first.ood)
    )
