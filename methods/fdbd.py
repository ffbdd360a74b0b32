"""Distance of the features to the decision boundaries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from oodbench.api import FitInputs
from oodbench.posthoc import PostHocDetector, PostHocMethod

if TYPE_CHECKING:
    from torch import Tensor

    from oodbench.batch import Batch

SHORTEST = 1e-8
"""The least distance that is divided by, as in pytorch-ood."""


@dataclass(frozen=True, kw_only=True)
class FDBD(PostHocMethod):
    """Fast decision boundary based detector (fDBD): how far an image is from being classified otherwise.

    Score: 1/(C − 1) · Σ_{c ≠ m} (f_m − f_c) / ‖w_m − w_c‖ / ‖z − μ‖, with z the penultimate features, f their logits, m
    the predicted class, w the weights of the last layer and μ the mean of the training features.
    Source: Liu & Qin, ICML 2024; the public code, which sums where the paper averages.

    OpenOOD chooses on OOD images whether to divide by ‖z − μ‖ or by ‖z‖. Classes whose weights are those of class m
    have no boundary with it, and add nothing.

    Attributes:
        divisor: "distance" for ‖z − μ‖, "norm" for ‖z‖, "none" for distances as they are.
    """

    title: ClassVar[str] = "Distance to decision boundaries (fDBD)"
    source: ClassVar[str] = "Liu & Qin, ICML 2024"
    # That of OpenOOD v1.5.
    grid: ClassVar[Mapping[str, tuple[object, ...]]] = {"divisor": ("distance", "norm")}

    divisor: Literal["distance", "norm", "none"] = "distance"

    def fit(self, inputs: FitInputs) -> FDBDDetector:
        """Return a detector with the boundaries and the mean training feature.

        Raises:
            ConfigError: the head is not affine.
        """
        import torch

        from ._affine_head import affine_head
        from ._moments import mean_of

        weights, _ = affine_head(inputs.network, inputs.train, "fdbd")
        # Not by products, which are faster and lose the digits of small distances.
        lengths = torch.cdist(weights, weights, compute_mode="donot_use_mm_for_euclid_dist")
        # Weights are float32: a shorter difference is rounding.
        resolved = lengths > torch.finfo(torch.float32).eps * weights.norm(dim=1).amax()
        return FDBDDetector(
            divisor=self.divisor, mean=mean_of(inputs.train), inverses=torch.where(resolved, 1 / lengths, 0.0)
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class FDBDDetector(PostHocDetector):
    """Mean distance to the boundaries.

    Attributes:
        divisor: what distances are divided by.
        mean: μ, float64, shape (n_features,).
        inverses: 1 / ‖w_i − w_j‖ of each pair of classes, 0 where there is no boundary; float64, shape
            (n_classes, n_classes).
    """

    divisor: Literal["distance", "norm", "none"]
    mean: Tensor
    inverses: Tensor

    def score(self, batch: Batch) -> Tensor:
        """Return the mean distance, float64 of shape (n,), at least 0."""
        logits = batch.logits.double()
        top, predicted = logits.max(dim=1, keepdim=True)
        # The difference of two logits is (w_m − w_c)ᵀz + b_m − b_c, and 0 for the predicted class itself.
        distances = ((top - logits) * self.inverses[predicted[:, 0]]).sum(dim=1) / (logits.shape[1] - 1)
        if self.divisor == "none":
            return distances
        features = batch.features.double()
        features = features - self.mean if self.divisor == "distance" else features
        return distances / features.square().sum(dim=1).sqrt().clamp(min=SHORTEST)
