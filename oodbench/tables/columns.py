"""How tables print a metric: its heading, its direction, and whether it is a share of something."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oodbench.columns import COLUMNS, FULL_SPECTRUM, SHIFTED_ACCURACY
from oodbench.errors import UnknownName, did_you_mean
from oodbench.metrics import METRICS, SAMPLE_METRICS
from oodbench.plugins import registry

from .legacy import PREFIX

if TYPE_CHECKING:
    import pandas as pd

NO_RESULT = "–"
AS_GOOD = "as_good"
"""The column that says whether a method cannot be told from the best of its OOD set, where that was tested."""
AS_GOOD_OVER = "as_good_over"
"""The column with the names of the means over sets in which a method cannot be told from the best, see `means.py`."""
LOW, HIGH = "interval_low_", "interval_high_"
"""Of the columns that hold the ends of a metric's interval over test images, before the metric's name."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """How a column of result rows is printed.

    Attributes:
        label: its heading.
        higher_is_better: its direction; None where nobody says it, as for a metric whose plugin is not installed.
        is_fraction: whether it is printed as a percentage.
    """

    label: str
    higher_is_better: bool | None
    is_fraction: bool = True

    @property
    def title(self) -> str:
        """The heading with an arrow for the direction."""
        arrow = {True: " ↑", False: " ↓", None: ""}[self.higher_is_better]
        return f"{self.label}{arrow}"

    def text(self, mean: float, deviation: float, digits: int) -> str:
        """Return a value, with its deviation where there is one.

        Args:
            mean: the value.
            deviation: NaN where there is none.
            digits: decimals of a percentage; other numbers have four digits.
        """
        if math.isnan(mean):
            return NO_RESULT
        factor, style = (100.0, f".{digits}f") if self.is_fraction else (1.0, ".4g")
        text = f"{factor * mean:{style}}"
        if math.isnan(deviation):
            return text
        return f"{text} ± {factor * deviation:{style if self.is_fraction else '.2g'}}"

    def with_interval(self, mean: float, ends: tuple[float, float], digits: int) -> str:
        """Return a value with the ends of its interval, at the precision of `text`."""
        if math.isnan(mean) or math.isnan(ends[0]):
            return self.text(mean, math.nan, digits)
        low, high = (self.text(end, math.nan, digits) for end in ends)
        return f"{self.text(mean, math.nan, digits)} [{low}, {high}]"

    def rounded(self, value: float, digits: int) -> float:
        """Return a value at the precision that is printed, to tell which values differ."""
        return round(100 * value, digits) if self.is_fraction else float(f"{value:.4g}")


def shown(column: str) -> Shown:
    """Return how a metric's column is printed.

    >>> shown("nll").text(0.25, float("nan"), 2), shown("auroc").text(0.25, float("nan"), 2)
    ('0.25', '25.00')
    """
    name = column.removeprefix(FULL_SPECTRUM)
    if name == SHIFTED_ACCURACY:
        return Shown(label="Accuracy on shifted", higher_is_better=True)
    built_in = METRICS.get(name) or SAMPLE_METRICS.get(name)
    metric = built_in or registry.usable("metrics").get(name)
    if metric is None:
        return Shown(label=column, higher_is_better=None)
    return Shown(
        label=metric.label if name == column else f"Full-spectrum {metric.label}",
        higher_is_better=metric.higher_is_better,
        is_fraction=bool(getattr(metric, "is_fraction", True)),
    )


def metric_columns(frame: pd.DataFrame) -> list[str]:
    """Return the columns of result rows that are metrics, in their order."""
    return [
        name
        for name in map(str, frame.columns)
        if name not in COLUMNS
        and not name.endswith(("_version", "_seconds"))
        and not name.startswith((PREFIX, LOW, HIGH))
        and frame[name].dtype.kind == "f"
    ]


def check_metrics(names: Sequence[str], frame: pd.DataFrame) -> None:
    """Refuse metrics that no row has.

    Raises:
        UnknownName: with the nearest ones.
    """
    there = [name for name in metric_columns(frame) if frame[name].notna().any()]
    for name in names:
        if name not in there:
            raise UnknownName(f"no result has a metric {name!r}{did_you_mean(name, there)}")
