"""One Gaussian for each class, with a covariance that all classes have in common."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from oodbench.batch import Batch
from oodbench.errors import ConfigError

from ._moments import class_means, covariance_of


@dataclass(frozen=True, kw_only=True, eq=False)
class TiedGaussians:
    """Class means and a tied covariance Σ, kept as a whitening W with W Wᵀ = Σ⁻¹.

    Attributes:
        means: float64, shape (n_classes, dim).
        whitening: float64, shape (dim, rank of Σ).
    """

    means: Tensor
    whitening: Tensor

    @classmethod
    def of(cls, features: Tensor, labels: Tensor, n_classes: int) -> TiedGaussians:
        """Return the maximum-likelihood fit: Σ = 1/N Σ_k Σ_{i: y_i = k} (f_i − μ_k)(f_i − μ_k)ᵀ.

        Where Σ is singular (a unit that is dead, fewer images than dimensions), Σ⁻¹ is its pseudo-inverse: what the
        training images never do does not count. Directions whose standard deviation is below dim · 1.2e-7 of the
        largest count as such: float32 features do not resolve them.

        Args:
            features: float32, shape (n, dim).
            labels: int64, shape (n,); every class occurs.
            n_classes: number of classes.

        Raises:
            ConfigError: the images of each class have the same features.
        """
        features = features.double()
        means = torch.stack([features[labels == k].mean(dim=0) for k in range(n_classes)])
        centred = features - means[labels]
        whitening = whitening_of(centred.T @ centred / len(centred))
        if whitening.shape[1] == 0:
            raise ConfigError(
                "mahalanobis needs training images of one class with different features, and here all are alike; "
                "train on more images, or take other layers: --set mahalanobis.layers=all"
            )
        return cls(means=means, whitening=whitening)

    @classmethod
    def of_batch(cls, train: Batch, n_classes: int, method: str, otherwise: str = "") -> TiedGaussians:
        """Return the same of the features of labelled training images, a part of them at a time.

        Args:
            train: labelled images; classes without any are left out.
            n_classes: number of classes.
            method: who asks, for messages.
            otherwise: what else to do where it cannot be fitted; "" for to leave it out.

        Raises:
            ConfigError: the images of each class have the same features.
        """
        means, counts = class_means(train, n_classes)
        whitening = whitening_of(covariance_of(train, means))
        if whitening.shape[1] == 0:
            raise ConfigError(
                f"{method} needs training images of one class with different features, and here all are alike; "
                f"train on more images, or {otherwise or f'leave {method} out'}"
            )
        return cls(means=means[counts > 0], whitening=whitening)

    def squared_distances(self, features: Tensor) -> Tensor:
        """Return (f − μ_k)ᵀ Σ⁻¹ (f − μ_k) for each class, float64 of shape (n, n_classes).

        Args:
            features: shape (n, dim); gradients pass through.
        """
        whitened, means = features.double() @ self.whitening, self.means @ self.whitening
        # Not by products, which are faster and lose the digits of small distances.
        return torch.cdist(whitened, means, compute_mode="donot_use_mm_for_euclid_dist").square()


def whitening_of(covariance: Tensor) -> Tensor:
    """Return W with W Wᵀ the pseudo-inverse of a covariance, float64 of shape (dim, rank); rank 0 if it vanishes.

    Args:
        covariance: of float32 features, float64, shape (dim, dim).
    """
    # Standard deviations below this share of the largest are rounding noise of float32 sums over `dim` numbers.
    resolution = torch.finfo(torch.float32).eps * len(covariance)
    variances, directions = torch.linalg.eigh(covariance)
    kept = variances > max(variances.amax().item(), 0) * resolution**2
    whitening: Tensor = directions[:, kept] / variances[kept].sqrt()
    return whitening
