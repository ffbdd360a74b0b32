"""All metrics of a method on an OOD set: the built-in ones of scores and of samples, and those of plugins."""

from __future__ import annotations

import copy
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from oodbench.columns import FULL_SPECTRUM
from oodbench.metrics import METRICS, CurveMetric, Samples, roc_curve, sample_metrics
from oodbench.plugins import registry

if TYPE_CHECKING:
    from oodbench.api import Metric

CODE = (CurveMetric, Samples)
"""What the built-in metrics are made of: its code is part of the key of every cell, with this module's."""


def of_plugins() -> dict[str, Metric]:
    """Return the metrics that plugins bring, by name; those that cannot be used are left out."""
    return registry.usable("metrics")


def all_metrics(scores_id: ArrayLike, scores_ood: ArrayLike) -> dict[str, float]:
    """Return all of `METRICS` by name, from one sort, and then those of plugins that take scores.

    Raises:
        MetricError: unusable scores, see `roc_curve`.
        PluginError: a plugin's metric fails, or is no finite number.
    """
    curve = roc_curve(scores_id, scores_ood)
    own = {name: metric.of_curve(curve) for name, metric in METRICS.items()}
    # Copies: foreign code may sort in place.
    arrays = [np.array(scores, dtype=np.float64) for scores in (scores_id, scores_ood)]
    return own | {
        name: _of_plugin(name, metric, *copy.deepcopy(arrays))
        for name, metric in of_plugins().items()
        if not _takes_samples(metric)
    }


def full_spectrum(scores_id: ArrayLike, scores_ood: ArrayLike) -> dict[str, float]:
    """Return all of `METRICS` by name, with `full_spectrum_` before it.

    Args:
        scores_id: of the ID test images and of all covariate-shifted ones, which count as in-distribution here.
        scores_ood: of an OOD set.

    Raises:
        MetricError: unusable scores, see `roc_curve`.
    """
    curve = roc_curve(scores_id, scores_ood)
    return {f"{FULL_SPECTRUM}{name}": metric.of_curve(curve) for name, metric in METRICS.items()}


def metrics_of_samples(samples: Samples) -> dict[str, float]:
    """Return what needs the classes of images as well, by name: `SAMPLE_METRICS` that the samples allow, and plugins'.

    Raises:
        PluginError: a plugin's metric fails, or is no finite number.
    """
    foreign = {name: metric for name, metric in of_plugins().items() if _takes_samples(metric)}
    return sample_metrics(samples) | {
        name: _of_plugin(name, metric, copy.deepcopy(samples)) for name, metric in foreign.items()
    }


def _takes_samples(metric: Metric) -> bool:
    return getattr(metric, "takes", "scores") == "samples"


def _of_plugin(name: str, metric: Metric, *given: Any) -> float:
    try:
        value = float(metric(*given))
    except Exception as error:
        raise registry.find("metrics", name).refuse(f"failed: {type(error).__name__}: {error}") from error
    if not isfinite(value):
        raise registry.find("metrics", name).refuse(f"returned {value}; a metric must be a finite number")
    return value
