"""The engine's own metrics, as columns of result rows: a heading, a direction and how to compute each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal

from numpy.typing import ArrayLike

from .calibration import brier_score, expected_calibration_error, negative_log_likelihood
from .open_set import macro_f, micro_f, normalized_accuracy, open_set_accuracy, oscr
from .roc import RocCurve, roc_curve
from .samples import Samples
from .selective import accepted_accuracy, accepted_id_accuracy, augrc, aurc, risk_at_coverage
from .threshold_curve import autc_of_means


@dataclass(frozen=True)
class CurveMetric:
    """A metric that is read off the ROC curve, so that all of them share one sort.

    Attributes:
        label: its heading in tables.
        of_curve: its value.
        higher_is_better: its direction.
    """

    takes: ClassVar[Literal["scores"]] = "scores"

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
        "aupr_out_one_in_six": CurveMetric("AUPR-out (1 OOD in 6)", lambda c: c.mirrored.aupr("one_in_six")),
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


@dataclass(frozen=True)
class SampleMetric:
    """A metric that reads classes or probabilities besides the scores; all of one set share one `Samples`.

    Attributes:
        label: its heading in tables.
        of_samples: its value.
        higher_is_better: its direction.
        needs: what it reads of the samples that they may lack, as names of attributes.
        is_fraction: whether tables are to print it as a percentage.
    """

    takes: ClassVar[Literal["samples"]] = "samples"

    label: str
    of_samples: Callable[[Samples], float]
    higher_is_better: bool = True
    needs: tuple[str, ...] = ("predicted_id", "true_id")
    is_fraction: bool = True

    def __call__(self, samples: Samples) -> float:
        """Return its value.

        Raises:
            MetricError: the samples lack what it needs.
        """
        return self.of_samples(samples)


_OF_PROBABILITIES = ("certainty",)
_WITH_OOD_CLASSES = ("predicted_id", "true_id", "predicted_ood")

SAMPLE_METRICS: Mapping[str, SampleMetric] = MappingProxyType(
    {
        "open_set_accuracy": SampleMetric("Open-set accuracy at 95% TPR", open_set_accuracy),
        "normalized_accuracy": SampleMetric("Normalised accuracy at 95% TPR", normalized_accuracy),
        "macro_f": SampleMetric("Macro-F at 95% TPR", macro_f, needs=_WITH_OOD_CLASSES),
        "micro_f": SampleMetric("Micro-F at 95% TPR", micro_f),
        "oscr": SampleMetric("OSCR", oscr),
        "autc": SampleMetric(
            "AUTC", lambda samples: autc_of_means(*samples.stretched_means()), higher_is_better=False, needs=()
        ),
        "aurc": SampleMetric("AURC", aurc, higher_is_better=False),
        "augrc": SampleMetric("AUGRC", augrc, higher_is_better=False),
        "risk_at_80coverage": SampleMetric("Risk at 80% coverage", risk_at_coverage, higher_is_better=False),
        "accepted_accuracy": SampleMetric("Accuracy of the accepted at 95% TPR", accepted_accuracy),
        "accepted_id_accuracy": SampleMetric("Accuracy of accepted ID at 95% TPR", accepted_id_accuracy),
        "ece": SampleMetric("ECE", expected_calibration_error, higher_is_better=False, needs=_OF_PROBABILITIES),
        "brier": SampleMetric(
            "Brier score", brier_score, higher_is_better=False, needs=_OF_PROBABILITIES, is_fraction=False
        ),
        "nll": SampleMetric(
            "NLL", negative_log_likelihood, higher_is_better=False, needs=_OF_PROBABILITIES, is_fraction=False
        ),
    }
)
"""The engine's own metrics over samples, by the names of their columns and in their order."""


def sample_metrics(samples: Samples) -> dict[str, float]:
    """Return all of `SAMPLE_METRICS` that the samples have what is needed for, by name, from one sort.

    >>> list(sample_metrics(Samples(scores_id=[1.0], scores_ood=[0.0], n_classes=1)))
    ['autc']
    """
    return {name: metric(samples) for name, metric in SAMPLE_METRICS.items() if samples.has(*metric.needs)}
