"""The core samples of DBSCAN, in the form of scikit-learn's novelty detectors."""

from __future__ import annotations

import math
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.neighbors import NearestNeighbors

from oodbench.errors import ConfigError


class CoreSamples(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Distance to the nearest core sample.

    Args:
        eps: radius of a neighbourhood, or "auto" for the smallest that makes `core_share` of the samples core samples.
        core_share: in (0, 1].
        min_samples: samples in the neighbourhood of a core sample, itself included.
    """

    def __init__(self, *, eps: Literal["auto"] | float, core_share: float, min_samples: int) -> None:
        self.eps, self.core_share, self.min_samples = eps, core_share, min_samples

    def fit(self, values: NDArray[np.float64], y: None = None) -> Self:
        """Find the core samples among values, shape (n, dim)."""
        # A sample is its own first neighbour here, as DBSCAN counts it.
        distances, _ = NearestNeighbors(n_neighbors=self.min_samples).fit(values).kneighbors(values)
        needed = distances[:, -1]
        self.eps_ = self._radius(needed) if self.eps == "auto" else self.eps
        core = needed <= self.eps_
        if not core.any():
            raise ConfigError(
                f"no training image has {self.min_samples} within eps={self.eps_:g}, so there is no core sample; "
                "give a larger dbscan.eps, or leave it at auto"
            )
        self.nearest_ = NearestNeighbors(n_neighbors=1).fit(values[core])
        return self

    def _radius(self, needed: NDArray[np.float64]) -> float:
        """Return the smallest radius that suffices for a share of the samples, from what each of them needs."""
        return float(np.sort(needed)[math.ceil(self.core_share * len(needed)) - 1])

    def decision_function(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return minus the distance to the nearest core sample, shape (n,)."""
        distances, _ = self.nearest_.kneighbors(values)
        nearest: NDArray[np.float64] = -distances[:, 0]
        return nearest
