"""All metrics of a pair of score arrays: the built-in ones and those of plugins."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from oodbench.metrics import METRICS, roc_curve
from oodbench.plugins import registry

if TYPE_CHECKING:
    from oodbench.api import Metric


def of_plugins() -> dict[str, Metric]:
    """Return the metrics that plugins bring, by name; those that cannot be used are left out."""
    return registry.usable("metrics")


def all_metrics(scores_id: ArrayLike, scores_ood: ArrayLike) -> dict[str, float]:
    """Return all of `METRICS` by name, from one sort, and then those of plugins.

    Raises:
        MetricError: unusable scores, see `roc_curve`.
        PluginError: a plugin's metric fails, or is no finite number.
    """
    curve = roc_curve(scores_id, scores_ood)
    own = {name: metric.of_curve(curve) for name, metric in METRICS.items()}
    return own | {name: _of_plugin(name, metric, scores_id, scores_ood) for name, metric in of_plugins().items()}


def _of_plugin(name: str, metric: Metric, scores_id: ArrayLike, scores_ood: ArrayLike) -> float:
    # Copies: foreign code may sort in place.
    arrays = (np.array(scores, dtype=np.float64) for scores in (scores_id, scores_ood))
    try:
        value = float(metric(*arrays))
    except Exception as error:
        raise registry.find("metrics", name).refuse(f"failed: {type(error).__name__}: {error}") from error
    if not isfinite(value):
        raise registry.find("metrics", name).refuse(f"returned {value}; a metric must be a finite number")
    return value
