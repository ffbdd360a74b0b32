"""Local outlier factor on distinct samples: copies of one image are one sample."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.neighbors import LocalOutlierFactor

from oodbench.errors import ConfigError

RESOLUTION = 1e-5
"""Standardised values that differ by less are the same: a network's features come out so far apart for one image in
batches of different sizes."""


class DistinctLOF(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Scikit-learn's local outlier factor, fitted to one of each set of equal samples.

    Args:
        n_neighbors: k.
    """

    def __init__(self, *, n_neighbors: int) -> None:
        self.n_neighbors = n_neighbors

    def fit(self, values: NDArray[np.float64], y: None = None) -> Self:
        """Take distinct samples out of standardised values, shape (n, dim), and find their neighbours.

        Raises:
            ConfigError: there are not more of them than neighbours.
        """
        _, first = np.unique(np.round(values / RESOLUTION), axis=0, return_index=True)
        distinct = values[np.sort(first)]
        if len(distinct) < 2:
            raise ConfigError("lof needs two training images that differ, and there are none; leave lof out")
        if self.n_neighbors >= len(distinct):
            raise ConfigError(
                f"lof.n_neighbors={self.n_neighbors} needs more than the {len(distinct)} different training images "
                f"there are; lower it: --set lof.n_neighbors={min(20, len(distinct) - 1)}"
            )
        self.factor_ = LocalOutlierFactor(n_neighbors=self.n_neighbors, novelty=True).fit(distinct)
        return self

    def decision_function(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return 3/2 − LOF of each sample, shape (n,)."""
        scores: NDArray[np.float64] = self.factor_.decision_function(values)
        return scores
