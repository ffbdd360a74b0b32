"""Outlier detectors of scikit-learn as methods: on features of the cross-entropy network, or on pixels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from oodbench.api import FitInputs, Need, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CrossEntropy
from oodbench.tuning import drawn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from oodbench.batch import Batch

On = Literal["features", "pixels"]
"""What an estimator sees of an image: the network's penultimate features, or the pixels in [0, 1]."""


def values_of(batch: Batch, on: On) -> NDArray[np.float64]:
    """Return what an estimator sees of some images, shape (n, dim)."""
    values = batch.features if on == "features" else batch.images.flatten(1)
    array: NDArray[np.float64] = values.double().cpu().numpy()
    return array


@dataclass(frozen=True, kw_only=True)
class EstimatorMethod(ABC):
    """Base of methods that fit an outlier detector of scikit-learn; a subclass says which.

    It shares the cross-entropy network with MSP, ignores the training labels, and classifies by the largest logit.

    Attributes:
        on: "features" of the network, or "pixels", where the network serves to classify only.
        max_images: at most this many training images are fitted, drawn from the seed; None for all.
    """

    sees: ClassVar[frozenset[Sees]] = frozenset()

    on: On = "features"
    max_images: int | None = None

    def __post_init__(self) -> None:
        if self.max_images is not None and self.max_images < 2:
            raise ConfigError(f"max_images must be at least 2, or none for all, got {self.max_images}")

    @property
    def needs(self) -> frozenset[Need]:
        """Training images, and features where it sees these."""
        return frozenset[Need]({"training_images", "features"} if self.on == "features" else {"training_images"})

    @property
    def networks(self) -> tuple[Objective, ...]:
        """One, trained by cross-entropy: it is the one that MSP uses."""
        return (CrossEntropy(),)

    @abstractmethod
    def fitted(self, values: NDArray[np.float64], seed: int) -> Any:
        """Return an estimator with a `decision_function` (higher = more in-distribution), fitted to training images.

        Args:
            values: features or pixels, shape (n, dim).
            seed: for anything random.
        """

    def fit(self, inputs: FitInputs) -> EstimatorDetector:
        """Fit the estimator to training images."""
        train = drawn(inputs.train, self.max_images, inputs.seed)
        return EstimatorDetector(estimator=self.fitted(values_of(train, self.on), inputs.seed), on=self.on)


@dataclass(frozen=True, kw_only=True, eq=False)
class EstimatorDetector:
    """A fitted outlier detector of scikit-learn.

    Attributes:
        estimator: has a `decision_function`.
        on: what it sees of an image.
    """

    estimator: Any
    on: On

    def score(self, batch: Batch) -> Tensor:
        """Return the estimator's decision function, float64 of shape (n,)."""
        import torch

        return torch.tensor(self.estimator.decision_function(values_of(batch, self.on)), device=batch.device)

    def classify(self, batch: Batch) -> Tensor:
        """Return the index of the largest logit, shape (n,)."""
        return batch.logits.argmax(dim=1)
