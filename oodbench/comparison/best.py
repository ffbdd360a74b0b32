"""Of each OOD set, the best method and those that cannot be told from it, so that a table can mark them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from oodbench.statistics import Best, Difference, find_best
from oodbench.store.records import Record, Row, Scores

from .cells import Cells
from .comparing import RESAMPLES
from .mean_auroc import best_aurocs
from .measured import Pair, TwoSets, find_metric, measure, samples_for


@dataclass(frozen=True, kw_only=True, eq=False)
class _One:
    """One method with one seed on one OOD set."""

    record: Record
    row: Row
    images: tuple[str, str]
    scores: Scores


def best_on_sets(
    cells: Cells, *, metric: str = "auroc", alpha: float = 0.05, resamples: int = RESAMPLES
) -> dict[tuple[str, str], Best]:
    """Return the best method of each OOD set, by the mean over its seeds, and those that may be as good.

    Each other method is compared with the best on the same images, over the seeds that both have: by DeLong's method
    for the AUROC, by a paired bootstrap for other metrics, with Holm's correction. A method that shares no seed or no
    images with the best cannot be told from it.

    Args:
        cells: as `load_cells` returns them.
        metric: name of a column of result rows.
        alpha: level of the tests.
        resamples: draws of the bootstrap.

    Returns:
        By benchmark and OOD set. Methods are named as in tables, with their recipe where there are several.

    Raises:
        UnknownName: there is no such metric.
        StoreError: scores are missing or damaged.
    """
    several = len(cells.recipes) > 1
    found = {}
    for in_dist in dict.fromkeys(name.in_dist for name in cells.records):
        # The scores of one benchmark at a time.
        results: dict[str, list[tuple[Record, Scores]]] = {}
        for name in (name for name in cells.records if name.in_dist == in_dist):
            method = f"{name.variant} [{name.recipe}]" if several else name.variant
            results.setdefault(method, []).append((cells.records[name], cells.scores(name)))
        for out_dist, best in best_of(results, metric=metric, alpha=alpha, resamples=resamples).items():
            found[in_dist, out_dist] = best
    return found


def best_of(
    results: Mapping[str, Sequence[tuple[Record, Scores]]],
    *,
    metric: str = "auroc",
    alpha: float = 0.05,
    resamples: int = RESAMPLES,
) -> dict[str, Best]:
    """Return the best method of each OOD set of one benchmark, see `best_on_sets`.

    Args:
        results: for each method a record for each seed, with its scores.
        metric: name of a column of result rows.
        alpha: level of the tests.
        resamples: draws of the bootstrap.

    Raises:
        UnknownName: there is no such metric.
    """
    chosen = find_metric(metric)
    if metric == "auroc":
        names = dict.fromkeys(row.out_dist for seeds in results.values() for record, _ in seeds for row in record.rows)
        return best_aurocs(results, {name: (name,) for name in names}, alpha=alpha)
    found = {}
    for out_dist, methods in _on_sets(results).items():
        values = {
            method: sum(there) / len(there)
            for method, seeds in methods.items()
            if (there := [one.row.metrics[metric] for one in seeds.values() if metric in one.row.metrics])
        }
        if not values:
            continue

        def compared(best: str, other: str, methods: Mapping[str, Mapping[int, _One]] = methods) -> Difference:
            return _compared(metric, methods[best], methods[other], 1 - alpha, resamples)

        found[out_dist] = find_best(values, compared, higher_is_better=chosen.higher_is_better, alpha=alpha)
    return found


def _on_sets(
    results: Mapping[str, Sequence[tuple[Record, Scores]]],
) -> dict[str, dict[str, dict[int, _One]]]:
    """Return what each OOD set has of each method and seed."""
    found: dict[str, dict[str, dict[int, _One]]] = {}
    for method, seeds in results.items():
        for record, scores in seeds:
            for row in record.rows:
                images = record.fingerprints.get("id_test") or "", row.fingerprint
                one = _One(record=record, row=row, images=images, scores=scores)
                found.setdefault(row.out_dist, {}).setdefault(method, {})[record.seed] = one
    return found


def _compared(
    metric: str, first: Mapping[int, _One], second: Mapping[int, _One], level: float, resamples: int
) -> Difference:
    pairs = [
        Pair(
            seed=seed,
            images=one.images,
            first=one.row.metrics.get(metric, math.nan),
            second=second[seed].row.metrics.get(metric, math.nan),
            scores=(_two_sets(one), _two_sets(second[seed])),
            samples=samples_for(metric, [(side.record, side.scores) for side in (one, second[seed])], one.row.out_dist),
        )
        for seed, one in first.items()
        if seed in second and second[seed].images == one.images
    ]
    if pairs:
        return measure(metric, pairs, level=level, resamples=resamples)[0]
    nan = math.nan
    return Difference(first=nan, second=nan, low=nan, high=nan, p=nan, level=level, test="")


def _two_sets(one: _One) -> TwoSets:
    return one.scores.id, one.scores.ood[one.row.out_dist]
