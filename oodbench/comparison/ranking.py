"""Mean ranks of stored methods over OOD sets and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from oodbench.benchmark import COVARIATE
from oodbench.errors import StoreError
from oodbench.statistics import Ranks, rank_methods
from oodbench.store.records import Record

from .cells import name_cells
from .measured import find_metric


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Ranked methods, and what they were ranked on.

    Attributes:
        ranks: of the methods.
        label: heading of the metric.
        benchmarks: names of the in-distribution sets.
        n_sets: number of OOD sets, counted in each benchmark.
        n_seeds: number of seeds.
        left_out: sets and seeds that not all methods have.
    """

    ranks: Ranks
    label: str
    benchmarks: tuple[str, ...]
    n_sets: int
    n_seeds: int
    left_out: int


def rank_records(records: Sequence[Record], *, metric: str = "auroc", alpha: float = 0.05) -> Ranking:
    """Return mean ranks of all methods over the sets and seeds that all of them have.

    Args:
        records: stored results of 3 methods or more; where there are several recipes, methods are named with them.
        metric: name of a column of result rows.
        alpha: level of Friedman's and of Nemenyi's test.

    Raises:
        StoreError: no set and seed has all methods.
        MetricError: there are fewer than 3 methods, or fewer than 2 sets and seeds.
        UnknownName: there is no such metric.
    """
    chosen = find_metric(metric)
    cells = name_cells(records)
    several = len({name.recipe for name in cells}) > 1
    values: dict[tuple[str, str, int], dict[str, float]] = {}
    methods: dict[str, int] = {}
    for name, record in cells.items():
        method = f"{name.variant} [{name.recipe}]" if several else name.variant
        methods.setdefault(method, 0)
        for row in record.rows:
            if metric in row.metrics and row.role != COVARIATE:
                values.setdefault((name.in_dist, row.out_dist, name.seed), {})[method] = row.metrics[metric]
                methods[method] += 1
    whole = {block: found for block, found in values.items() if len(found) == len(methods)}
    if not whole:
        fewest = min(methods, key=lambda method: methods[method])
        raise StoreError(
            f"no OOD set and seed has {metric} of all {len(methods)} methods; run what is missing, or leave methods "
            f"out ({fewest} has the fewest): --method"
        )
    ranks = rank_methods(
        [[found[method] for method in methods] for found in whole.values()],
        [*methods],
        higher_is_better=chosen.higher_is_better,
        alpha=alpha,
    )
    return Ranking(
        ranks=ranks,
        label=chosen.label,
        benchmarks=tuple(dict.fromkeys(in_dist for in_dist, _, _ in whole)),
        n_sets=len({(in_dist, out_dist) for in_dist, out_dist, _ in whole}),
        n_seeds=len({seed for _, _, seed in whole}),
        left_out=len(values) - len(whole),
    )
