"""Local outlier factor: how much sparser the surroundings of an image are than those of its neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from oodbench.errors import ConfigError

from ._estimators import EstimatorMethod

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class LOF(EstimatorMethod):
    """Local outlier factor on standardised features or pixels, as scikit-learn has it.

    Score: 3/2 − LOF(x), with LOF(x) the mean of lrd(o) / lrd(x) over the k nearest training images o of x, and lrd(x)
    the inverse of the mean reachability distance max(‖x − o‖, distance of o to its k-th neighbour) over them.
    Source: Breunig et al., SIGMOD 2000, Definitions 5 to 7, sign flipped; survey (Salehi et al.) §3.3. The default k
    is scikit-learn's. Each dimension is brought to mean 0 and variance 1 first, for distances to weigh all alike.
    Of training images with the same values one counts, as the paper's remark on Definition 6 has it: more than k copies
    of an image would be infinitely dense.

    Attributes:
        on, max_images: see `EstimatorMethod`. Time grows with the square of the number of images.
        n_neighbors: k (MinPts in the paper).
    """

    title: ClassVar[str] = "Local outlier factor"
    source: ClassVar[str] = "Breunig et al., SIGMOD 2000, Def. 7"

    max_images: int | None = 10_000
    n_neighbors: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_neighbors < 1:
            raise ConfigError(f"n_neighbors must be at least 1, got {self.n_neighbors}")

    def fitted(self, values: NDArray[np.float64], seed: int) -> Any:
        """Return the standardisation and the neighbours."""
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        from ._distinct import DistinctLOF

        return make_pipeline(StandardScaler(), DistinctLOF(n_neighbors=self.n_neighbors)).fit(values)
