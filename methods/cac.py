"""Class anchor clustering: logits that gather around fixed points, one a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from oodbench.api import FitInputs, Need, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CheckedByObjectives, LossObjective

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from oodbench.batch import Batch


def distances(logits: Tensor, centres: Tensor) -> Tensor:
    """Return the Euclidean distance of logits, shape (n, C), to each of the centres, shape (k, C), shape (n, k)."""
    # The root has no finite gradient at 0, where an image is on its centre.
    return (logits[:, None] - centres).square().sum(dim=2).clamp(min=1e-12).sqrt()


@dataclass(frozen=True, kw_only=True)
class AnchoredCentres(LossObjective):
    """Pulls logits to the anchor of their class and away from the others.

    Anchor c_k is α times the k-th unit vector; d_k = ‖f − c_k‖. L = log(1 + Σ_{j≠y} exp(d_y − d_j)) + λ·d_y.
    Source: Miller et al., WACV 2021, Eq. 3 to 6; survey (Salehi et al.) §5.12, Eq. 55, with α = 1 there.

    Attributes:
        alpha: α, how far the anchors are from the origin.
        weight: λ, of the distance to one's own anchor.
    """

    name: ClassVar[str] = "cac"
    uses_seen_ood: ClassVar[bool] = False

    alpha: float = 10.0
    weight: float = 0.1

    def __post_init__(self) -> None:
        if not self.alpha > 0:
            raise ConfigError(f"alpha must be positive, got {self.alpha}")
        if not self.weight >= 0:
            raise ConfigError(f"weight must not be negative, got {self.weight}")

    def anchors(self, n_classes: int) -> Tensor:
        """Return the anchors, float32, shape (C, C)."""
        import torch

        return self.alpha * torch.eye(n_classes)

    def loss(self, outputs: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return the loss of logits, shape (n, C), and labels, shape (n,); a scalar."""
        from torch.nn.functional import cross_entropy

        d = distances(outputs, self.anchors(outputs.shape[1]).to(outputs.device))
        own = d.gather(1, labels[:, None]).mean()
        # log(1 + Σ_{j≠y} exp(d_y − d_j)) = −log softmax(−d)_y.
        return cross_entropy(-d, labels) + self.weight * own

    def embed(self, outputs: Tensor) -> Tensor:
        """Return logits as they are: the space of the anchors."""
        return outputs


@dataclass(frozen=True, kw_only=True)
class CAC(CheckedByObjectives):
    """Class anchor clustering.

    Score: −min_k γ_k with γ = d ∘ (1 − softmin(d)) and d the distances of the logits to the class centres. The class
    is the one of the smallest γ.
    Source: Miller et al., WACV 2021, Eq. 3 to 8; survey (Salehi et al.) §5.12. As in the public code, the centres of
    scoring are the mean logits of the correctly classified training images of each class; a class without any keeps
    its anchor. The network is the benchmark's, where the paper has one of its own.

    Attributes:
        alpha, weight: of the objective, see `AnchoredCentres`.
        centres: "means" as above, or "anchors".
    """

    title: ClassVar[str] = "Class anchor clustering"
    source: ClassVar[str] = "Miller et al., WACV 2021, Eq. 3-8"
    sees: ClassVar[frozenset[Sees]] = frozenset()
    needs: ClassVar[frozenset[Need]] = frozenset({"classes", "training_images"})

    alpha: float = 10.0
    weight: float = 0.1
    centres: Literal["means", "anchors"] = "means"

    @property
    def networks(self) -> tuple[Objective, ...]:
        """The network with anchored classes."""
        return (self._objective,)

    @property
    def _objective(self) -> AnchoredCentres:
        return AnchoredCentres(alpha=self.alpha, weight=self.weight)

    def fit(self, inputs: FitInputs) -> CACDetector:
        """Return a detector with the centres."""
        from ._moments import labels_of

        train = inputs.train
        centres = self._objective.anchors(inputs.n_classes).double().to(train.device)
        if self.centres == "means":
            labels = labels_of(train).cpu().numpy()
            for k in range(inputs.n_classes):
                logits = train.at((labels == k).nonzero()[0]).logits.double()
                right = logits[logits.argmax(dim=1) == k]
                if len(right):
                    centres[k] = right.mean(dim=0)
        return CACDetector(centres=centres)


@dataclass(frozen=True, kw_only=True, eq=False)
class CACDetector:
    """Distances to class centres, weighted by how little each is the nearest.

    Attributes:
        centres: float64, shape (C, C).
    """

    centres: Tensor

    def _gamma(self, batch: Batch) -> Tensor:
        d = distances(batch.logits.double(), self.centres)
        softmin = (-d).softmax(dim=1)
        nearest = d.argmin(dim=1, keepdim=True)
        # 1 − p of the nearest class is the sum over the others: as a difference, confident images would tie at 0.
        of_others = softmin.scatter(1, nearest, 0.0).sum(dim=1, keepdim=True)
        return d * (1 - softmin).scatter(1, nearest, of_others)

    def score(self, batch: Batch) -> Tensor:
        """Return minus the smallest weighted distance, float64 of shape (n,), at most 0."""
        return -self._gamma(batch).amin(dim=1)

    def classify(self, batch: Batch) -> Tensor:
        """Return the class of the smallest weighted distance, shape (n,)."""
        return self._gamma(batch).argmin(dim=1)
