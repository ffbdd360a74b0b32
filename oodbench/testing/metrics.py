"""The contract of a metric, checked on two sets of scores with ties."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oodbench.api import Metric
from oodbench.metrics import Samples

from .contract import Check, require

_ID = np.array([0.9, 0.8, 0.8, 0.7, 0.4, 0.3])
_OOD = np.array([0.8, 0.5, 0.2, 0.1])


def _given(metric: Metric, scores_id: NDArray[np.float64], scores_ood: NDArray[np.float64]) -> tuple[Any, ...]:
    """Return what a metric is called with: two sets of scores, or samples with these scores, all classified right."""
    if getattr(metric, "takes", "scores") != "samples":
        return scores_id.copy(), scores_ood.copy()
    classes = np.zeros(len(scores_id), dtype=np.int64)
    samples = Samples(
        scores_id=scores_id.copy(),
        scores_ood=scores_ood.copy(),
        n_classes=2,
        predicted_id=classes,
        true_id=classes,
        predicted_ood=np.zeros(len(scores_ood), dtype=np.int64),
        true_ood=np.zeros(len(scores_ood), dtype=np.int64),
        probabilities_id=np.tile([0.8, 0.2], (len(scores_id), 1)),
    )
    return (samples,)


def _value(metric: Metric, scores_id: NDArray[np.float64], scores_ood: NDArray[np.float64]) -> float:
    return metric(*_given(metric, scores_id, scores_ood))


def check_is_described(metric: Metric) -> None:
    """It has a heading and a direction."""
    require(isinstance(metric.label, str) and metric.label, "set 'label' to the heading of its column")
    require(isinstance(metric.higher_is_better, bool), "set 'higher_is_better' to True or False")


def check_one_finite_number(metric: Metric) -> None:
    """It returns one finite number."""
    for scores_id, scores_ood in ((_ID, _OOD), (_OOD, _ID), (_ID[:1], _OOD[:1]), (_ID, _ID)):
        value = _value(metric, scores_id, scores_ood)
        finite = isinstance(value, float | np.floating) and math.isfinite(value)
        require(finite, f"it must return a finite float, also of one score each and of equal sets; got {value!r}")


def check_scores_are_left_alone(metric: Metric) -> None:
    """It does not change the scores that it is given."""
    given = _given(metric, _ID, _OOD)
    metric(*given)
    scores_id, scores_ood = (given[0].scores_id, given[0].scores_ood) if isinstance(given[0], Samples) else given
    same = np.array_equal(scores_id, _ID) and np.array_equal(scores_ood, _OOD)
    require(same, "copy the scores before changing them: np.sort() instead of .sort()")


def check_order_does_not_count(metric: Metric) -> None:
    """The order of the images does not change it."""
    one, other = _value(metric, _ID, _OOD), _value(metric, _ID[::-1], _OOD[::-1])
    require(math.isclose(one, other, abs_tol=1e-12), f"it gives {one} and, in another order, {other}")


def check_direction_is_true(metric: Metric) -> None:
    """Scores that tell the sets apart get a better value than scores that put them the wrong way round."""
    right, wrong = _value(metric, _ID + 1, _OOD - 1), _value(metric, _ID - 1, _OOD + 1)
    better = right > wrong if metric.higher_is_better else right < wrong
    message = f"perfect scores give {right:.4g}, reversed ones {wrong:.4g}, and higher_is_better is "
    require(better, f"{message}{metric.higher_is_better}; turn it round, or read scores as higher = in-distribution")


METRIC_CHECKS: tuple[Check, ...] = (
    check_is_described,
    check_one_finite_number,
    check_scores_are_left_alone,
    check_order_does_not_count,
    check_direction_is_true,
)
