"""Objectosphere: undecided logits and small features for seen out-of-distribution images, large ones for others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from oodbench.api import FitInputs, Need, NetworkBuilder, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CheckedByObjectives, SeenOodObjective
from oodbench.posthoc import PostHocDetector

from .outlier_exposure import check_ratio, check_weight, cross_entropy_to_uniform

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from oodbench.batch import Batch


@dataclass(frozen=True, kw_only=True)
class Objectosphere(SeenOodObjective):
    """The entropic open-set loss and λ times a penalty of the features' lengths.

    Entropic open-set: cross-entropy on ID images and −1/C Σ_k log p_k on seen OOD images. Penalty: the mean of
    max(0, ξ − ‖z‖)² on ID images and that of ‖z‖² on OOD images, with z the features.
    Source: Dhamija et al., NeurIPS 2018, Eq. 1 and 3; survey (Salehi et al.) §5.4.

    Attributes:
        xi: ξ.
        weight: λ; 0 is the entropic open-set loss alone.
        ood_ratio: seen OOD images for each ID image of a batch.
    """

    name: ClassVar[str] = "objectosphere"
    needs: ClassVar[frozenset[Need]] = frozenset({"classes", "seen_ood"})

    xi: float = 50.0
    weight: float = 1e-4
    ood_ratio: float = 1.0

    def __post_init__(self) -> None:
        if not self.xi > 0:
            raise ConfigError(f"xi must be positive, got {self.xi}")
        check_weight(self.weight)
        check_ratio(self.ood_ratio)

    def build(
        self, backbone: NetworkBuilder, shape: tuple[int, int, int], n_classes: int, embedding_dim: int
    ) -> nn.Module:
        """Return a classifier that shows its features."""
        from ._heads import FeaturesAndLogits

        return FeaturesAndLogits(backbone(shape, n_classes))

    def loss_with_ood(
        self,
        outputs_id: Mapping[str, Tensor],
        labels: Tensor,
        outputs_ood: Mapping[str, Tensor],
        generator: torch.Generator,
    ) -> Tensor:
        """Return the loss of "features" and "logits" of ID images and of seen OOD images; a scalar."""
        from torch.nn.functional import cross_entropy

        entropic = cross_entropy(outputs_id["logits"], labels) + cross_entropy_to_uniform(outputs_ood["logits"])
        # The root has no finite gradient at 0, where all features of an image are dead.
        length = outputs_id["features"].square().sum(dim=1).clamp(min=1e-12).sqrt()
        too_short = (self.xi - length).clamp(min=0).square().mean()
        return entropic + self.weight * (too_short + outputs_ood["features"].square().sum(dim=1).mean())

    def embed(self, outputs: Tensor) -> Tensor:
        """Return class probabilities."""
        return outputs.softmax(dim=1)


@dataclass(frozen=True, kw_only=True)
class ObjectosphereMethod(CheckedByObjectives):
    """Objectosphere and entropic open-set loss.

    Score: max_k softmax(f)_k · ‖z‖ ("scaled"), or max_k softmax(f)_k ("msp").
    Source: Dhamija et al., NeurIPS 2018, Eq. 1 and 3; survey (Salehi et al.) §5.4. `weight=0, score=msp` is the
    entropic open-set loss. ξ and λ are those of the public code for MNIST. That code weighs each class, and all
    outliers together, alike; here ID images and outliers are weighed alike.

    Attributes:
        score: "scaled" or "msp".
        xi, weight, ood_ratio: of the objective, see `Objectosphere`.
        seen: which of the benchmark's seen OOD images are the background; None for the benchmark's first.
    """

    title: ClassVar[str] = "Objectosphere"
    source: ClassVar[str] = "Dhamija et al., NeurIPS 2018, Eq. 1 and 3"
    sees: ClassVar[frozenset[Sees]] = frozenset({"seen_ood"})
    needs: ClassVar[frozenset[Need]] = frozenset({"classes"})

    score: Literal["scaled", "msp"] = "scaled"
    xi: float = 50.0
    weight: float = 1e-4
    ood_ratio: float = 1.0
    seen: str | None = None

    @property
    def networks(self) -> tuple[Objective, ...]:
        """The classifier with small features for outliers."""
        return (Objectosphere(xi=self.xi, weight=self.weight, ood_ratio=self.ood_ratio),)

    def fit(self, inputs: FitInputs) -> ObjectosphereDetector:
        """Return a detector at once: there is nothing to fit."""
        return ObjectosphereDetector(scaled=self.score == "scaled")


@dataclass(frozen=True, kw_only=True)
class ObjectosphereDetector(PostHocDetector):
    """Scores by the largest probability, scaled by the length of the features where `scaled` says so."""

    scaled: bool

    def score(self, batch: Batch) -> Tensor:
        """Return one score an image, float64 of shape (n,)."""
        largest = batch.logits.double().softmax(dim=1).amax(dim=1)
        return largest * batch.features.double().norm(dim=1) if self.scaled else largest
