"""What stands behind the numbers of a table, and in which words it says so: deviations over seeds, or intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from oodbench.columns import FULL_SPECTRUM
from oodbench.metrics import METRICS, SAMPLE_METRICS

from .columns import HIGH, LOW, metric_columns, shown

if TYPE_CHECKING:
    import pandas as pd

OVER, IMAGES = "interval_over", "test images"
"""The column of rows whose intervals were asked for, and what it says."""
NO_MEANS = "Means over {} have no interval over test images."
"""What a table says of means that stand beside intervals, or in their place."""
LOOPS = 200
"""Bootstrap resamples of a plugin's metric, which are computed one after another."""

_Layout = TypeVar("_Layout", bound=Callable[..., Any])


def shows_intervals(*metrics: str, asked: bool = True) -> Callable[[_Layout], _Layout]:
    """Say of a layout which metrics it shows with intervals, so that no others are computed.

    Args:
        metrics: names of its own.
        asked: whether also those that it is asked for.
    """

    def marked(layout: _Layout) -> _Layout:
        layout.intervals, layout.asked_intervals = metrics, asked  # type: ignore[attr-defined]
        return layout

    return marked


def metrics_with_intervals(layout: Callable[..., Any], frame: pd.DataFrame, asked: Sequence[str]) -> tuple[str, ...]:
    """Return the metrics that a layout shows with intervals: all built-in ones where it does not say.

    Args:
        layout: the function.
        frame: result rows.
        asked: names of the metrics that it is asked for.
    """
    built_in = tuple(name for name in metric_columns(frame) if is_built_in(name))
    own = getattr(layout, "intervals", built_in)
    return tuple(dict.fromkeys((*own, *(asked if getattr(layout, "asked_intervals", True) else ()))))


def is_built_in(metric: str) -> bool:
    """Return whether a column of rows is one of the engine's own metrics of an OOD set."""
    return metric.removeprefix(FULL_SPECTRUM) in METRICS or metric in SAMPLE_METRICS


def has_intervals(frame: pd.DataFrame) -> bool:
    """Return whether intervals were asked for."""
    return OVER in frame


def without_intervals(frame: pd.DataFrame) -> pd.DataFrame:
    """Return rows as they are where no intervals were asked for."""
    return frame[[name for name in frame.columns if name != OVER and not str(name).startswith((LOW, HIGH))]]


def intervals_caption(frame: pd.DataFrame, columns: Sequence[str]) -> str:
    """Return what stands in brackets behind the values of some metrics, and which have nothing there.

    Args:
        frame: rows with intervals.
        columns: the metrics that the table shows for each OOD set.
    """
    there = [name for name in columns if _share(frame, name) > 0]
    some = [name for name in there if _share(frame, name) < 1]
    none = [name for name in columns if name not in there]
    built_in = [name for name in there if name != "auroc" and is_built_in(name)]
    foreign = [name for name in there if not is_built_in(name)]
    how = ["of the AUROC by DeLong"] * ("auroc" in there)
    how += ["of others by the bootstrap" if "auroc" in there else "by the bootstrap"] * bool(built_in)
    how += [f"of {_labels(foreign)} by a bootstrap of {LOOPS} resamples"] if foreign else []
    text = f"[95% interval over test images: {', '.join(how)}]" if how else "no intervals over test images"
    # Where the results do not hold what the metric reads, as those of older versions.
    text += f", none of {_labels(none)}" if how and none else ""
    return text + (f", not in all results of {_labels(some)}" if some else "")


def _share(frame: pd.DataFrame, metric: str) -> float:
    """Return the share of the values of a metric that have an interval, 0 where there are none."""
    if LOW + metric not in frame or metric not in frame:
        return 0.0
    valued = frame[frame[metric].notna()]
    return float(valued[LOW + metric].notna().mean()) if len(valued) else 0.0


def _labels(metrics: Sequence[str]) -> str:
    labels = [shown(name).label for name in metrics]
    return " and ".join(filter(None, (", ".join(labels[:-1]), labels[-1])))
