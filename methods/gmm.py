"""Likelihood of the features under a mixture of Gaussians."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from oodbench.api import FitInputs
from oodbench.errors import ConfigError
from oodbench.posthoc import PostHocDetector, PostHocMethod

if TYPE_CHECKING:
    from torch import Tensor

    from oodbench.batch import Batch

    from ._gaussians import TiedGaussians

LARGEST = 2**32
"""Bytes that all covariances together may take, 4 GiB: 1,000 classes may have 732 dimensions."""


@dataclass(frozen=True, kw_only=True)
class GMM(PostHocMethod):
    """Gaussian mixture on the penultimate features.

    Score: log Σ_k π_k·N(z; μ_k, Σ_k), with one Gaussian a class, of its mean and covariance and π_k its share of the
    training images; or with so many components by expectation-maximisation, which reads no labels.
    Source: a classical baseline that no one paper introduced; pytorch-ood, and OpenOOD for the other form.

    The defaults are pytorch-ood's. OpenOOD fits 50 components with a tied covariance to the 50 principal directions:
    components=50, covariance=tied, dimension=50; it takes the logarithm after the exponents in float32, where images
    that are far from all components tie, and more layers with weights, of which its defaults are 0.

    Attributes:
        components: "classes", or how many are fitted by expectation-maximisation (scikit-learn's, which holds the
            features of all training images).
        covariance: "full" for one a component, "tied" for one that all have in common.
        dimension: "all", or how many principal directions of the training features are kept.
        ridge: added to all variances, so that singular covariances have inverses.
    """

    title: ClassVar[str] = "Gaussian mixture of the features"
    source: ClassVar[str] = "class-conditional Gaussians, as in pytorch-ood"

    components: Literal["classes"] | int = "classes"
    covariance: Literal["full", "tied"] = "full"
    dimension: Literal["all"] | int = "all"
    ridge: float = 1e-6

    def __post_init__(self) -> None:
        if self.components != "classes" and self.components < 1:
            raise ConfigError(f"components must be classes or at least 1, got {self.components}")
        if self.dimension != "all" and self.dimension < 1:
            raise ConfigError(f"dimension must be all or at least 1, got {self.dimension}")
        if not 0 < self.ridge < float("inf"):
            raise ConfigError(f"ridge must be positive, got {self.ridge}")

    def fit(self, inputs: FitInputs) -> GMMDetector:
        """Return a detector with the mixture.

        Raises:
            ConfigError: the covariances would not fit the memory, or there are fewer training images than components.
        """
        import torch

        from ._moments import covariance_of, mean_of

        centre = mean_of(inputs.train)
        directions = torch.eye(len(centre), dtype=torch.float64, device=centre.device)
        if self.dimension != "all":
            # In ascending order of the variances.
            directions = torch.linalg.eigh(covariance_of(inputs.train, centre)).eigenvectors[:, -self.dimension :]
        self._check_memory(inputs.n_classes, directions.shape[1])
        if self.components == "classes":
            weights, means, covariances = self._of_classes(inputs, directions)
        else:
            weights, means, covariances = self._of_components(inputs, directions, self.components)
        return _detector(weights, means, covariances, directions, self.ridge)

    def _check_memory(self, n_classes: int, dimension: int) -> None:
        count = n_classes if self.components == "classes" else self.components
        needed = 8 * dimension**2 * (count if self.covariance == "full" else 1)
        if needed > LARGEST:
            raise ConfigError(
                f"gmm needs {needed / 2**30:.0f} GiB for {count} covariances of {dimension} features; "
                "have one for all, --set gmm.covariance=tied, or fewer directions, --set gmm.dimension=128"
            )

    def _of_classes(self, inputs: FitInputs, directions: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        import torch

        from ._moments import class_means, covariance_of, labels_of

        train = inputs.train
        means, counts = class_means(train, inputs.n_classes)
        if self.covariance == "tied":
            covariances = [covariance_of(train, means, directions)]
        else:
            labels = labels_of(train).cpu().numpy()
            found = [int(k) for k in counts.nonzero()]
            covariances = [covariance_of(train.at((labels == k).nonzero()[0]), means[k], directions) for k in found]
        ridge = self.ridge * torch.eye(directions.shape[1], dtype=torch.float64, device=directions.device)
        return (
            counts[counts > 0] / counts.sum(),
            means[counts > 0] @ directions,
            [covariance + ridge for covariance in covariances],
        )

    def _of_components(
        self, inputs: FitInputs, directions: Tensor, components: int
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        import warnings

        import torch
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        from ._moments import parts_of

        if len(inputs.train) < max(2, components):
            raise ConfigError(
                f"gmm cannot fit {components} components to {len(inputs.train)} training images; "
                f"give fewer: --set gmm.components={max(1, len(inputs.train) // 2)}"
            )
        features = torch.cat([part.features.double() @ directions for part in parts_of(inputs.train)])
        mixture = GaussianMixture(
            components, covariance_type=self.covariance, reg_covar=self.ridge, random_state=inputs.seed
        )
        with warnings.catch_warnings():
            # Duplicates leave fewer different images than components: some components then share their place.
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(features.cpu().numpy())
        weights, means, covariances = (
            torch.tensor(values, dtype=torch.float64, device=directions.device)
            for values in (mixture.weights_, mixture.means_, mixture.covariances_)
        )
        return weights, means, list(covariances.reshape(-1, *directions.shape[1:], directions.shape[1]))


def _detector(
    weights: Tensor, means: Tensor, covariances: list[Tensor], directions: Tensor, ridge: float
) -> GMMDetector:
    """Return the detector of a mixture, whose covariances are one a component, or one for all."""
    import math

    import torch

    from ._gaussians import TiedGaussians

    groups, log_scales = [], []
    for covariance, centres in zip(covariances, means.chunk(len(covariances)), strict=True):
        variances, axes = torch.linalg.eigh(covariance)
        # The ridge is in them already; rounding can take more than that from the smallest.
        variances = variances.clamp(min=ridge)
        groups.append(TiedGaussians(means=centres, whitening=axes / variances.sqrt()))
        log_scale = -(variances.log().sum() + len(variances) * math.log(2 * math.pi)) / 2
        log_scales += len(centres) * [log_scale]
    return GMMDetector(groups=tuple(groups), log_weights=weights.log() + torch.stack(log_scales), directions=directions)


@dataclass(frozen=True, kw_only=True, eq=False)
class GMMDetector(PostHocDetector):
    """Log-likelihood of a mixture.

    Attributes:
        groups: of components with a common covariance, in order.
        log_weights: log π_k and the logarithm of the largest density of each component, float64, shape (n_components,).
        directions: what features are projected on, float64, shape (n_features, dimension).
    """

    groups: tuple[TiedGaussians, ...]
    log_weights: Tensor
    directions: Tensor

    def score(self, batch: Batch) -> Tensor:
        """Return the log-likelihood of the features, float64 of shape (n,)."""
        import torch

        features = batch.features.double() @ self.directions
        distances = torch.cat([group.squared_distances(features) for group in self.groups], dim=1)
        return (self.log_weights - distances / 2).logsumexp(dim=1)
