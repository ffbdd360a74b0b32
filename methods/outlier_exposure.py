"""Outlier exposure: a classifier that is trained to be undecided about seen out-of-distribution images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from oodbench.api import Need, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CheckedByObjectives, CrossEntropy, SeenOodObjective
from oodbench.posthoc import LogitMethod

from .max_logit import MaxLogit
from .msp import MSP

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def cross_entropy_to_uniform(logits: Tensor) -> Tensor:
    """Return the mean of −1/C Σ_k log p_k over a batch, with p the softmax of logits, shape (n, C); a scalar.

    It is at least log C, which it is where all classes are equally likely.
    Source: Hendrycks et al., ICLR 2019, Section 4; survey (Salehi et al.) §6.6 and, less log C, §6.13, Eq. 78.
    """
    return -logits.log_softmax(dim=1).mean()


@dataclass(frozen=True, kw_only=True)
class ExposedClassifier(SeenOodObjective):
    """Cross-entropy on ID images and λ times the cross-entropy from the uniform distribution on seen OOD images.

    Source: Hendrycks et al., ICLR 2019, Section 4 ("multiclass classification").

    Attributes:
        weight: λ.
        ood_ratio: seen OOD images for each ID image of a batch.
        start: "scratch" trains from random weights, "ce" fine-tunes the plain cross-entropy classifier.
    """

    name: ClassVar[str] = "outlier_exposure"
    needs: ClassVar[frozenset[Need]] = frozenset({"classes", "seen_ood"})

    weight: float = 0.5
    ood_ratio: float = 2.0
    start: Literal["scratch", "ce"] = "scratch"

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_ratio(self.ood_ratio)

    @property
    def starts_from(self) -> Objective | None:
        """Nothing, or the plain classifier."""
        return CrossEntropy() if self.start == "ce" else None

    def loss_with_ood(
        self, outputs_id: Tensor, labels: Tensor, outputs_ood: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Return the loss of logits of ID images, shape (n, C), and of seen OOD images, shape (m, C); a scalar."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(outputs_id, labels) + self.weight * cross_entropy_to_uniform(outputs_ood)

    def embed(self, outputs: Tensor) -> Tensor:
        """Return class probabilities."""
        return outputs.softmax(dim=1)


def check_weight(weight: float) -> None:
    """Make sure that the weight of a loss term can be one.

    Raises:
        ConfigError: it is negative or no number.
    """
    if not weight >= 0:
        raise ConfigError(f"weight must not be negative, got {weight}")


def check_ratio(ood_ratio: float) -> None:
    """Make sure that a batch holds seen OOD images.

    Raises:
        ConfigError: it would hold none.
    """
    if not ood_ratio > 0:
        raise ConfigError(f"ood_ratio must be positive, got {ood_ratio}; it is seen OOD images for each ID image")


@dataclass(frozen=True, kw_only=True)
class OutlierExposure(CheckedByObjectives, LogitMethod):
    """Outlier exposure; the score is the maximum softmax probability, or the maximum logit.

    Score: max_k softmax(f)_k, in [1/C, 1], or max_k f_k.
    Source: Hendrycks et al., ICLR 2019, Section 4; survey (Salehi et al.) §6.6; with the maximum logit it is the
    MLV-OE of the survey's Tables 3 to 6. The paper trains 100 epochs from scratch or 10 from a trained classifier, with
    twice as many outliers as ID images; here both take as long as the benchmark's recipe says.

    Attributes:
        score: "msp" or "max_logit".
        weight: λ.
        ood_ratio: seen OOD images for each ID image of a batch.
        start: "scratch", or "ce" to fine-tune the plain cross-entropy classifier.
        seen: which of the benchmark's seen OOD images are the outliers; None for the benchmark's first.
    """

    title: ClassVar[str] = "Outlier exposure"
    source: ClassVar[str] = "Hendrycks et al., ICLR 2019, Sec. 4"
    sees: ClassVar[frozenset[Sees]] = frozenset({"seen_ood"})

    score: Literal["msp", "max_logit"] = "msp"
    weight: float = 0.5
    ood_ratio: float = 2.0
    start: Literal["scratch", "ce"] = "scratch"
    seen: str | None = None

    @property
    def networks(self) -> tuple[Objective, ...]:
        """The classifier that is exposed to outliers."""
        return (ExposedClassifier(weight=self.weight, ood_ratio=self.ood_ratio, start=self.start),)

    def score_logits(self, logits: Tensor) -> Tensor:
        """Return one score an image, float64 of shape (n,), from logits, shape (n, n_classes)."""
        scored: LogitMethod = MSP() if self.score == "msp" else MaxLogit()
        return scored.score_logits(logits)
