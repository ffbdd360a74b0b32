"""fDBD: mean distance to the decision boundaries, relative to the distance to the mean training feature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from oodbench.api import FitInputs, Objective, Sees
from oodbench.objectives import CrossEntropy

if TYPE_CHECKING:
    from oodbench.batch import Batch
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class FDBD:
    """Fast decision boundary based detector; it has no hyper-parameters.

    Score: 1/(C − 1) · Σ_{c ≠ m} |(w_m − w_c)ᵀz + b_m − b_c| / ‖w_m − w_c‖₂ / ‖z − μ‖₂, with z the features, m the
    predicted class, w and b the weights of the last layer, and μ the mean of the training features.
    Source: Liu & Qin, Fast Decision Boundary based Out-of-Distribution Detector, ICML 2024, Section 3.
    """

    title: ClassVar[str] = "Distance to the decision boundaries (fDBD)"
    source: ClassVar[str] = "Liu & Qin, ICML 2024, Sec. 3"
    sees: ClassVar[frozenset[Sees]] = frozenset()

    @property
    def objective(self) -> Objective:
        """Cross-entropy: the network is the one that all scores of plain classifiers use."""
        return CrossEntropy()

    def fit(self, inputs: FitInputs) -> FDBDDetector:
        """Return the detector with the mean training feature and the boundaries of the last layer."""
        import torch

        mean = inputs.train.features.double().mean(dim=0)
        # A linear layer maps the unit vectors to W + b and zero to b, whatever it is made of.
        with torch.no_grad():
            bias = inputs.network.head(mean.new_zeros(1, len(mean)).float()).double()
            weight = (inputs.network.head(torch.eye(len(mean), device=mean.device)).double() - bias).T
        return FDBDDetector(mean=mean, norms=torch.cdist(weight, weight))


@dataclass(frozen=True, kw_only=True, eq=False)
class FDBDDetector:
    """Distances to the boundaries of a linear classifier.

    Attributes:
        mean: μ, float64, shape (n_features,).
        norms: ‖w_i − w_j‖₂ of each pair of classes, float64, shape (n_classes, n_classes).
    """

    mean: Tensor
    norms: Tensor

    def score(self, batch: Batch) -> Tensor:
        """Return the regularised mean distance, float64 of shape (n,), at least 0."""
        logits = batch.logits.double()
        top, predicted = logits.max(dim=1, keepdim=True)
        # The difference of two logits is (w_m − w_c)ᵀz + b_m − b_c; the predicted class itself is left out.
        others = logits.new_ones(logits.shape, dtype=bool).scatter(1, predicted, value=False)
        gaps = (top - logits)[others].reshape(len(logits), -1)
        distances = gaps / self.norms[predicted[:, 0]][others].reshape(gaps.shape)
        return distances.mean(dim=1) / (batch.features.double() - self.mean).norm(dim=1)

    def classify(self, batch: Batch) -> Tensor:
        """Return the index of the largest logit, shape (n,)."""
        return batch.logits.argmax(dim=1)
