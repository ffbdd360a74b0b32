"""The AUROC of many methods on OOD sets, and its means over several: the best, and what cannot be told from it.

The mean over sets that share their ID images is one number with an error of its own: by DeLong's method that of an ID
image is the mean of its placements on all sets, and each OOD image counts for its set. A single set is the mean of one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from oodbench.statistics import Best, Difference, find_best, over_seeds, placements
from oodbench.store.records import Record, Scores

Floats = NDArray[np.float64]
Results = Mapping[str, Sequence[tuple[Record, Scores]]]
"""For each method a record for each seed, with its scores."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Placed:
    """One method with one seed on one OOD set."""

    images: tuple[str, str]
    auroc: float
    by_id: Floats
    by_ood: Floats


@dataclass(kw_only=True, eq=False)
class _Running:
    """What one seed of a method has more than the best one, added up while the sets of a mean come by.

    Attributes:
        n_sets: how many have come.
        first: AUROCs of the best, added up.
        second: of the method.
        by_id: differences of the placements of ID images, added up.
        images: of the ID set, and of each OOD set.
        by_ood: of each set that has come, its covariance with the differences of other seeds, by their place.
        least: variance of a difference that one image more would make.
    """

    n_sets: int = 0
    first: float = 0.0
    second: float = 0.0
    by_id: Floats | None = None
    images: str = ""
    least: float = 0.0
    with_seeds: dict[int, float] = field(default_factory=dict)


def best_aurocs(results: Results, means: Mapping[str, Sequence[str]], *, alpha: float = 0.05) -> dict[str, Best]:
    """Return the best method by each mean of AUROCs over OOD sets, and those that cannot be told from it.

    Each other method is compared with the best on the same images, over the seeds that both have, with Holm's
    correction for the number of methods. A method that shares no seed or no images with the best cannot be told from
    it. Methods that lack a set of a mean are not in it.

    Args:
        results: of one benchmark.
        means: names of the OOD sets that each is over.
        alpha: level of the tests.

    Returns:
        By the name of the mean; without those that no method has, and those over a set of a single image, of which
        nothing is known.
    """
    values = {name: _values(results, sets) for name, sets in means.items()}
    best = {name: max(found, key=lambda method: found[method]) for name, found in values.items() if found}
    running: dict[str, dict[str, dict[int, _Running]]] = {name: {} for name in best}
    orders = {id(scores): np.argsort(scores.id) for seeds in results.values() for _, scores in seeds}
    unknown = set()
    for out_dist in dict.fromkeys(out_dist for name in best for out_dist in means[name]):
        placed = _placed(results, out_dist, orders)
        over = [name for name in best if out_dist in means[name]]
        if any(min(one.by_id.size, one.by_ood.size) < 2 for seeds in placed.values() for one in seeds.values()):
            unknown.update(over)
            continue
        for name in over:
            for method in values[name]:
                if method != best[name]:
                    _add(running[name].setdefault(method, {}), placed[best[name]], placed[method], len(means[name]))
    return {
        name: find_best(
            values[name],
            lambda _, other, name=name: _difference(running[name].get(other, {}), len(means[name]), 1 - alpha),  # type: ignore[misc]
            alpha=alpha,
        )
        for name in best
        if name not in unknown
    }


def _values(results: Results, sets: Sequence[str]) -> dict[str, float]:
    """Return the mean AUROC over sets and seeds of each method that has all of the sets."""
    found = {}
    for method, seeds in results.items():
        there: dict[str, list[float]] = {name: [] for name in sets}
        for record, _ in seeds:
            for row in record.rows:
                if row.out_dist in there and "auroc" in row.metrics:
                    there[row.out_dist].append(row.metrics["auroc"])
        if all(there.values()):
            found[method] = sum(sum(one) / len(one) for one in there.values()) / len(there)
    return found


def _placed(results: Results, out_dist: str, orders: Mapping[int, NDArray[np.intp]]) -> dict[str, dict[int, _Placed]]:
    """Return the placements of all methods and seeds on one OOD set."""
    found: dict[str, dict[int, _Placed]] = {}
    for method, seeds in results.items():
        for record, scores in seeds:
            for row in record.rows:
                if row.out_dist == out_dist:
                    by_id, by_ood = placements(scores.id, scores.ood[out_dist], orders[id(scores)])
                    images = record.fingerprints.get("id_test") or "", row.fingerprint
                    found.setdefault(method, {})[record.seed] = _Placed(
                        images=images, auroc=float(by_id.mean()), by_id=by_id, by_ood=by_ood
                    )
    return found


def _add(found: dict[int, _Running], best: Mapping[int, _Placed], other: Mapping[int, _Placed], n_sets: int) -> None:
    """Add one OOD set to the differences of a method from the best one, seed by seed."""
    by_ood: dict[str, list[tuple[int, Floats]]] = {}
    for seed, first in best.items():
        second = other.get(seed)
        if second is None or second.images != first.images:
            continue
        one = found.setdefault(seed, _Running())
        one.n_sets += 1
        one.first += first.auroc / n_sets
        one.second += second.auroc / n_sets
        difference = (second.by_id - first.by_id) / n_sets
        one.by_id = difference if one.by_id is None else one.by_id + difference
        one.images = first.images[0]
        one.least = max(one.least, 1 / first.by_id.size**2) + 1 / (n_sets * first.by_ood.size) ** 2
        by_ood.setdefault(first.images[1], []).append((seed, (second.by_ood - first.by_ood) / n_sets))
    # Seeds that were tested on the same images have their noise in common.
    for of_same in by_ood.values():
        covariance = _of_means(np.array([values for _, values in of_same]))
        for i, (seed, _) in enumerate(of_same):
            for j, (other_seed, _) in enumerate(of_same):
                with_seeds = found[seed].with_seeds
                with_seeds[other_seed] = with_seeds.get(other_seed, 0.0) + float(covariance[i, j])


def _difference(found: Mapping[int, _Running], n_sets: int, level: float) -> Difference:
    """Return how much a method has more than the best one, over the seeds that both have on all sets."""
    whole = {seed: one for seed, one in found.items() if one.n_sets == n_sets}
    if not whole:
        nan = math.nan
        return Difference(first=nan, second=nan, low=nan, high=nan, p=nan, level=level, test="")
    seeds = [*whole]
    covariance = np.array([[whole[i].with_seeds.get(j, 0.0) for j in seeds] for i in seeds])
    by_images: dict[str, list[int]] = {}
    for place, seed in enumerate(seeds):
        by_images.setdefault(whole[seed].images, []).append(place)
    for members in by_images.values():
        rows = np.array([whole[seeds[i]].by_id for i in members])
        covariance[np.ix_(members, members)] += _of_means(rows)
    return over_seeds(
        [one.first for one in whole.values()],
        [one.second for one in whole.values()],
        covariance,
        level=level,
        least_variance=max(one.least for one in whole.values()),
    )


def _of_means(rows: Floats) -> Floats:
    """Return the covariance of the means of rows, shape (n, n); np.cov over the number of columns, with less ado."""
    n = rows.shape[1]
    centred = rows - rows.mean(axis=1, keepdims=True)
    covariance: Floats = centred @ centred.T / (n * (n - 1))
    return covariance
