"""One-class support vector machine: the plane in kernel space that parts the training images from the origin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from oodbench.api import FitInputs
from oodbench.errors import ConfigError

from ._estimators import EstimatorDetector, EstimatorMethod

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEIGHBOUR = 10
"""How far a kernel with γ = "auto" reaches: to this neighbour of a training image."""


@dataclass(frozen=True, kw_only=True)
class OCSVM(EstimatorMethod):
    """One-class SVM with a Gaussian kernel on standardised features or pixels, as scikit-learn has it.

    Score: Σ_i α_i·exp(−γ‖x_i − x‖²) − ρ over the support vectors x_i, with the weights α_i and the offset ρ for which a
    share of at most ν of the training images is outside.
    Source: Schölkopf et al., NIPS 1999; survey (Salehi et al.) §3.4, Eq. 1. The default ν is scikit-learn's. Each
    dimension is brought to mean 0 and variance 1 first, for distances to weigh all alike. Features come in one cluster
    a class, and a kernel as wide as all of them together, as with γ="scale", takes what lies between them for typical:
    the default, which is ours, is as wide as the neighbourhood of a training image.

    Attributes:
        on, max_images: see `EstimatorMethod`. Time grows with more than the square of the number of images, and
            a share of about ν of them has to be compared with each image that is scored.
        nu: ν, in (0, 1].
        gamma: γ; "auto" for 1 / (median distance of training images to their 10th neighbour)², or scikit-learn's
            "scale", 1 / (dimensions · variance of all values).
    """

    title: ClassVar[str] = "One-class support vector machine"
    source: ClassVar[str] = "Schölkopf et al., NIPS 1999; survey Eq. 1"

    max_images: int | None = 5000
    nu: float = 0.5
    gamma: Literal["auto", "scale"] | float = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.nu <= 1:
            raise ConfigError(f"nu must be above 0 and at most 1, got {self.nu}")
        if not isinstance(self.gamma, str) and not self.gamma > 0:
            raise ConfigError(f"gamma must be 'auto', 'scale' or a positive number, got {self.gamma}")

    def fitted(self, values: NDArray[np.float64], seed: int) -> Any:
        """Return the standardisation and the support vectors."""
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import OneClassSVM

        gamma = neighbourhood_gamma(StandardScaler().fit_transform(values)) if self.gamma == "auto" else self.gamma
        machine = OneClassSVM(nu=self.nu, gamma=gamma)
        # Its constructor has no such argument, and it would draw a seed that it does not need from NumPy's generator.
        machine.random_state = seed
        return make_pipeline(StandardScaler(), machine).fit(values)

    def fit(self, inputs: FitInputs) -> OCSVMDetector:
        """Fit the machine to training images."""
        detector = super().fit(inputs)
        gamma = detector.estimator[-1].gamma
        return OCSVMDetector(estimator=detector.estimator, on=detector.on, gamma=gamma)


def neighbourhood_gamma(values: NDArray[np.float64]) -> float:
    """Return 1 / (median distance to the k-th neighbour)² of samples, shape (n, dim), with k = 10 or all others.

    Copies of a sample are no neighbours of it: where more than half have k of them, the median is over the others.
    """
    import numpy as np
    from sklearn.neighbors import NearestNeighbors

    k = min(NEIGHBOUR, len(values) - 1)
    if k < 1:
        return 1.0
    # A sample is its own first neighbour here.
    distances = NearestNeighbors(n_neighbors=k + 1).fit(values).kneighbors(values)[0][:, -1]
    apart = distances[distances > 0]
    median = float(np.median(distances)) or (float(np.median(apart)) if len(apart) else 1.0)
    return 1 / median**2


@dataclass(frozen=True, kw_only=True, eq=False)
class OCSVMDetector(EstimatorDetector):
    """A fitted machine with its kernel.

    Attributes:
        gamma: γ, or "scale".
    """

    gamma: float | str
