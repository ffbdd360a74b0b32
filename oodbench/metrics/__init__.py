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

from .calibration import brier_score, expected_calibration_error, negative_log_likelihood
from .certainty import Certainty, certainty_of
from .checked import Counts, Floats
from .columns import METRICS, SAMPLE_METRICS, CurveMetric, SampleMetric, sample_metrics
from .intervals import (
    Interval,
    bootstrap_interval,
    delong_covariance,
    delong_difference,
    delong_interval,
    intervals_of,
    percentile_interval,
)
from .legacy import Legacy
from .open_set import (
    macro_f,
    micro_f,
    normalized_accuracy,
    open_set_accuracy,
    openness,
    openness_of,
    oscr,
    precision_recall,
)
from .resampling import resampled_by_loop, resampled_metrics, resampled_sample_metrics
from .roc import Prior, RocCurve, roc_curve
from .samples import Samples
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
from .selective import accepted_accuracy, accepted_id_accuracy, augrc, aurc, risk_at_coverage
from .threshold_curve import autc

__all__ = [
    "METRICS",
    "SAMPLE_METRICS",
    "Certainty",
    "Counts",
    "CurveMetric",
    "Floats",
    "Interval",
    "Legacy",
    "Prior",
    "RocCurve",
    "SampleMetric",
    "Samples",
    "accepted_accuracy",
    "accepted_id_accuracy",
    "augrc",
    "aupr_in",
    "aupr_in_trapezoid",
    "aupr_out",
    "aupr_out_trapezoid",
    "aurc",
    "auroc",
    "autc",
    "bootstrap_interval",
    "brier_score",
    "certainty_of",
    "delong_covariance",
    "delong_difference",
    "delong_interval",
    "detection_accuracy",
    "detection_error",
    "expected_calibration_error",
    "fpr_at_tpr",
    "fpr_at_tpr_ood_positive",
    "intervals_of",
    "macro_f",
    "micro_f",
    "negative_log_likelihood",
    "normalized_accuracy",
    "open_set_accuracy",
    "openness",
    "openness_of",
    "oscr",
    "percentile_interval",
    "precision_recall",
    "resampled_by_loop",
    "resampled_metrics",
    "resampled_sample_metrics",
    "risk_at_coverage",
    "roc_curve",
    "sample_metrics",
    "tnr_at_tpr",
]
