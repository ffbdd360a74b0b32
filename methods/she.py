"""How much the features look like what the network remembers of the predicted class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from oodbench.api import FitInputs
from oodbench.posthoc import PostHocDetector, PostHocMethod

if TYPE_CHECKING:
    from torch import Tensor

    from oodbench.batch import Batch


@dataclass(frozen=True, kw_only=True)
class SHE(PostHocMethod):
    """Simplified Hopfield energy (SHE): likeness of the features to the stored pattern of the predicted class.

    Score: zᵀS_ŷ, with z the penultimate features, ŷ the predicted class and S_k the mean feature of the training images
    of class k that the network classifies right.
    Source: Zhang et al., ICLR 2023; the public code, and OpenOOD for the other likenesses.

    A class of which no training image is classified right has the mean of all its images; OpenOOD gets NaN there, and
    pytorch-ood refuses. The score grows with the size of the features, and misleads where OOD images have larger ones.

    Attributes:
        metric: "inner_product" as the paper, "euclidean" for −‖z − S_ŷ‖, or "cosine".
    """

    title: ClassVar[str] = "Simplified Hopfield energy (SHE)"
    source: ClassVar[str] = "Zhang et al., ICLR 2023"
    known_exceptions: ClassVar[Mapping[str, str]] = {
        "higher_means_more_in_distribution": "an inner product is largest where units are excited most, as noise does"
    }

    metric: Literal["inner_product", "euclidean", "cosine"] = "inner_product"

    def fit(self, inputs: FitInputs) -> SHEDetector:
        """Return a detector with the pattern of each class."""
        from ._moments import class_means

        patterns, right = class_means(inputs.train, inputs.n_classes, only_right=True)
        if (right == 0).any():
            means, _ = class_means(inputs.train, inputs.n_classes)
            patterns[right == 0] = means[right == 0]
        return SHEDetector(metric=self.metric, patterns=patterns)


@dataclass(frozen=True, kw_only=True, eq=False)
class SHEDetector(PostHocDetector):
    """Likeness to stored patterns.

    Attributes:
        metric: how it is measured.
        patterns: S, float64, shape (n_classes, n_features).
    """

    metric: Literal["inner_product", "euclidean", "cosine"]
    patterns: Tensor

    def score(self, batch: Batch) -> Tensor:
        """Return the likeness to the pattern of the predicted class, float64 of shape (n,)."""
        from torch.nn.functional import cosine_similarity

        features, patterns = batch.features.double(), self.patterns[batch.logits.argmax(dim=1)]
        if self.metric == "euclidean":
            return -(features - patterns).square().sum(dim=1).sqrt()
        if self.metric == "cosine":
            return cosine_similarity(features, patterns)
        return (features * patterns).sum(dim=1)
