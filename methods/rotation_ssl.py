"""Rotation prediction beside classification: a self-supervised task whose failure betrays outliers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from oodbench.api import FitInputs, Need, NetworkBuilder, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CheckedByObjectives
from oodbench.posthoc import PostHocDetector

if TYPE_CHECKING:
    from torch import Tensor, nn

    from oodbench.batch import Batch
    from oodbench.training.learner import Learner, Setting


@dataclass(frozen=True, kw_only=True)
class RotationAndClasses:
    """Cross-entropy of the classes and λ times that of quarter turns, which a second head predicts.

    Every image is seen in all four turns; the unturned one is classified.
    Source: Hendrycks et al., NeurIPS 2019, Section 3; survey (Salehi et al.) §6.7.

    Attributes:
        weight: λ.
    """

    name: ClassVar[str] = "rotation_ssl"
    uses_seen_ood: ClassVar[bool] = False
    starts_from: ClassVar[Objective | None] = None

    weight: float = 0.5

    def __post_init__(self) -> None:
        if not self.weight >= 0:
            raise ConfigError(f"weight must not be negative, got {self.weight}")

    def build(
        self, backbone: NetworkBuilder, shape: tuple[int, int, int], n_classes: int, embedding_dim: int
    ) -> nn.Module:
        """Return a classifier with a head for quarter turns.

        Raises:
            ConfigError: the images are not square.
        """
        from ._rotations import RotationNet

        _, height, width = shape
        if height != width:
            raise ConfigError(
                f"rotation_ssl turns images by quarters of a circle and needs square ones, and these are "
                f"{height}×{width}; choose a benchmark with square images"
            )
        return RotationNet(backbone(shape, n_classes), shape)

    def learner(self, network: nn.Module, setting: Setting) -> Learner:
        """Return what trains both heads."""
        from ._rotations import RotationLearner

        return RotationLearner(network, self.weight, setting)

    def embed(self, outputs: Tensor) -> Tensor:
        """Return class probabilities."""
        return outputs.softmax(dim=1)


@dataclass(frozen=True, kw_only=True)
class RotationSSL(CheckedByObjectives):
    """A classifier that has also learnt to predict rotations, scored by both.

    Score: s(x) + 1/4 Σ_r log p(r | x turned r times), with s the maximum softmax probability ("msp"), KL(U ‖ p) of the
    class probabilities and the uniform distribution ("kl"), or nothing ("none").
    Source: Hendrycks et al., NeurIPS 2019, Sections 3 and 5; survey (Salehi et al.) §6.7. The public code scores with
    "kl" and logarithms to base 2; here they are natural, which changes no order with "kl". The code can also predict
    translations; here rotations only.

    Attributes:
        weight: of the rotation loss in training.
        classes: s, "kl", "msp" or "none".
        rotation: whether the score has its second term.
    """

    title: ClassVar[str] = "Rotation prediction"
    source: ClassVar[str] = "Hendrycks et al., NeurIPS 2019, Sec. 3"
    sees: ClassVar[frozenset[Sees]] = frozenset()
    needs: ClassVar[frozenset[Need]] = frozenset({"classes"})

    weight: float = 0.5
    classes: Literal["kl", "msp", "none"] = "kl"
    rotation: bool = True

    def __post_init__(self) -> None:
        if self.classes == "none" and not self.rotation:
            raise ConfigError("classes=none with rotation=false leaves nothing to score; give one of them")
        super().__post_init__()

    @property
    def networks(self) -> tuple[Objective, ...]:
        """The classifier that also predicts rotations."""
        return (RotationAndClasses(weight=self.weight),)

    def fit(self, inputs: FitInputs) -> RotationDetector:
        """Return a detector at once: there is nothing to fit."""
        return RotationDetector(classes=self.classes, rotation=self.rotation)


@dataclass(frozen=True, kw_only=True)
class RotationDetector(PostHocDetector):
    """Scores by class probabilities and by how well turns are predicted.

    Attributes:
        classes: "kl", "msp" or "none".
        rotation: whether turns count.
    """

    classes: Literal["kl", "msp", "none"]
    rotation: bool

    def score(self, batch: Batch) -> Tensor:
        """Return one score an image, float64 of shape (n,)."""
        import math

        log_p = batch.logits.double().log_softmax(dim=1)
        score = log_p.new_zeros(len(batch))
        if self.classes == "msp":
            score = log_p.amax(dim=1).exp()
        elif self.classes == "kl":
            score = -math.log(log_p.shape[1]) - log_p.mean(dim=1)
        return score + batch.output("rotation").double().mean(dim=1) if self.rotation else score
