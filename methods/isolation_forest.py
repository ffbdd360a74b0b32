"""Isolation forest: images that few random cuts separate from the training images are outliers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from oodbench.errors import ConfigError

from ._estimators import EstimatorMethod

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class IsolationForest(EstimatorMethod):
    """Isolation forest on standardised features or pixels, as scikit-learn has it.

    Score: ½ − 2^(−E[h(x)] / c(ψ)), in (−½, ½), with h(x) the number of random cuts that isolate x in a tree on ψ
    training images, E its mean over the trees, and c(ψ) the mean of h in a random search tree of ψ entries.
    Source: Liu et al., ICDM 2008, Eq. 2, sign flipped, with the paper's t and ψ; survey (Salehi et al.) §3.1. Cuts are
    drawn between the smallest and the largest value of a dimension, so that its scale does not matter; it is
    standardised all the same, since scikit-learn takes a dimension whose values differ by less than 1e-7 for constant.

    Attributes:
        on, max_images: see `EstimatorMethod`. Each tree sees ψ of them, so that more than the default make no
            difference worth their memory.
        n_trees: t.
        tree_images: ψ; fewer where there are fewer training images.
    """

    title: ClassVar[str] = "Isolation forest"
    source: ClassVar[str] = "Liu et al., ICDM 2008, Eq. 2"

    max_images: int | None = 100_000
    n_trees: int = 100
    tree_images: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_trees < 1:
            raise ConfigError(f"n_trees must be at least 1, got {self.n_trees}")
        if self.tree_images < 2:
            raise ConfigError(f"tree_images must be at least 2, got {self.tree_images}")

    def fitted(self, values: NDArray[np.float64], seed: int) -> Any:
        """Return the standardisation and the fitted forest."""
        from sklearn import ensemble
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        tree_images = min(self.tree_images, len(values))
        forest = ensemble.IsolationForest(n_estimators=self.n_trees, max_samples=tree_images, random_state=seed)
        return make_pipeline(StandardScaler(), forest).fit(values)
