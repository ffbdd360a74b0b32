"""From two names to what differs between them: find the pairs, test them, say it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from oodbench.errors import ConfigError, StoreError

from .grouping import find_groups
from .measured import find_metric
from .result import Comparison
from .tested import Draft, draft, judged, untestable

RESAMPLES = 1000


def compare(
    first: str | Path,
    second: str | Path,
    *,
    benchmarks: Sequence[str] = (),
    methods: Sequence[str] = (),
    recipe: str | None = None,
    metric: str = "auroc",
    alpha: float = 0.05,
    margin: float = 0.0,
    resamples: int = RESAMPLES,
    results_dir: str | Path = "results",
) -> Comparison:
    """Return whether one method, recipe or results folder is better than another, beyond noise.

    Methods are compared on the same images with the same seeds. What is tested on a single OOD set is a difference
    over its seeds: by the noise of images, and of seeds where there are several. Over all sets and seeds it is
    Wilcoxon's test. Each of these two families of tests has Holm's correction of its own.

    Args:
        first: a stored method, recipe, or results folder, which is compared with.
        second: another one, which is judged.
        benchmarks: only these; all that both have where there are none.
        methods: of recipes and folders, only these.
        recipe: of methods and folders, only this one.
        metric: name of a column of result rows.
        alpha: level of tests; intervals have 1 - alpha.
        margin: a fraction; a difference up to this is none, whatever the tests say.
        resamples: draws of the bootstrap, for metrics other than the AUROC.
        results_dir: where methods and recipes are looked for.

    Returns:
        A comparison: `print(comparison.sentence)`; `comparison.as_dict()` has everything.

    Raises:
        UnknownName: there is no such method, recipe, folder, benchmark or metric.
        StoreError: the two have nothing in common, or a record or its scores are damaged.
        ConfigError: alpha, margin or resamples cannot be.
    """
    if not 0 < alpha < 1:
        raise ConfigError(f"alpha must be between 0 and 1, got {alpha}; 0.05 is usual")
    if not 0 <= margin < 1:
        raise ConfigError(f"margin must be at least 0 and below 1, got {margin}; 0.005 is half a point")
    if resamples < 100:
        raise ConfigError(f"resamples must be at least 100, got {resamples}; 1000 are usual")
    chosen = find_metric(metric)
    found = find_groups(
        first, second, benchmarks=benchmarks, methods=methods, recipe=recipe, results_dir=Path(results_dir)
    )
    measured = [draft(group, found.old, found.new, metric, alpha, resamples) for group in found.groups]
    drafts = [one for one in measured if one.sets]
    notes = list(dict.fromkeys(note for one in measured for note in one.notes))
    if not drafts:
        raise StoreError(f"{found.first} and {found.second} cannot be compared on any OOD set: {' '.join(notes)}")
    pairings = judged(drafts, chosen.label, higher_is_better=chosen.higher_is_better, alpha=alpha, margin=margin)
    return Comparison(
        kind=found.kind,
        first=found.first,
        second=found.second,
        metric=metric,
        label=chosen.label,
        higher_is_better=chosen.higher_is_better,
        alpha=alpha,
        margin=margin,
        pairings=pairings,
        changes=(*found.changes, _same_scores(drafts)) if found.kind == "folders" else (),
        notes=(*found.notes, *notes, *untestable(pairings, alpha)),
    )


def _same_scores(drafts: Sequence[Draft]) -> str:
    n, same = sum(len(one.group.cells) for one in drafts), sum(one.n_same for one in drafts)
    return f"scores: the same, number for number, in {same} of {n} cells"
