"""Reject classes: further outputs of a classifier among which seen out-of-distribution images spread by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from oodbench.api import FitInputs, Need, NetworkBuilder, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CheckedByObjectives, CrossEntropy, SeenOodObjective

from .outlier_exposure import check_ratio

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from oodbench.batch import Batch


@dataclass(frozen=True, kw_only=True)
class RejectClasses(SeenOodObjective):
    """Cross-entropy over C classes and k reject classes, of ID images and, with weight λ, of seen OOD images.

    The target of an OOD image is the output that is largest for it, where that is a reject class, and else a random
    reject class. It starts from the plain cross-entropy classifier, whose outputs are the first C.
    Source: Mohseni et al., AAAI 2020, Eq. 2 and Algorithm 1; survey (Salehi et al.) §6.18, Eq. 94 and 95.

    Attributes:
        reject_classes: k.
        weight: λ.
        ood_ratio: seen OOD images for each ID image of a batch.
    """

    name: ClassVar[str] = "mohseni"
    needs: ClassVar[frozenset[Need]] = frozenset({"classes", "seen_ood"})

    reject_classes: int = 5
    weight: float = 5.0
    ood_ratio: float = 5.0

    def __post_init__(self) -> None:
        if self.reject_classes < 1:
            raise ConfigError(f"reject_classes must be at least 1, got {self.reject_classes}")
        if not self.weight > 0:
            raise ConfigError(f"weight must be positive, got {self.weight}")
        check_ratio(self.ood_ratio)

    @property
    def starts_from(self) -> Objective:
        """The plain classifier."""
        return CrossEntropy()

    def build(
        self, backbone: NetworkBuilder, shape: tuple[int, int, int], n_classes: int, embedding_dim: int
    ) -> nn.Module:
        """Return a classifier with k outputs more."""
        return backbone(shape, n_classes + self.reject_classes)

    def begin(self, network: nn.Module, start: nn.Module) -> None:
        """Take over the classifier; its outputs are the first ones."""
        from ._heads import take_over

        take_over(network, start)

    def targets(self, logits: Tensor, generator: torch.Generator) -> Tensor:
        """Return which reject class each OOD image is to go to, int64 of shape (n,), from logits, shape (n, C + k)."""
        import torch

        n_outputs = logits.shape[1]
        n_classes, largest = n_outputs - self.reject_classes, logits.argmax(dim=1)
        drawn = torch.randint(n_classes, n_outputs, (len(logits),), generator=generator, device=logits.device)
        return torch.where(largest < n_classes, drawn, largest)

    def loss_with_ood(
        self, outputs_id: Tensor, labels: Tensor, outputs_ood: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Return the loss of logits of ID images and of seen OOD images, shape (n, C + k); a scalar."""
        from torch.nn.functional import cross_entropy

        targets = self.targets(outputs_ood, generator)
        return cross_entropy(outputs_id, labels) + self.weight * cross_entropy(outputs_ood, targets)

    def embed(self, outputs: Tensor) -> Tensor:
        """Return the probabilities of the classes and of the reject classes together, shape (n, C + 1)."""
        import torch

        p = outputs.softmax(dim=1)
        n_classes = p.shape[1] - self.reject_classes
        return torch.cat([p[:, :n_classes], p[:, n_classes:].sum(dim=1, keepdim=True)], dim=1)


@dataclass(frozen=True, kw_only=True)
class Mohseni(CheckedByObjectives):
    """Self-supervised reject classes.

    Score: −Σ of the softmax over the reject classes, in [−1, 0]. The class is the largest of the first C outputs.
    Source: Mohseni et al., AAAI 2020, Eq. 2 and Algorithm 1; survey (Salehi et al.) §6.18, Eq. 94 and 95. The paper
    takes 5 reject classes on CIFAR-10 and 10 on CIFAR-100; λ and the share of outliers are those of the
    implementation of Chen et al., ECML 2021 ("SOFL").

    Attributes:
        reject_classes, weight, ood_ratio: of the objective, see `RejectClasses`.
        seen: which of the benchmark's seen OOD images are rejected in training; None for the benchmark's first.
    """

    title: ClassVar[str] = "Self-supervised reject classes"
    source: ClassVar[str] = "Mohseni et al., AAAI 2020, Eq. 2"
    sees: ClassVar[frozenset[Sees]] = frozenset({"seen_ood"})
    needs: ClassVar[frozenset[Need]] = frozenset({"classes"})

    reject_classes: int = 5
    weight: float = 5.0
    ood_ratio: float = 5.0
    seen: str | None = None

    @property
    def networks(self) -> tuple[Objective, ...]:
        """The classifier with reject classes."""
        return (RejectClasses(reject_classes=self.reject_classes, weight=self.weight, ood_ratio=self.ood_ratio),)

    def fit(self, inputs: FitInputs) -> RejectDetector:
        """Return a detector at once: there is nothing to fit."""
        return RejectDetector(n_classes=inputs.n_classes)


@dataclass(frozen=True, kw_only=True)
class RejectDetector:
    """Sums up what reject classes get.

    Attributes:
        n_classes: how many outputs are classes; the others reject.
    """

    n_classes: int

    def score(self, batch: Batch) -> Tensor:
        """Return minus the probability of all reject classes together, float64 of shape (n,)."""
        # As a sum over the reject classes: as 1 minus a sum over classes, confident images would tie at 0.
        return -batch.logits.double().softmax(dim=1)[:, self.n_classes :].sum(dim=1)

    def classify(self, batch: Batch) -> Tensor:
        """Return the class of the largest logit, reject classes left aside, shape (n,)."""
        return batch.logits[:, : self.n_classes].argmax(dim=1)
