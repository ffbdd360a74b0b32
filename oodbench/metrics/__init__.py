"""How well two sets of scores are told apart, how well a classifier rejects, and how sure these numbers are.

Higher scores mean more in-distribution (ID). A threshold t accepts a sample as ID when its score is >= t, so
samples with equal scores are accepted or rejected together. ID is the positive class unless a name says
otherwise. Results are fractions in [0, 1], never percent and never rounded, unless a metric says so.

Most metrics are pure functions of `(scores_id, scores_ood)`, and all exact ones read one `RocCurve`. Those that need
classes or probabilities as well take one `Samples`.

`legacy="ccag"` instead reproduces the numbers of the evaluation code published with CC-AG (Lee et al., ICLR
2018), to stand beside tables of that time.
"""

from __future__ import annotations

from .checked import Counts, Floats
from .columns import METRICS, CurveMetric
from .legacy import Legacy
from .roc import Prior, RocCurve, roc_curve
from .scores import (
    aupr_in,
    aupr_in_trapezoid,
    aupr_out,
    aupr_out_trapezoid,
    auroc,
    detection_accuracy,
    detection_error,
    fpr_at_tpr,
    fpr_at_tpr_ood_positive,
    tnr_at_tpr,
)

__all__ = [
    "METRICS",
    "Counts",
    "CurveMetric",
    "Floats",
    "Legacy",
    "Prior",
    "RocCurve",
    "aupr_in",
    "aupr_in_trapezoid",
    "aupr_out",
    "aupr_out_trapezoid",
    "auroc",
    "detection_accuracy",
    "detection_error",
    "fpr_at_tpr",
    "fpr_at_tpr_ood_positive",
    "roc_curve",
    "tnr_at_tpr",
]
