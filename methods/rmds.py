"""Mahalanobis distance to the nearest class, relative to that to all training images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from oodbench.api import FitInputs
from oodbench.posthoc import PostHocDetector, PostHocMethod

if TYPE_CHECKING:
    from torch import Tensor

    from oodbench.batch import Batch

    from ._gaussians import TiedGaussians


@dataclass(frozen=True, kw_only=True)
class RMDS(PostHocMethod):
    """Relative Mahalanobis distance: what is unusual about an image for its class, but not for ID images at large.

    Score: −min_k (d_k(z) − d_0(z)), with d_k(z) = (z − μ_k)ᵀ Σ⁻¹ (z − μ_k) for the class means μ_k and their tied
    covariance Σ, and d_0 the same with the mean and the covariance of all training features; z is the penultimate
    layer. It has no hyper-parameters.
    Source: Ren et al., "A simple fix to Mahalanobis distance for improving near-OOD detection", 2021.

    Inverses are pseudo-inverses: what the training images never do does not count. pytorch-ood adds 1e-6 to the
    diagonals instead, of sums of squares rather than means, so that its scores are ours divided by the number of
    training images; OpenOOD takes pseudo-inverses too.
    """

    title: ClassVar[str] = "Relative Mahalanobis distance"
    source: ClassVar[str] = "Ren et al., 2021, arXiv:2106.09022"

    def fit(self, inputs: FitInputs) -> RMDSDetector:
        """Return a detector with the Gaussians of the classes, and the one of all.

        Raises:
            ConfigError: the training images of each class have the same features.
        """
        from ._gaussians import TiedGaussians, whitening_of
        from ._moments import covariance_of, mean_of

        train = inputs.train
        mean = mean_of(train)
        everything = TiedGaussians(means=mean[None], whitening=whitening_of(covariance_of(train, mean)))
        return RMDSDetector(classes=TiedGaussians.of_batch(train, inputs.n_classes, "rmds"), everything=everything)


@dataclass(frozen=True, kw_only=True, eq=False)
class RMDSDetector(PostHocDetector):
    """Mahalanobis distances with fitted Gaussians.

    Attributes:
        classes: the Gaussians of the classes.
        everything: the Gaussian of all training images.
    """

    classes: TiedGaussians
    everything: TiedGaussians

    def score(self, batch: Batch) -> Tensor:
        """Return minus the relative distance to the nearest class, float64 of shape (n,)."""
        features = batch.features
        nearest = self.classes.squared_distances(features).amin(dim=1)
        return self.everything.squared_distances(features)[:, 0] - nearest
