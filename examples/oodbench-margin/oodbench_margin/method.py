"""Distance to the nearest decision boundary, in units of what is usual for the class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from oodbench.api import FitInputs, Need, Objective, Sees
from oodbench.objectives import CrossEntropy

if TYPE_CHECKING:
    from oodbench.batch import Batch
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Margin:
    """Margin of the predicted class; it has no hyper-parameters.

    Score: d(z) / D_m with d(z) = min_{c ≠ m} (f_m − f_c) / ‖w_m − w_c‖₂, where z are the features, f their logits, m the
    predicted class, w the weights of the last layer, and D_m the mean of d over the training images predicted as m.
    Source: the margin of a linear classifier, a textbook notion; made up as an example, no paper proposes it.
    """

    title: ClassVar[str] = "Relative margin"
    source: ClassVar[str] = "an example, made up for the documentation"
    networks: ClassVar[tuple[Objective, ...]] = (CrossEntropy(),)  # the one that all scores of plain classifiers share
    needs: ClassVar[frozenset[Need]] = frozenset({"classes", "training_images", "features"})
    sees: ClassVar[frozenset[Sees]] = frozenset()

    def fit(self, inputs: FitInputs) -> MarginDetector:
        """Return the detector with the boundaries of the last layer and the usual margins."""
        import torch

        train = inputs.train
        # A linear layer maps the unit vectors to W + b and zero to b, whatever it is made of.
        with torch.no_grad():
            units = torch.eye(train.features.shape[1], device=train.features.device)
            weight = (inputs.network.head(units) - inputs.network.head(torch.zeros_like(units[:1]))).T.double()
        distances, logits = torch.cdist(weight, weight), train.logits.double()
        margins, predicted = _margins(logits, distances), logits.argmax(dim=1)
        # A class that is never predicted has the margin that is usual for all.
        usual = [margins[predicted == k] if (predicted == k).any() else margins for k in range(len(weight))]
        return MarginDetector(distances=distances, usual=torch.stack([each.mean() for each in usual]))


def _margins(logits: Tensor, distances: Tensor) -> Tensor:
    """Return the distance to the nearest boundary, float64 of shape (n,), from logits, shape (n, n_classes)."""
    top, predicted = logits.max(dim=1, keepdim=True)
    # The difference of two logits is (w_m − w_c)ᵀz + b_m − b_c; the predicted class itself is left out.
    gaps = (top - logits) / distances[predicted[:, 0]]
    return gaps.scatter(1, predicted, float("inf")).amin(dim=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class MarginDetector:
    """Margins of a linear classifier.

    Attributes:
        distances: ‖w_i − w_j‖₂ of each pair of classes, float64, shape (n_classes, n_classes).
        usual: D, float64, shape (n_classes,).
    """

    distances: Tensor
    usual: Tensor

    def score(self, batch: Batch) -> Tensor:
        """Return the relative margin, float64 of shape (n,), at least 0."""
        logits = batch.logits.double()
        return _margins(logits, self.distances) / self.usual[logits.argmax(dim=1)]

    def classify(self, batch: Batch) -> Tensor:
        """Return the index of the largest logit, shape (n,)."""
        return batch.logits.argmax(dim=1)
