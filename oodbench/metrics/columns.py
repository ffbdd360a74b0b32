"""The engine's own metrics, as columns of result rows: a heading, a direction and how to compute each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from numpy.typing import ArrayLike

from .roc import RocCurve, roc_curve


@dataclass(frozen=True)
class CurveMetric:
    """A metric that is read off the ROC curve, so that all of them share one sort.

    Attributes:
        label: its heading in tables.
        of_curve: its value.
        higher_is_better: its direction.
    """

    label: str
    of_curve: Callable[[RocCurve], float]
    higher_is_better: bool = True

    def __call__(self, scores_id: ArrayLike, scores_ood: ArrayLike) -> float:
        """Return its value; arguments and errors are as for `roc_curve`."""
        return self.of_curve(roc_curve(scores_id, scores_ood))


METRICS: Mapping[str, CurveMetric] = MappingProxyType(
    {
        "auroc": CurveMetric("AUROC", lambda c: c.auroc()),
        "aupr_in": CurveMetric("AUPR-in", lambda c: c.aupr("natural")),
        "aupr_out": CurveMetric("AUPR-out", lambda c: c.mirrored.aupr("natural")),
        "aupr_in_equal_prior": CurveMetric("AUPR-in (equal prior)", lambda c: c.aupr("equal")),
        "aupr_out_equal_prior": CurveMetric("AUPR-out (equal prior)", lambda c: c.mirrored.aupr("equal")),
        "fpr_at_95tpr": CurveMetric("FPR at 95% TPR", lambda c: c.fpr_at_tpr(0.95), higher_is_better=False),
        "tnr_at_95tpr": CurveMetric("TNR at 95% TPR", lambda c: 1 - c.fpr_at_tpr(0.95)),
        "detection_error": CurveMetric("Detection error", lambda c: c.detection_error(0.95), higher_is_better=False),
        "detection_accuracy": CurveMetric("Detection accuracy", lambda c: c.detection_accuracy()),
        "fpr_at_95tpr_ood_positive": CurveMetric(
            "FPR at 95% TPR (OOD positive)", lambda c: c.mirrored.fpr_at_tpr(0.95), higher_is_better=False
        ),
    }
)
"""The engine's own metrics, by the names of their columns and in their order; those of plugins follow them."""
