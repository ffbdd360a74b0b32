"""Gaussians around clusters of features, each with a covariance of its own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from oodbench.errors import ConfigError


@dataclass(frozen=True, kw_only=True, eq=False)
class Standardised:
    """Features of length 1, less the mean and over the standard deviation that training features have.

    Attributes:
        mean: float64, shape (dim,).
        std: float64, shape (dim,); 1 where all training features are alike.
    """

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, features: Tensor) -> Standardised:
        """Return what brings features to this form, given those of the training images, shape (n, dim)."""
        unit = _unit(features)
        std = unit.std(dim=0, correction=0)
        return cls(mean=unit.mean(dim=0), std=torch.where(std > 1e-10, std, torch.ones_like(std)))

    def __call__(self, features: Tensor) -> Tensor:
        """Return standardised features, float64, shape (n, dim)."""
        return (_unit(features) - self.mean) / self.std


def _unit(features: Tensor) -> Tensor:
    features = features.double()
    unit: Tensor = features / features.norm(dim=1, keepdim=True).clamp(min=1e-10)
    return unit


@dataclass(frozen=True, kw_only=True, eq=False)
class Gaussian:
    """A mean, and a whitening W with W Wᵀ = Σ⁻¹.

    Attributes:
        mean: float64, shape (dim,).
        whitening: float64, shape (dim, rank of Σ).
    """

    mean: Tensor
    whitening: Tensor

    def squared_distance(self, features: Tensor) -> Tensor:
        """Return (z − μ)ᵀ Σ⁻¹ (z − μ), shape (n,), of features, shape (n, dim)."""
        return ((features - self.mean) @ self.whitening).square().sum(dim=1)


def gaussian(mean: Tensor, covariance: Tensor) -> Gaussian:
    """Return a Gaussian; where its covariance is singular, its inverse is the pseudo-inverse."""
    variances, directions = torch.linalg.eigh(covariance)
    # Variances below this share of the largest are rounding noise of float32 features.
    kept = variances > variances.amax() * (torch.finfo(torch.float32).eps * len(mean)) ** 2
    return Gaussian(mean=mean, whitening=directions[:, kept] / variances[kept].sqrt())


def fit_clusters(features: Tensor, n_clusters: int, seed: int) -> tuple[Gaussian, ...]:
    """Return the maximum-likelihood Gaussian of each k-means cluster of features, float64, shape (n, dim).

    Raises:
        ConfigError: a cluster has fewer than two different images.
    """
    found = torch.zeros(len(features), dtype=torch.int64)
    if n_clusters > 1:
        if n_clusters > len(features):
            raise ConfigError(f"ssd.clusters={n_clusters} is more than the {len(features)} training images; give fewer")
        from sklearn.cluster import KMeans

        found = torch.tensor(KMeans(n_clusters, n_init=10, random_state=seed).fit(features.cpu().numpy()).labels_)
    gaussians = []
    for k in range(n_clusters):
        own = features[(found == k).to(features.device)]
        centred = own - own.mean(dim=0)
        if len(own) < 2 or not centred.any():
            raise ConfigError(
                f"ssd.clusters={n_clusters} leaves a cluster with {len(own)} training images that are all alike; "
                "give fewer clusters"
            )
        gaussians.append(gaussian(own.mean(dim=0), centred.T @ centred / len(own)))
    return tuple(gaussians)


def fit_shrunk(features: Tensor) -> Gaussian:
    """Return a Gaussian whose covariance is shrunk towards a multiple of the identity, of features, shape (n, dim).

    Source: Ledoit & Wolf, Journal of Multivariate Analysis 88, 2004, by scikit-learn.
    """
    from sklearn.covariance import ledoit_wolf

    covariance, _ = ledoit_wolf(features.cpu().numpy())
    return gaussian(features.mean(dim=0), torch.tensor(covariance, device=features.device))
