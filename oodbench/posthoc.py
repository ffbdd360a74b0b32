"""A convenience for plugin authors: methods that score the logits of a cross-entropy classifier."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from .api import FitInputs, Objective, Sees
from .objectives import CrossEntropy

if TYPE_CHECKING:
    from torch import Tensor

    from .batch import Batch


@dataclass(frozen=True, kw_only=True)
class LogitMethod(ABC):
    """Base of methods that need nothing but logits; a subclass says how they are scored.

    It shares the cross-entropy network with every other method that uses it, sees no data besides, and
    classifies by the largest logit.
    """

    sees: ClassVar[frozenset[Sees]] = frozenset()

    @property
    def objective(self) -> Objective:
        """Cross-entropy."""
        return CrossEntropy()

    @abstractmethod
    def score_logits(self, logits: Tensor) -> Tensor:
        """Return one score an image, shape (n,), from logits, shape (n, n_classes); higher = more in-distribution."""

    def fit(self, inputs: FitInputs) -> LogitDetector:
        """Return a detector at once: there is nothing to fit."""
        return LogitDetector(method=self)


@dataclass(frozen=True, kw_only=True)
class LogitDetector:
    """Scores logits as its method says."""

    method: LogitMethod

    def score(self, batch: Batch) -> Tensor:
        """Return one score an image, shape (n,); higher = more in-distribution."""
        return self.method.score_logits(batch.logits)

    def classify(self, batch: Batch) -> Tensor:
        """Return the index of the largest logit, shape (n,)."""
        return batch.logits.argmax(dim=1)
