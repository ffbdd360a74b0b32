"""Nearness of the features to the weights of the predicted class, and their size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from oodbench.api import FitInputs
from oodbench.errors import ConfigError
from oodbench.posthoc import PostHocDetector, PostHocMethod

if TYPE_CHECKING:
    from torch import Tensor

    from oodbench.batch import Batch


@dataclass(frozen=True, kw_only=True)
class NCI(PostHocMethod):
    """Neural collapse inspired detector (NCI): ID features lie along the weights of their class, far from the origin.

    Score: w_ŷᵀ(z − μ) / ‖z − μ‖ + α·‖z‖₁, with z the penultimate features, ŷ the predicted class, w the weights of the
    last layer and μ the mean of the training features. Features that are μ have 0 for the first term.
    Source: Liu & Qin, CVPR 2025; OpenOOD, where the authors' code is.

    OpenOOD has α = 0.0001 and can choose it on OOD images from 0.0001, 0.001, 0.01 and 0.1; pytorch-ood has α = 0.

    Attributes:
        alpha: α; 0 leaves the size out.
    """

    title: ClassVar[str] = "Neural collapse inspired (NCI)"
    source: ClassVar[str] = "Liu & Qin, CVPR 2025"
    # That of OpenOOD v1.5.
    grid: ClassVar[Mapping[str, tuple[object, ...]]] = {"alpha": (0.0001, 0.001, 0.01, 0.1)}

    alpha: float = 0.0001

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < float("inf"):
            raise ConfigError(f"alpha must be a number from 0 up, got {self.alpha}")

    def fit(self, inputs: FitInputs) -> NCIDetector:
        """Return a detector with the weights and the mean training feature.

        Raises:
            ConfigError: the head is not affine.
        """
        from ._affine_head import affine_head
        from ._moments import mean_of

        weights, _ = affine_head(inputs.network, inputs.train, "nci")
        return NCIDetector(alpha=self.alpha, weights=weights, mean=mean_of(inputs.train))


@dataclass(frozen=True, kw_only=True, eq=False)
class NCIDetector(PostHocDetector):
    """Projection on the weights of the predicted class, and L1 norm.

    Attributes:
        alpha: α.
        weights: w, float64, shape (n_classes, n_features).
        mean: μ, float64, shape (n_features,).
    """

    alpha: float
    weights: Tensor
    mean: Tensor

    def score(self, batch: Batch) -> Tensor:
        """Return the score, float64 of shape (n,)."""
        from torch.nn.functional import normalize

        features = batch.features.double()
        directions = normalize(features - self.mean)
        along = (directions * self.weights[batch.logits.argmax(dim=1)]).sum(dim=1)
        return along + self.alpha * features.abs().sum(dim=1)
