"""Skip the question you don't know: reconstruction, classification and clusters of one code."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from oodbench.api import FitInputs, Need, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CheckedByObjectives

from .autoencoder import Reconstruction
from .dec import Clustering, divergence

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from oodbench.api import NetworkBuilder
    from oodbench.batch import Batch


@dataclass(frozen=True, kw_only=True)
class SkipLoss(Clustering):
    """J = J_r + λ₁·J_e + λ₂·J_c: reconstruction error, divergence of soft cluster assignments, and cross-entropy.

    Centres are (1 − α)·μ_j + α·μ'_j, with μ_j from k-means, each next to its class, and learnt from then on, and μ'_j
    the mean code of class j. The classifier is linear in the code.
    Source: "Skip the question you don't know" (Chen et al.), Section III, and Algorithm 1 for `sift`. The paper says of
    λ₁ and λ₂ that they are balanced, and gives no α; it renews μ'_j, p and what is sifted out in a pass over all
    images, and here they are those of the last `interval` steps. J_r is a mean over pixels.

    Attributes:
        alpha: α.
        cluster_weight: λ₁.
        class_weight: λ₂.
        denoise: standard deviation of the Gaussian noise on the images that are encoded.
        sift: ε, the share of the images with the largest reconstruction errors that is left out; the limit is renewed
            every `interval` steps, so that images may come back. 0 for none.
        clean: share of the clean training images that the auto-encoder before it learns from, and from no others: "part
            of clean dataset" in Algorithm 1. 0 for all images as they are, clean or not.
    """

    name: ClassVar[str] = "skip"
    needs: ClassVar[frozenset[Need]] = frozenset({"classes"})

    alpha: float = 0.5
    cluster_weight: float = 0.1
    class_weight: float = 0.1
    denoise: float = 0.0
    sift: float = 0.0  # type: ignore[misc]
    clean: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.alpha <= 1:
            raise ConfigError(f"alpha must be in [0, 1], got {self.alpha}")
        if not 0 <= self.sift < 1:
            raise ConfigError(f"sift must be at least 0 and below 1, got {self.sift}")
        for name in ("cluster_weight", "class_weight"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} must be at least 0, got {getattr(self, name)}")
        if not 0 <= self.clean <= 1:
            raise ConfigError(f"clean must be in [0, 1], got {self.clean}")
        # The auto-encoder checks the noise.
        _ = self.starts_from

    @property
    def starts_from(self) -> Objective:
        """An auto-encoder with the same noise."""
        return Reconstruction(code_dim=self.code_dim, width=self.width, denoise=self.denoise, clean_share=self.clean)

    def build(
        self, backbone: NetworkBuilder, shape: tuple[int, int, int], n_classes: int, embedding_dim: int
    ) -> nn.Module:
        """Return an auto-encoder with centres and a classifier; the backbone has no part in it."""
        from oodbench.networks.autoencoder import Decoder, Encoder, code_size

        from ._clusters import ClusteredAutoencoder

        code_dim = self.code_dim or code_size(shape)
        return ClusteredAutoencoder(
            Encoder(shape, code_dim, self.width),
            Decoder(shape, code_dim, self.width),
            code_dim,
            n_classes,
            n_classes=n_classes,
            alpha=self.alpha,
            noise=self.denoise,
        )

    def loss(self, outputs: Mapping[str, Tensor], labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return J of a batch, with J_c a mean over the images that have a label; a scalar."""
        from torch.nn.functional import cross_entropy

        loss = outputs["error"].mean() + self.cluster_weight * divergence(outputs)
        labelled = labels >= 0
        if not labelled.any():
            return loss
        return loss + self.class_weight * cross_entropy(outputs["logits"][labelled], labels[labelled])


@dataclass(frozen=True, kw_only=True)
class Skip(CheckedByObjectives):
    """Reconstruction error of an auto-encoder whose code is clustered by class and classified.

    Score: −‖x − D(E(x))‖² / d, over the d values of an image in [0, 1], as in the paper's experiments; or minus the
    squared distance of the code to the nearest centre; or minus their weighted sum, which the paper's Section V
    proposes: J_r(x) + λ·ℓ(x, μ_i). Class: the largest logit.
    Source: "Skip the question you don't know: an embedding space approach" (Chen et al.), Section III and Algorithm 1.

    Attributes:
        score: "error", "distance" or "sum".
        distance_weight: λ of the sum; the paper gives none.
        alpha, cluster_weight, class_weight, denoise, sift, clean: of the objective, see `SkipLoss`.
        code_dim, width, interval: the same, see `Clustering`.
    """

    title: ClassVar[str] = "Skip the question you don't know"
    source: ClassVar[str] = "Chen et al., Skip the question you don't know, Sec. III"
    sees: ClassVar[frozenset[Sees]] = frozenset()
    needs: ClassVar[frozenset[Need]] = frozenset({"classes"})
    quick: ClassVar[Mapping[str, Any]] = {"width": 8}

    score: Literal["error", "distance", "sum"] = "error"
    distance_weight: float = 0.01
    alpha: float = 0.5
    cluster_weight: float = 0.1
    class_weight: float = 0.1
    denoise: float = 0.0
    sift: float = 0.0
    clean: float = 0.0
    code_dim: int | None = None
    width: int = 32
    interval: int = 140

    def __post_init__(self) -> None:
        if not 0 < self.distance_weight < math.inf:
            raise ConfigError(f"distance_weight must be positive and finite, got {self.distance_weight}")
        super().__post_init__()

    @property
    def networks(self) -> tuple[Objective, ...]:
        """One auto-encoder with clusters and a classifier, which starts from a plain one."""
        objective = SkipLoss(
            alpha=self.alpha,
            cluster_weight=self.cluster_weight,
            class_weight=self.class_weight,
            denoise=self.denoise,
            sift=self.sift,
            clean=self.clean,
            code_dim=self.code_dim,
            width=self.width,
            interval=self.interval,
        )
        return (objective,)

    def fit(self, inputs: FitInputs) -> SkipDetector:
        """Return a detector at once: there is nothing to fit."""
        error, distance = {"error": (1.0, 0.0), "distance": (0.0, 1.0), "sum": (1.0, self.distance_weight)}[self.score]
        return SkipDetector(error_weight=error, distance_weight=distance)


@dataclass(frozen=True, kw_only=True)
class SkipDetector:
    """Scores by two of the network's outputs, and leaves the classes to its classifier.

    Attributes:
        error_weight: of the reconstruction error.
        distance_weight: of the squared distance to the nearest centre.
    """

    error_weight: float
    distance_weight: float

    def score(self, batch: Batch) -> Tensor:
        """Return minus the weighted sum, float64 of shape (n,); higher = more in-distribution."""
        weights = {"error": self.error_weight, "distance": self.distance_weight}
        parts = [weight * batch.output(name).double() for name, weight in weights.items() if weight]
        return -sum(parts[1:], start=parts[0])

    def classify(self, batch: Batch) -> Tensor:
        """Return the index of the largest logit, shape (n,)."""
        return batch.logits.argmax(dim=1)
