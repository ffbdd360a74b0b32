"""Skip the question you don't know: reconstruction, classification and clusters of one code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from oodbench.api import FitInputs, Need, Objective, Sees
from oodbench.errors import ConfigError

from .autoencoder import Reconstruction
from .dec import Clustering, Score, divergence, scored_by

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from oodbench.api import NetworkBuilder
    from oodbench.batch import Batch

    from ._named_scores import NamedScore


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
    """

    name: ClassVar[str] = "skip"
    needs: ClassVar[frozenset[Need]] = frozenset({"classes"})

    alpha: float = 0.5
    cluster_weight: float = 0.1
    class_weight: float = 0.1
    denoise: float = 0.0
    sift: float = 0.0  # type: ignore[misc]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.alpha <= 1:
            raise ConfigError(f"alpha must be in [0, 1], got {self.alpha}")
        if not 0 <= self.sift < 1:
            raise ConfigError(f"sift must be at least 0 and below 1, got {self.sift}")
        for name in ("cluster_weight", "class_weight"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} must be at least 0, got {getattr(self, name)}")
        # The auto-encoder checks the noise.
        _ = self.starts_from

    @property
    def starts_from(self) -> Objective:
        """An auto-encoder with the same noise."""
        return Reconstruction(code_dim=self.code_dim, width=self.width, denoise=self.denoise)

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
        """Return J of a batch; a scalar."""
        from torch.nn.functional import cross_entropy

        return (
            outputs["error"].mean()
            + self.cluster_weight * divergence(outputs)
            + self.class_weight * cross_entropy(outputs["logits"], labels)
        )

    def embed(self, outputs: Tensor) -> Tensor:
        """Return class probabilities."""
        return outputs.softmax(dim=1)


@dataclass(frozen=True, kw_only=True)
class Skip:
    """Reconstruction error of an auto-encoder whose code is clustered by class and classified.

    Score: −‖x − D(E(x))‖² / d, over the d values of an image in [0, 1]; or minus the squared distance of the code to
    the nearest centre, which the paper's Section V proposes. Class: the largest logit.
    Source: "Skip the question you don't know: an embedding space approach" (Chen et al.), Section III and Algorithm 1.

    Attributes:
        score: "error" as in the paper's experiments, or "distance".
        alpha, cluster_weight, class_weight, denoise, sift: of the objective, see `SkipLoss`.
        code_dim, width, interval: the same, see `Clustering`.
    """

    title: ClassVar[str] = "Skip the question you don't know"
    source: ClassVar[str] = "Chen et al., Skip the question you don't know, Sec. III"
    sees: ClassVar[frozenset[Sees]] = frozenset()
    needs: ClassVar[frozenset[Need]] = frozenset({"classes"})
    quick: ClassVar[Mapping[str, Any]] = {"width": 8}

    score: Score = "error"
    alpha: float = 0.5
    cluster_weight: float = 0.1
    class_weight: float = 0.1
    denoise: float = 0.0
    sift: float = 0.0
    code_dim: int | None = None
    width: int = 32
    interval: int = 140

    def __post_init__(self) -> None:
        # The objective checks the values it is given: a wrong one is refused here, not in the middle of a run.
        _ = self.networks

    @property
    def networks(self) -> tuple[Objective, ...]:
        """One auto-encoder with clusters and a classifier, which starts from a plain one."""
        objective = SkipLoss(
            alpha=self.alpha,
            cluster_weight=self.cluster_weight,
            class_weight=self.class_weight,
            denoise=self.denoise,
            sift=self.sift,
            code_dim=self.code_dim,
            width=self.width,
            interval=self.interval,
        )
        return (objective,)

    def fit(self, inputs: FitInputs) -> SkipDetector:
        """Return a detector at once: there is nothing to fit."""
        return SkipDetector(scored=scored_by(self.score))


@dataclass(frozen=True, kw_only=True)
class SkipDetector:
    """Scores by one of the network's outputs, and leaves the classes to its classifier.

    Attributes:
        scored: how images are scored.
    """

    scored: NamedScore

    def score(self, batch: Batch) -> Tensor:
        """Return the score, float64 of shape (n,); higher = more in-distribution."""
        return self.scored.score(batch)

    def classify(self, batch: Batch) -> Tensor:
        """Return the index of the largest logit, shape (n,)."""
        return batch.logits.argmax(dim=1)
