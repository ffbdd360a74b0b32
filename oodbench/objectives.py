"""The objective that most methods share: a plain cross-entropy classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """Softmax cross-entropy on the labelled ID training images."""

    name: ClassVar[str] = "ce"
    uses_seen_ood: ClassVar[bool] = False

    def output_size(self, n_classes: int, embedding_dim: int) -> int:
        """Return the number of classes."""
        return n_classes

    def n_ood_images(self, batch_size: int, step: int) -> int:
        """Return 0: no OOD images are used."""
        return 0

    def loss(self, outputs: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean cross-entropy of logits, shape (n, n_classes), and labels, shape (n,); a scalar."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(outputs, labels)

    def embed(self, outputs: Tensor) -> Tensor:
        """Return class probabilities: the bounded simplex that Masana et al. draw in Figure 1."""
        return outputs.softmax(dim=1)
