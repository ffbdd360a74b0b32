"""What networks are trained for: a base for objectives with one loss, and the plain classifier most methods share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from .training.learner import Learner, Setting


class LossObjective(ABC):
    """Base of objectives that are one loss of the network's outputs; a subclass says which."""

    @abstractmethod
    def loss(self, outputs: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return the loss of a batch, a scalar.

        Args:
            outputs: float32, shape (n, n_outputs).
            labels: int64, shape (n,); −1 for seen OOD images, which stand last.
            generator: the only source of randomness to use, on the device of `outputs`.
        """

    def n_ood_images(self, batch_size: int, step: int) -> int:
        """Return how many images of the batch of this step (counted from 0) are seen OOD images: none."""
        return 0

    def learner(self, network: nn.Module, setting: Setting) -> Learner:
        """Return a learner that follows the gradient of the loss."""
        from .training.learner import LossLearner

        return LossLearner(network, self, setting)


@dataclass(frozen=True, kw_only=True)
class CrossEntropy(LossObjective):
    """Softmax cross-entropy on the labelled ID training images."""

    name: ClassVar[str] = "ce"
    uses_seen_ood: ClassVar[bool] = False

    def output_size(self, n_classes: int, embedding_dim: int) -> int:
        """Return the number of classes."""
        return n_classes

    def loss(self, outputs: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean cross-entropy of logits, shape (n, n_classes), and labels, shape (n,); a scalar."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(outputs, labels)

    def embed(self, outputs: Tensor) -> Tensor:
        """Return class probabilities: the bounded simplex that Masana et al. draw in Figure 1."""
        return outputs.softmax(dim=1)
