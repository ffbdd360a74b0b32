"""A convenience for plugin authors: methods that score what a cross-entropy classifier says."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from .api import Detector, FitInputs, Need, Objective, Sees
from .objectives import CrossEntropy

if TYPE_CHECKING:
    from torch import Tensor

    from .batch import Batch


class PostHocMethod(ABC):
    """Base of methods that need a cross-entropy classifier and its training images; a subclass says what it fits.

    It shares the network with every other method that uses it, and sees no data besides.
    """

    sees: ClassVar[frozenset[Sees]] = frozenset()
    needs: ClassVar[frozenset[Need]] = frozenset({"classes", "training_images", "features"})

    @property
    def networks(self) -> tuple[Objective, ...]:
        """One network, trained by cross-entropy."""
        return (CrossEntropy(),)

    @abstractmethod
    def fit(self, inputs: FitInputs) -> Detector:
        """Return a detector; everything learnt is its state."""


class PostHocDetector(ABC):
    """Base of detectors that leave the classes to the classifier; a subclass says how images are scored."""

    @abstractmethod
    def score(self, batch: Batch) -> Tensor:
        """Return one score an image, shape (n,); higher = more in-distribution."""

    def classify(self, batch: Batch) -> Tensor:
        """Return the index of the largest logit, shape (n,)."""
        return batch.logits.argmax(dim=1)


@dataclass(frozen=True, kw_only=True)
class LogitMethod(PostHocMethod):
    """Base of methods that need nothing but logits; a subclass says how they are scored."""

    needs: ClassVar[frozenset[Need]] = frozenset({"classes"})

    @abstractmethod
    def score_logits(self, logits: Tensor) -> Tensor:
        """Return one score an image, shape (n,), from logits, shape (n, n_classes); higher = more in-distribution."""

    def fit(self, inputs: FitInputs) -> LogitDetector:
        """Return a detector at once: there is nothing to fit."""
        return LogitDetector(method=self)


@dataclass(frozen=True, kw_only=True)
class LogitDetector(PostHocDetector):
    """Scores logits as its method says."""

    method: LogitMethod

    def score(self, batch: Batch) -> Tensor:
        """Return one score an image, shape (n,); higher = more in-distribution."""
        return self.method.score_logits(batch.logits)
