"""One-class support vector machine: the plane in kernel space that parts the training images from the origin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from oodbench.errors import ConfigError

from ._estimators import EstimatorMethod

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class OCSVM(EstimatorMethod):
    """One-class SVM with a Gaussian kernel on standardised features or pixels, as scikit-learn has it.

    Score: Σ_i α_i·exp(−γ‖x_i − x‖²) − ρ over the support vectors x_i, with the weights α_i and the offset ρ for which a
    share of at most ν of the training images is outside.
    Source: Schölkopf et al., NIPS 1999; survey (Salehi et al.) §3.4, Eq. 1. The default ν and γ are scikit-learn's.
    Each dimension is brought to mean 0 and variance 1 first, for distances to weigh all alike. Features come in one
    cluster a class, and the default γ is as wide as all of them together: what lies between the clusters then looks
    typical, and a larger γ finds it.

    Attributes:
        on, max_images: see `EstimatorMethod`. Time grows with more than the square of the number of images, and
            a share of about ν of them has to be compared with each image that is scored.
        nu: ν, in (0, 1].
        gamma: γ; "scale" for 1 / (dimensions · variance of all values).
    """

    title: ClassVar[str] = "One-class support vector machine"
    source: ClassVar[str] = "Schölkopf et al., NIPS 1999; survey Eq. 1"

    max_images: int | None = 5000
    nu: float = 0.5
    gamma: Literal["scale"] | float = "scale"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.nu <= 1:
            raise ConfigError(f"nu must be above 0 and at most 1, got {self.nu}")
        if self.gamma != "scale" and not self.gamma > 0:
            raise ConfigError(f"gamma must be 'scale' or a positive number, got {self.gamma}")

    def fitted(self, values: NDArray[np.float64], seed: int) -> Any:
        """Return the standardisation and the support vectors."""
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import OneClassSVM

        machine = OneClassSVM(nu=self.nu, gamma=self.gamma)
        # Its constructor has no such argument, and it would draw a seed that it does not need from NumPy's generator.
        machine.random_state = seed
        return make_pipeline(StandardScaler(), machine).fit(values)
