"""From result rows to the tables of the papers, in any format."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from oodbench.errors import ConfigError, OodbenchError
from oodbench.plugins import registry

from .columns import check_metrics
from .model import Entry, Span, Table
from .render import FORMATS, render
from .spread import metrics_with_intervals, shows_intervals

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "FORMATS",
    "Entry",
    "Span",
    "Table",
    "interval_metrics",
    "layout_table",
    "make_table",
    "render",
    "shows_intervals",
]


def make_table(
    frame: pd.DataFrame,
    layout: str = "table2",
    format: str = "text",  # noqa: A002
    metrics: Sequence[str] = (),
) -> str:
    """Return a table of results as text.

    Args:
        frame: rows as `oodbench.run` and `oodbench.load_results` return them; several seeds become
            mean ± sample standard deviation, except in the layout "flat".
        layout: "table1" or "table2" of Masana et al. (BMVC 2018), "matrix" for AUROC by method and OOD set, "flat" for
            the rows themselves, or a plugin's.
        format: "text", "markdown", "latex", "csv" or "html".
        metrics: names of more columns of metrics, such as "oscr" or a plugin's, beside those of the layout.

    Raises:
        UnknownName: no such layout, format or metric.
        ConfigError: these are no rows, or there are none, or the layout shows no metrics on request.
    """
    return render(layout_table(frame, layout, metrics), format)


def interval_metrics(frame: pd.DataFrame, layout: str, metrics: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the metrics that a layout shows with intervals over test images.

    Args:
        frame: result rows.
        layout: name of the layout.
        metrics: names of more columns.

    Raises:
        UnknownName: no such layout, or no row has such a metric.
    """
    check_metrics(metrics, frame)
    return metrics_with_intervals(registry.layout(layout), frame, metrics)


def layout_table(frame: pd.DataFrame, layout: str, metrics: Sequence[str] = ()) -> Table:
    """Return result rows laid out as a table, to be rendered.

    Args:
        frame: the rows.
        layout: name of the layout.
        metrics: names of more columns; layouts that take an argument `metrics` show them.

    Raises:
        UnknownName: no such layout, or no row has such a metric.
        ConfigError: the layout shows no metrics on request.
        PluginError: the layout fails, or returns no table.
    """
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise ConfigError(
            f"a table is made of result rows, as oodbench.load_results returns them, got {type(frame).__name__}"
        )
    if frame.empty:
        raise ConfigError("there are no result rows to make a table of; run a benchmark first")
    plugin = registry.find("layouts", layout)
    make: Any = registry.layout(layout)
    if metrics:
        check_metrics(metrics, frame)
        if "metrics" not in inspect.signature(make).parameters:
            raise ConfigError(f"the layout {plugin.name} shows no metrics on request; leave them out: --metric")
        make = partial(make, metrics=tuple(metrics))
    try:
        table = make(frame)
    except OodbenchError:
        raise
    except Exception as error:
        raise plugin.refuse(f"failed on {len(frame)} rows: {type(error).__name__}: {error}") from error
    if not isinstance(table, Table):
        raise plugin.refuse(f"returned {type(table).__name__}; it must return an oodbench.tables.Table")
    return table
