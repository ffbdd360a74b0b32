"""DBSCAN as a novelty detector: distance to the nearest core sample of the training images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from oodbench.api import FitInputs
from oodbench.errors import ConfigError

from ._estimators import EstimatorDetector, EstimatorMethod

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class DBSCAN(EstimatorMethod):
    """Distance to the nearest core sample of DBSCAN on standardised features or pixels.

    Score: −min ‖x − o‖ over the core samples o: the training images with at least `min_samples` training images, itself
    included, within a distance of ε. DBSCAN itself calls an image noise where this is below −ε.
    Source: Ester et al., KDD 1996, Definitions 1 and 2, and scikit-learn's implementation; survey (Salehi et al.) §3.2.
    The paper clusters one set and scores nothing; the score, and how "auto" chooses ε, are ours. Each dimension is
    brought to mean 0 and variance 1 first, for distances to weigh all alike.

    Attributes:
        on, max_images: see `EstimatorMethod`. Time and memory grow with the square of the number of images.
        eps: ε, in standard deviations; scikit-learn's 0.5 means nothing in hundreds of dimensions, so "auto"
            takes the smallest one that makes a share `core_share` of the training images core samples.
        core_share: in (0, 1]; used by "auto" only.
        min_samples: MinPts in the paper; the default is scikit-learn's.
    """

    title: ClassVar[str] = "DBSCAN (distance to the nearest core sample)"
    source: ClassVar[str] = "Ester et al., KDD 1996, Def. 2; the score is ours"

    max_images: int | None = 5000
    eps: Literal["auto"] | float = "auto"
    core_share: float = 0.9
    min_samples: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.eps != "auto" and not self.eps > 0:
            raise ConfigError(f"eps must be 'auto' or a positive number, got {self.eps}")
        if not 0 < self.core_share <= 1:
            raise ConfigError(f"core_share must be above 0 and at most 1, got {self.core_share}")
        if self.min_samples < 1:
            raise ConfigError(f"min_samples must be at least 1, got {self.min_samples}")

    def fitted(self, values: NDArray[np.float64], seed: int) -> Any:
        """Return the standardisation and the core samples."""
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        from ._core_samples import CoreSamples

        if self.min_samples > len(values):
            raise ConfigError(
                f"dbscan.min_samples={self.min_samples} is more than the {len(values)} training images there are; "
                f"lower it: --set dbscan.min_samples={min(5, len(values))}"
            )
        samples = CoreSamples(eps=self.eps, core_share=self.core_share, min_samples=self.min_samples)
        return make_pipeline(StandardScaler(), samples).fit(values)

    def fit(self, inputs: FitInputs) -> DBSCANDetector:
        """Find the core samples among training images."""
        detector = super().fit(inputs)
        return DBSCANDetector(estimator=detector.estimator, on=detector.on, eps=float(detector.estimator[-1].eps_))


@dataclass(frozen=True, kw_only=True, eq=False)
class DBSCANDetector(EstimatorDetector):
    """The core samples with the radius that made them so.

    Attributes:
        eps: ε, in standard deviations.
    """

    eps: float
