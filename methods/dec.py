"""Deep embedded clustering: distance to the nearest cluster of an auto-encoder's codes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from oodbench.api import FitInputs, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CheckedByObjectives, LossObjective

from ._named_scores import NamedScore
from .autoencoder import Reconstruction, check_sizes

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from oodbench.api import NetworkBuilder
    from oodbench.training.learner import Learner, Setting


@dataclass(frozen=True, kw_only=True)
class Clustering(LossObjective):
    """Base of objectives that cluster the codes of an auto-encoder.

    They start from a trained auto-encoder. In the first epoch, or the first tenth of the steps where that is shorter,
    nothing is learnt; then k-means gives the centres.

    Attributes:
        code_dim, width: of the auto-encoder, see `Reconstruction`.
        interval: steps after which the frequencies of the clusters are renewed.
    """

    name: ClassVar[str]
    uses_seen_ood: ClassVar[bool] = False
    unlabelled: ClassVar[bool] = True
    drawn: ClassVar[str] = "code"
    sift: ClassVar[float] = 0.0
    """Share of the images with the largest errors that is left out; `skip` may have some."""

    code_dim: int | None = None
    width: int = 32
    interval: int = 140

    def __post_init__(self) -> None:
        check_sizes(code_dim=self.code_dim, width=self.width, interval=self.interval)

    @property
    def starts_from(self) -> Objective:
        """An auto-encoder."""
        return Reconstruction(code_dim=self.code_dim, width=self.width)

    @abstractmethod
    def loss(self, outputs: Mapping[str, Tensor], labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return the loss of a batch; a scalar.

        Args:
            outputs: `error`, shape (n,), `squared_distances` and their target `p`, shape (n, n_clusters), and `logits`
                where there are classes.
            labels: int64, shape (n,); −1 for images without one.
            generator: the only source of randomness to use.
        """

    def embed(self, outputs: Tensor) -> Tensor:
        """Return codes as they are."""
        return outputs

    def learner(self, network: nn.Module, setting: Setting) -> Learner:
        """Return a learner that finds the clusters first."""
        from ._clusters import ClusterLearner

        return ClusterLearner(network, self, setting)


def divergence(outputs: Mapping[str, Tensor]) -> Tensor:
    """Return the mean over images of KL(p ‖ q), with q the soft assignment to centres and p its target; a scalar.

    Source: Xie et al., ICML 2016, Eq. 2; "Skip the question you don't know" (Chen et al.), Section II-B.
    """
    from ._clusters import soft_assignment

    p, q = outputs["p"], soft_assignment(outputs["squared_distances"])
    return (p * ((p + 1e-12).log() - (q + 1e-12).log())).sum(dim=1).mean()


@dataclass(frozen=True, kw_only=True)
class EmbeddedClustering(Clustering):
    """Kullback–Leibler divergence of soft cluster assignments from a sharper target; labels are not read.

    Loss: KL(p ‖ q) of an image, q_j = (1 + ‖z − μ_j‖²)⁻¹ scaled to a sum of 1, p_j = q_j² / f_j, the same, with f_j the
    frequency of cluster j; plus the error where `reconstruction_weight` says so. Codes and centres learn.
    Source: Xie et al., ICML 2016, Eq. 1 to 3 (DEC); Guo et al., IJCAI 2017, Eq. 6 (IDEC). They renew p of all images
    after 140 batches; here p is that of the batch as it is, with f of the last `interval` steps.

    Attributes:
        clusters: how many; None for as many as there are ID classes.
        divergence_weight: γ of IDEC; 1 for DEC.
        reconstruction_weight: 1 for IDEC; 0 leaves the decoder as it was at the start, for DEC.
    """

    name: ClassVar[str] = "dec"

    clusters: int | None = None
    divergence_weight: float = 1.0
    reconstruction_weight: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.clusters is not None and self.clusters < 2:
            raise ConfigError(f"clusters must be at least 2, or none for the number of classes, got {self.clusters}")
        if not self.divergence_weight > 0:
            raise ConfigError(f"divergence_weight must be positive, got {self.divergence_weight}")
        if not self.reconstruction_weight >= 0:
            raise ConfigError(f"reconstruction_weight must be at least 0, got {self.reconstruction_weight}")

    def build(
        self, backbone: NetworkBuilder, shape: tuple[int, int, int], n_classes: int, embedding_dim: int
    ) -> nn.Module:
        """Return an auto-encoder with centres; the backbone has no part in it."""
        from oodbench.networks.autoencoder import Decoder, Encoder, code_size

        from ._clusters import ClusteredAutoencoder

        clusters = self.clusters or n_classes
        if clusters < 2:
            raise ConfigError(
                f"{self.name} needs at least 2 clusters, and there is one class: set clusters, such as 10"
            )
        code_dim = self.code_dim or code_size(shape)
        return ClusteredAutoencoder(
            Encoder(shape, code_dim, self.width), Decoder(shape, code_dim, self.width), code_dim, clusters
        )

    def loss(self, outputs: Mapping[str, Tensor], labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return the weighted sum of divergence and error; a scalar."""
        loss = self.divergence_weight * divergence(outputs)
        if self.reconstruction_weight == 0:
            return loss
        return loss + self.reconstruction_weight * outputs["error"].mean()


Score = Literal["distance", "error"]
"""How methods on clustered codes score: squared distance to the nearest centre, or reconstruction error."""


def scored_by(score: Score) -> NamedScore:
    """Return the detector of a score."""
    return NamedScore(output=score, higher_is_id=False)


@dataclass(frozen=True, kw_only=True)
class DEC(CheckedByObjectives):
    """Distance of an image's code to the nearest of the clusters that the codes were drawn to.

    Score: −min_j ‖z − μ_j‖², at most 0; or minus the reconstruction error of the decoder as it was before the
    clustering. Clusters are no classes, and labels are not read.
    Source: Xie et al., ICML 2016, Eq. 1 to 3; as a detector in "Skip the question you don't know" (Chen et al.),
    Section II-B and V.

    Attributes:
        score: "distance" or "error".
        clusters, code_dim, width, interval: of the objective, see `EmbeddedClustering` and `Clustering`.
    """

    title: ClassVar[str] = "Deep embedded clustering"
    source: ClassVar[str] = "Xie et al., ICML 2016, Eq. 1–3"
    sees: ClassVar[frozenset[Sees]] = frozenset()
    quick: ClassVar[Mapping[str, Any]] = {"width": 8}

    score: Score = "distance"
    clusters: int | None = None
    code_dim: int | None = None
    width: int = 32
    interval: int = 140

    @property
    def networks(self) -> tuple[Objective, ...]:
        """One auto-encoder with clusters, which starts from one without."""
        objective = EmbeddedClustering(
            clusters=self.clusters, code_dim=self.code_dim, width=self.width, interval=self.interval
        )
        return (objective,)

    def fit(self, inputs: FitInputs) -> NamedScore:
        """Return a detector at once: there is nothing to fit."""
        return scored_by(self.score)
