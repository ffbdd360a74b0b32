"""A deep ensemble: the mean of what several networks say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from oodbench.api import FitInputs, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CrossEntropy

if TYPE_CHECKING:
    from torch import Tensor

    from oodbench.batch import Batch


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """Maximum of the mean softmax of classifiers that differ in their seed, and so in the images held out of training.

    Score: max_k (1/M) Σ_m softmax(f_m)_k, in [1/C, 1], over M members. Of a run's seed s they are the networks of
    the seeds sM … sM + M − 1, so that the ensembles of two seeds have no member in common.
    Source: Lakshminarayanan et al., NeurIPS 2017, Section 2.4; survey (Salehi et al.) §9.1 and Table 3. Without the
    paper's adversarial training.

    Attributes:
        members: M, 5 as in the paper's experiments.
    """

    title: ClassVar[str] = "Deep ensemble"
    source: ClassVar[str] = "Lakshminarayanan et al., NeurIPS 2017, Sec. 2.4"
    sees: ClassVar[frozenset[Sees]] = frozenset()

    members: int = 5

    def __post_init__(self) -> None:
        if not 1 <= self.members <= 1000:
            raise ConfigError(f"members must be from 1 to 1,000, got {self.members:,}")

    @property
    def networks(self) -> tuple[Objective, ...]:
        """Several, trained by cross-entropy; the first ones are the networks that other methods use."""
        return (CrossEntropy(),) * self.members

    def fit(self, inputs: FitInputs) -> EnsembleDetector:
        """Return a detector at once: there is nothing to fit."""
        return EnsembleDetector()


@dataclass(frozen=True, kw_only=True)
class EnsembleDetector:
    """The mean softmax of all networks that a batch has outputs of."""

    def _probabilities(self, batch: Batch) -> Tensor:
        import torch

        # float64, as in MSP: confident images would tie at 1.
        return torch.stack([member.logits.double().softmax(dim=1) for member in batch.members]).mean(dim=0)

    def score(self, batch: Batch) -> Tensor:
        """Return the largest mean class probability, float64 of shape (n,)."""
        return self._probabilities(batch).amax(dim=1)

    def classify(self, batch: Batch) -> Tensor:
        """Return the class of the largest mean probability, shape (n,)."""
        return self._probabilities(batch).argmax(dim=1)
