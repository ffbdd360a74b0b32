"""SSD: Mahalanobis distance to clusters of contrastive features, without labels, or with few known outliers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from oodbench.api import FitInputs, Need, NetworkBuilder, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CheckedByObjectives

if TYPE_CHECKING:
    from torch import Tensor, nn

    from oodbench.batch import Batch
    from oodbench.training.learner import Learner, Setting


@dataclass(frozen=True, kw_only=True)
class ContrastiveViews:
    """Contrastive learning on two random views of each image (NT-Xent), or of each class.

    Source: Sehwag et al., ICLR 2021, Section 3; survey (Salehi et al.) §6.19, Eq. 97 and 99.

    Attributes:
        supervised: whether all images of a class are brought together, as by Khosla et al., NeurIPS 2020.
        temperature: τ.
        projection: size of the projections; 128 in the public code.
        flip: whether views are mirrored, which changes what some images are, such as digits.
    """

    name: ClassVar[str] = "contrastive_views"
    uses_seen_ood: ClassVar[bool] = False
    starts_from: ClassVar[Objective | None] = None

    supervised: bool = False
    temperature: float = 0.5
    projection: int = 128
    flip: bool = True

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError(f"temperature must be positive, got {self.temperature}")
        if self.projection < 1:
            raise ConfigError(f"projection must be at least 1, got {self.projection}")

    @property
    def needs(self) -> frozenset[Need]:
        """Labels, where classes are brought together."""
        return frozenset({"classes"}) if self.supervised else frozenset()

    def build(
        self, backbone: NetworkBuilder, shape: tuple[int, int, int], n_classes: int, embedding_dim: int
    ) -> nn.Module:
        """Return the body of the benchmark's network with a projection head."""
        from ._contrastive_views import Projected

        return Projected(backbone(shape, 1), shape, self.projection)

    def learner(self, network: nn.Module, setting: Setting) -> Learner:
        """Return what trains on two views of each image."""
        from ._contrastive_views import ViewsLearner

        return ViewsLearner(network, self.temperature, supervised=self.supervised, flip=self.flip, setting=setting)


@dataclass(frozen=True, kw_only=True)
class SSD(CheckedByObjectives):
    """SSD: self-supervised outlier detection.

    Score: −min_m (z − μ_m)ᵀ Σ_m⁻¹ (z − μ_m), with z the features below the projection head, brought to length 1 and
    then standardised by the training images, and μ_m, Σ_m mean and covariance of their k-means clusters. With
    `few_shot` outliers, (z − μ_ood)ᵀ Σ_ood⁻¹ (z − μ_ood) is added, and both covariances are shrunk (Ledoit & Wolf).
    Source: Sehwag et al., ICLR 2021, Eq. 3 to 5; survey (Salehi et al.) §6.19, Eq. 96 to 99; features and shrinkage as
    in the public code. It has one cluster by default, and augments the few outliers; here they are taken as they are.
    Where a covariance is singular, what the training images never do does not count.

    Attributes:
        clusters: how many.
        few_shot: number of seen OOD images that are known, drawn from the seed; 0 uses none.
        supervised, temperature, projection, flip: of the objective, see `ContrastiveViews`.
        seen: which of the benchmark's seen OOD images `few_shot` draws from; None for the benchmark's first.
    """

    title: ClassVar[str] = "SSD (contrastive features)"
    source: ClassVar[str] = "Sehwag et al., ICLR 2021, Eq. 3-5"
    needs: ClassVar[frozenset[Need]] = frozenset({"training_images"})

    clusters: int = 1
    few_shot: int = 0
    supervised: bool = False
    temperature: float = 0.5
    projection: int = 128
    flip: bool = True
    seen: str | None = None

    def __post_init__(self) -> None:
        if self.clusters < 1:
            raise ConfigError(f"clusters must be at least 1, got {self.clusters}")
        if self.few_shot < 0 or self.few_shot == 1:
            raise ConfigError(f"few_shot must be 0, or at least 2 for a covariance, got {self.few_shot}")
        if self.few_shot and self.clusters > 1:
            raise ConfigError(f"few_shot={self.few_shot} needs clusters=1, got {self.clusters}")
        super().__post_init__()

    @property
    def networks(self) -> tuple[Objective, ...]:
        """The network that learns from views."""
        return (
            ContrastiveViews(
                supervised=self.supervised, temperature=self.temperature, projection=self.projection, flip=self.flip
            ),
        )

    @property
    def sees(self) -> frozenset[Sees]:
        """A few seen OOD images, where they are asked for."""
        return frozenset({"seen_ood"}) if self.few_shot else frozenset()

    def fit(self, inputs: FitInputs) -> SSDDetector:
        """Fit clusters to the training features, and one more to the known outliers.

        Raises:
            ConfigError: a cluster has too few images for a covariance, or there are fewer outliers than asked for.
        """
        from ._feature_clusters import Standardised, fit_clusters, fit_shrunk

        standardised = Standardised.of(inputs.train.features)
        train = standardised(inputs.train.features)
        if not self.few_shot:
            return SSDDetector(
                standardised=standardised, clusters=fit_clusters(train, self.clusters, inputs.seed), outliers=None
            )
        outliers = self._outliers(inputs)
        return SSDDetector(
            standardised=standardised,
            clusters=(fit_shrunk(train),),
            outliers=fit_shrunk(standardised(outliers.features)),
        )

    def _outliers(self, inputs: FitInputs) -> Batch:
        import numpy as np

        seen = inputs.seen_ood
        if seen is None or len(seen) < self.few_shot:
            raise ConfigError(
                f"ssd.few_shot={self.few_shot} needs as many seen OOD images, and this benchmark has "
                f"{0 if seen is None else len(seen)}; give few_shot=0"
            )
        return seen.at(np.sort(np.random.default_rng(inputs.seed).permutation(len(seen))[: self.few_shot]))


@dataclass(frozen=True, kw_only=True, eq=False)
class SSDDetector:
    """Distances to clusters of training features, and from known outliers.

    Attributes:
        standardised: brings features to the form of the clusters.
        clusters: of ID training images.
        outliers: of known OOD images, or None.
    """

    standardised: Standardised
    clusters: tuple[Gaussian, ...]
    outliers: Gaussian | None

    def score(self, batch: Batch) -> Tensor:
        """Return minus the squared distance to the nearest cluster, float64 of shape (n,)."""
        import torch

        features = self.standardised(batch.features)
        distance = torch.stack([cluster.squared_distance(features) for cluster in self.clusters]).amin(dim=0)
        return -distance if self.outliers is None else self.outliers.squared_distance(features) - distance

    def classify(self, batch: Batch) -> None:
        """Return None: clusters are no classes."""
        return


if TYPE_CHECKING:
    from ._feature_clusters import Gaussian, Standardised
