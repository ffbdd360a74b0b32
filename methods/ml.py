"""Metric learning: distance to the nearest class mean of a contrastive embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from oodbench.api import FitInputs, Objective, Sees
from oodbench.objectives import CheckedByObjectives

from .contrastive import Contrastive

if TYPE_CHECKING:
    from torch import Tensor

    from oodbench.batch import Batch


@dataclass(frozen=True, kw_only=True)
class ML(CheckedByObjectives):
    """Metric learning without out-of-distribution images ("Ours-ML").

    Score: −min_k ‖e − μ_k‖², with e the embedding and μ_k the mean embedding of the training images of class k.
    Source: Masana et al., BMVC 2018, Section 3.1, Eq. 1.

    Attributes:
        margin, same_share, squared, pairs, embedding_dim, start: of the objective, see `Contrastive`.
    """

    title: ClassVar[str] = "Metric learning"
    source: ClassVar[str] = "Masana et al., BMVC 2018, Eq. 1"
    sees: ClassVar[frozenset[Sees]] = frozenset()

    margin: float = 10.0
    same_share: float = 0.25
    squared: bool = True
    pairs: Literal["sampled", "all"] = "sampled"
    embedding_dim: int | None = None
    start: Literal["scratch", "ce"] = "scratch"

    @property
    def networks(self) -> tuple[Objective, ...]:
        """One, trained contrastively on ID pairs only."""
        return (
            Contrastive(
                margin=self.margin,
                same_share=self.same_share,
                squared=self.squared,
                pairs=self.pairs,
                embedding_dim=self.embedding_dim,
                start=self.start,
            ),
        )

    def fit(self, inputs: FitInputs) -> NearestMean:
        """Return a detector with the mean training embedding of each class."""
        return NearestMean.of(inputs.train, inputs.n_classes)


@dataclass(frozen=True, kw_only=True, eq=False)
class NearestMean:
    """Squared distance to the nearest class mean.

    Attributes:
        means: float64, shape (n_classes, dim).
    """

    means: Tensor

    @classmethod
    def of(cls, train: Batch, n_classes: int) -> NearestMean:
        """Return the detector with the class means of labelled training embeddings."""
        import torch

        embeddings, labels = train.logits.double(), train.labels
        assert labels is not None  # the engine only fits on labelled images
        return cls(means=torch.stack([embeddings[labels == k].mean(dim=0) for k in range(n_classes)]))

    def _squared_distances(self, batch: Batch) -> Tensor:
        return (batch.logits.double()[:, None] - self.means).square().sum(dim=2)

    def score(self, batch: Batch) -> Tensor:
        """Return minus the squared distance to the nearest class mean, shape (n,), at most 0."""
        return -self._squared_distances(batch).amin(dim=1)

    def classify(self, batch: Batch) -> Tensor:
        """Return the class of the nearest mean, shape (n,)."""
        return self._squared_distances(batch).argmin(dim=1)
