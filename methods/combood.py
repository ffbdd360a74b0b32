"""Nearest neighbours in feature space and extreme values throughout the network, in one density."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from oodbench.api import FitInputs
from oodbench.errors import ConfigError
from oodbench.posthoc import PostHocDetector, PostHocMethod

from ._readings import Extremes

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from oodbench.batch import Batch

    from .knn import KNNDetector

SMALLEST_DISTANCE = 1e-6
"""A neighbour that is nearer, as a copy of a training image is, counts as this far: float32 resolves no less."""
LARGEST_VALUE = 1e100
"""Power transforms of images far from training ones are cut here, so that squares stay finite."""


@dataclass(frozen=True, kw_only=True)
class CombOOD(PostHocMethod):
    """A nearest-neighbour density of the features and a Gaussian of extreme values, multiplied.

    Score: −√n·log d² − m². d is the distance to the k-th nearest training image on the unit sphere of the n penultimate
    features, as in `knn`. m is the Mahalanobis distance of the image's extremes from 0: the largest logit and minus the
    smallest, and the same of what each activation function is given, each standardised, brought near a Gaussian by a
    Yeo-Johnson transform, and with their covariance plus λ times the identity.
    Source: Rajasekaran et al., SDM 2024; checked against the public code, rmagesh148/combood, with √n instead of n and
    λ = 1 as there.

    What an activation function is given is read as the output of the module before it, so that in residual networks the
    last summand stands for the sum. Extremes that never vary in training are left out. A distance below 1e-6 counts as
    1e-6, where the public code leaves the logarithm undefined.

    Attributes:
        k: which neighbour.
        regularisation: λ.
    """

    title: ClassVar[str] = "Neighbours and extreme values (COMBOOD)"
    source: ClassVar[str] = "Rajasekaran et al., SDM 2024; code rmagesh148/combood"

    k: int = 50
    regularisation: float = 1.0

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ConfigError(f"k must be at least 1, got {self.k}")
        if not self.regularisation > 0:
            raise ConfigError(f"regularisation must be positive, got {self.regularisation}")

    @property
    def reads(self) -> tuple[Extremes, ...]:
        """The extremes of each layer in front of an activation function."""
        return (Extremes(),)

    def fit(self, inputs: FitInputs) -> CombOODDetector:
        """Return a detector with the features of all training images and the Gaussian of their extremes.

        Raises:
            ConfigError: there are fewer than k training images, or no extreme varies among them.
        """
        import numpy as np

        from .knn import KNN

        if len(inputs.train) < self.k:
            raise ConfigError(
                f"combood cannot find neighbour k={self.k} among {len(inputs.train)} training images; "
                f"give a smaller one: --set combood.k={len(inputs.train)}"
            )
        values = _extremes(inputs.train)
        kept = np.ptp(values, axis=0) > np.finfo(np.float32).eps * np.abs(values).max(axis=0)
        if not kept.any():
            raise ConfigError(
                "combood needs training images that differ in their largest or smallest values, and here all are "
                "alike; train on more images"
            )
        transform, gaussian = _power_transform(values[:, kept])
        covariance = np.cov(gaussian, rowvar=False).reshape(kept.sum(), kept.sum())
        return CombOODDetector(
            neighbours=KNN(k=self.k).fit(inputs),
            kept=kept,
            transform=transform,
            precision=np.linalg.inv(covariance + self.regularisation * np.identity(len(covariance))),
        )


def _extremes(batch: Batch) -> NDArray[Any]:
    """Return the extremes of the logits and of each layer, float64 of shape (n, 2 + 2 · layers)."""
    import torch

    from ._readings import extremes

    values = torch.cat([extremes(batch.logits), batch.output(Extremes().name)], dim=1)
    return values.double().cpu().numpy()


def _power_transform(values: NDArray[Any]) -> tuple[Any, NDArray[Any]]:
    """Return a fitted transform to a Gaussian, and what it gives for the values, shape (n, n_values)."""
    import warnings

    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PowerTransformer, StandardScaler

    transform = make_pipeline(StandardScaler(), PowerTransformer())
    with warnings.catch_warnings():
        # The search for the exponent tries some that overflow.
        warnings.simplefilter("ignore", RuntimeWarning)
        return transform, _finite(transform.fit_transform(values))


def _finite(values: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    finite: NDArray[Any] = np.nan_to_num(values, nan=LARGEST_VALUE).clip(-LARGEST_VALUE, LARGEST_VALUE)
    return finite


@dataclass(frozen=True, kw_only=True, eq=False)
class CombOODDetector(PostHocDetector):
    """Log density of neighbours and extremes.

    Attributes:
        neighbours: distance to the k-th nearest training image.
        kept: which extremes vary in training, bool, shape (n_values,).
        transform: a fitted transform of these, from scikit-learn.
        precision: of what it gives, float64, shape (kept, kept).
    """

    neighbours: KNNDetector
    kept: NDArray[Any]
    transform: Any
    precision: NDArray[Any]

    def score(self, batch: Batch) -> Tensor:
        """Return the log density up to a constant, float64 of shape (n,)."""
        import numpy as np
        import torch

        with np.errstate(over="ignore", invalid="ignore"):
            values = _finite(self.transform.transform(_extremes(batch)[:, self.kept]))
        squared = torch.tensor(np.einsum("ni,ij,nj->n", values, self.precision, values), device=batch.device)
        distances = -self.neighbours.score(batch).clamp(max=-SMALLEST_DISTANCE)
        return -2 * math.sqrt(self.neighbours.train.features.shape[1]) * distances.log() - squared
