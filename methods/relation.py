"""How strongly an image is related to the training images, in features and in predictions."""

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

VALUES_AT_ONCE = 2**24
"""How many relations are held in memory, 128 MiB in float64."""


@dataclass(frozen=True, kw_only=True)
class Relation(PostHocMethod):
    """Neural relation graph: an image is in-distribution if it has many strong edges to training images.

    Score: Σ_i r_i^t over the training images with r_i > c, where r_i = max(0, cos(z, z_i))·(p · p_i), with z the
    penultimate features and p the softmax probabilities of two images.
    Source: Kim et al., NeurIPS 2023; checked against the public code, snu-mllab/Neural-Relation-Graph.

    The public code takes c = 0.03 and, for OOD detection, t = 1; its score is 1 / (Σ + 1e-6), higher for OOD images,
    which ranks them the same. OpenOOD chooses t among 1, 2, 4, 6 and 8 on OOD validation images.

    Attributes:
        power: t, from which on strong edges count more.
        threshold: c, below which an edge does not count.
        max_images: this many training images, drawn from the seed, are kept; none for all.
    """

    title: ClassVar[str] = "Neural relation graph"
    source: ClassVar[str] = "Kim et al., NeurIPS 2023; code snu-mllab/Neural-Relation-Graph"
    # That of OpenOOD v1.5.
    grid: ClassVar[Mapping[str, tuple[object, ...]]] = {"power": (1.0, 2.0, 4.0, 6.0, 8.0)}

    power: float = 1.0
    threshold: float = 0.03
    max_images: int | None = None

    def __post_init__(self) -> None:
        if not self.power > 0:
            raise ConfigError(f"power must be positive, got {self.power}")
        if not 0 <= self.threshold < 1:
            raise ConfigError(f"threshold must be at least 0 and below 1, got {self.threshold}")
        if self.max_images is not None and self.max_images < 1:
            raise ConfigError(f"max_images must be at least 1, or none, got {self.max_images}")

    def fit(self, inputs: FitInputs) -> RelationDetector:
        """Return a detector with the features and predictions of the training images."""
        import numpy as np

        from ._neighbours import features_of

        train = inputs.train
        if self.max_images is not None and self.max_images < len(train):
            drawn = np.random.default_rng(inputs.seed).choice(len(train), self.max_images, replace=False)
            train = train.at(np.sort(drawn))
        return RelationDetector(
            features=features_of(train), logits=train.logits, power=self.power, threshold=self.threshold
        )


def _nodes(features: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return features on the unit sphere, those that are all 0 as they are, and class probabilities, in float64."""
    import torch

    return torch.nn.functional.normalize(features.double()), logits.double().softmax(dim=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class RelationDetector(PostHocDetector):
    """Sum of the relations to training images.

    Attributes:
        features: of the training images, float32, shape (n_train, n_features).
        logits: theirs, float32, shape (n_train, n_classes).
        power: t.
        threshold: c.
    """

    features: Tensor
    logits: Tensor
    power: float
    threshold: float

    def score(self, batch: Batch) -> Tensor:
        """Return the sum of the relations, float64 of shape (n,), from 0 to the number of training images."""
        import torch

        directions, probabilities = _nodes(batch.features, batch.logits)
        # A part of the training images at a time: in float64 all of them may not fit the memory.
        width = directions.shape[1] + probabilities.shape[1] + len(directions)
        parts = (torch.split(values, max(1, VALUES_AT_ONCE // width)) for values in (self.features, self.logits))
        total = directions.new_zeros(len(directions))
        for known in zip(*parts, strict=True):
            total += self._sums(directions, probabilities, *_nodes(*known))
        return total

    def _sums(self, directions: Tensor, probabilities: Tensor, known: Tensor, known_probabilities: Tensor) -> Tensor:
        relations = (directions @ known.T).clamp(min=0) * (probabilities @ known_probabilities.T)
        return (relations * (relations > self.threshold)).pow(self.power).sum(dim=1)
