"""Angle between the features and the nearest class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from oodbench.api import FitInputs
from oodbench.posthoc import PostHocDetector, PostHocMethod

if TYPE_CHECKING:
    from torch import Tensor

    from oodbench.batch import Batch


@dataclass(frozen=True, kw_only=True)
class MaxCosine(PostHocMethod):
    """Largest cosine between the features of an image and any class.

    Score: max_k cos(z, c_k), in [−1, 1], with z the penultimate features and c_k the mean feature of class k, or its
    weights in the last layer. Features that are all 0 have the score 0.
    Source: Techapanurak et al., ACCV 2020.

    The paper trains a network whose logits are these cosines, of the weights, times a learnt scale. Here the same score
    is read off the plain classifier that all post-hoc scores share, as the public package `detectors` does, whose
    class means are the default.

    Attributes:
        prototypes: "means" of the training features, or "weights" of the last layer.
    """

    title: ClassVar[str] = "Maximum cosine"
    source: ClassVar[str] = "Techapanurak et al., ACCV 2020"

    prototypes: Literal["means", "weights"] = "means"

    def fit(self, inputs: FitInputs) -> MaxCosineDetector:
        """Return a detector with the directions of the classes.

        Raises:
            ConfigError: weights are asked for, and the head is not affine.
        """
        from torch.nn.functional import normalize

        from ._affine_head import affine_head
        from ._moments import class_means

        if self.prototypes == "weights":
            prototypes, _ = affine_head(inputs.network, inputs.train, "max_cosine")
        else:
            means, counts = class_means(inputs.train, inputs.n_classes)
            prototypes = means[counts > 0]
        return MaxCosineDetector(directions=normalize(prototypes))


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxCosineDetector(PostHocDetector):
    """Cosine with the nearest class.

    Attributes:
        directions: c_k / ‖c_k‖, float64, shape (n_classes, n_features).
    """

    directions: Tensor

    def score(self, batch: Batch) -> Tensor:
        """Return the largest cosine, float64 of shape (n,), in [−1, 1]."""
        from torch.nn.functional import normalize

        return (normalize(batch.features.double()) @ self.directions.T).amax(dim=1)
