"""How sure the numbers of single runs are: an interval over test images for every metric that a table shows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from oodbench.benchmark import COVARIATE
from oodbench.columns import FULL_SPECTRUM
from oodbench.metrics import (
    METRICS,
    SAMPLE_METRICS,
    Interval,
    Samples,
    intervals_of,
    percentile_interval,
    resampled_by_loop,
)
from oodbench.plugins import registry
from oodbench.store.samples import samples_of
from oodbench.tables.columns import HIGH, LOW, metric_columns
from oodbench.tables.spread import IMAGES, LOOPS, OVER, is_built_in

from .noise import ScoreSource, keys_of

if TYPE_CHECKING:
    import pandas as pd

    from oodbench.store.records import Record, Scores

_Key = tuple[str, str, str]
_Found = dict[_Key, dict[str, Interval]]
_TOGETHER = 20
"""Rows that share the drawing of images: more would take memory for each, and save little."""


class _Alike(NamedTuple):
    """What rows have in common whose intervals come from the same drawn images.

    Attributes:
        n_id: number of ID images.
        n_ood: number of OOD images.
        prefix: of the columns.
        metrics: their names without it.
    """

    n_id: int
    n_ood: int
    prefix: str
    metrics: tuple[str, ...]


def add_intervals(
    frame: pd.DataFrame, store: ScoreSource, records: Sequence[Record], metrics: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return result rows with two columns for each metric, the ends of its 95% interval, and one that says so.

    What would change with other test images of the same kind: of the AUROC by DeLong's method, of other built-in
    metrics by 1,000 bootstrap resamples of the images, of those of plugins by 200, as each takes a computation of its
    own. The ends are NaN where a record lacks the value, a set has a single image, or the metric reads what an older
    version did not store.

    Args:
        frame: rows of these records, as `oodbench.store.rows.to_frame` gives them.
        store: where the raw scores are.
        records: the records.
        metrics: names of columns; None for all built-in ones.

    Raises:
        StoreError: scores are missing or damaged.
    """
    wanted = [name for name in metric_columns(frame) if is_built_in(name)] if metrics is None else [*metrics]
    found = _found(records if wanted else (), store, wanted)
    nothing = Interval(value=math.nan, low=math.nan, high=math.nan, confidence=math.nan)
    each = [found.get(key, {}) for key in keys_of(frame)]
    ends: dict[str, list[float]] = {}
    for name in wanted:
        ends[LOW + name] = [intervals.get(name, nothing).low for intervals in each]
        ends[HIGH + name] = [intervals.get(name, nothing).high for intervals in each]
    return frame.assign(**ends).assign(**{OVER: IMAGES})


def _found(records: Sequence[Record], store: ScoreSource, wanted: Sequence[str]) -> _Found:
    """Return the intervals of all rows of some records by metric."""
    found: _Found = {}
    waiting: dict[_Alike, dict[_Key, Samples]] = {}
    for record in records:
        scores = store.scores(record)
        for row in record.rows:
            valued = [name for name in wanted if name in row.metrics]
            key = record.benchmark["name"], record.key, row.out_dist
            for prefix, samples in _samples(record, scores, row.out_dist, valued):
                if min(samples.n_id, samples.n_ood) < 2:
                    # Of a single image nothing is known.
                    continue
                shared = _Alike(samples.n_id, samples.n_ood, prefix, _built_in(valued, prefix, samples))
                together = waiting.setdefault(shared, {})
                together[key] = samples
                if not prefix:
                    found.setdefault(key, {}).update(_of_plugins(valued, samples))
                if len(together) == _TOGETHER:
                    _add(found, shared, waiting.pop(shared))
    for shared, together in waiting.items():
        _add(found, shared, together)
    return found


def _add(found: _Found, shared: _Alike, together: dict[_Key, Samples]) -> None:
    for key, one in zip(together, intervals_of([*together.values()], shared.metrics), strict=True):
        found.setdefault(key, {}).update({f"{shared.prefix}{name}": interval for name, interval in one.items()})


def _samples(record: Record, scores: Scores, out_dist: str, valued: Sequence[str]) -> Iterable[tuple[str, Samples]]:
    """Yield the samples of a set; and, where these metrics were asked for, with shifted images as in-distribution."""
    samples = samples_of(record, scores, out_dist)
    yield "", samples
    if any(name.startswith(FULL_SPECTRUM) for name in valued):
        shifted = (scores.ood[row.out_dist] for row in record.rows if row.role == COVARIATE)
        pooled = np.concatenate([samples.scores_id, *shifted])
        yield FULL_SPECTRUM, Samples(scores_id=pooled, scores_ood=samples.scores_ood, n_classes=samples.n_classes)


def _built_in(names: Sequence[str], prefix: str, samples: Samples) -> tuple[str, ...]:
    """Return the names of built-in metrics that the samples can have."""
    bare = (name.removeprefix(prefix) for name in names if name.startswith(prefix))
    return tuple(n for n in bare if n in METRICS or (n in SAMPLE_METRICS and samples.has(*SAMPLE_METRICS[n].needs)))


def _of_plugins(names: Sequence[str], samples: Samples) -> dict[str, Interval]:
    """Return the intervals of plugins' metrics; without those that fail on a resample, as where a class is missing."""
    found = {}
    for name in names:
        if not is_built_in(name) and name in (plugins := registry.usable("metrics")):
            metric: Any = plugins[name]
            takes_samples = getattr(metric, "takes", "scores") == "samples"
            # A copy was drawn for it: foreign code may sort in place.
            of_samples = metric if takes_samples else lambda one, metric=metric: metric(one.scores_id, one.scores_ood)
            try:
                values = resampled_by_loop(of_samples, samples, n_resamples=LOOPS)
                found[name] = percentile_interval(math.nan, values)
            except Exception:  # noqa: BLE001, S112
                continue
    return found
