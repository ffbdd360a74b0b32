"""Maximum classifier discrepancy: two heads that agree on in-distribution images and are driven apart on others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from oodbench.api import FitInputs, Need, NetworkBuilder, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CheckedByObjectives, CrossEntropy, SeenOodObjective

from .outlier_exposure import check_ratio, check_weight

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import Tensor, nn

    from oodbench.batch import Batch


def entropy(logits: Tensor) -> Tensor:
    """Return the entropy of the softmax in nats, shape (n,), of logits, shape (n, C)."""
    log_p = logits.log_softmax(dim=1)
    return -(log_p.exp() * log_p).sum(dim=1)


@dataclass(frozen=True, kw_only=True)
class DiscrepantHeads(SeenOodObjective):
    """Cross-entropy of two heads on ID images, and a hinge on their difference in entropy on seen OOD images.

    L = CE(f₁) + CE(f₂) + λ·max(0, m − mean of H(p₁) − H(p₂) on OOD images): the first head becomes undecided about
    them and the second one sure. Body and first head start from the plain cross-entropy classifier.
    Source: Yu & Aizawa, ICCV 2019, Eq. 2 to 4; survey (Salehi et al.) §6.8.

    Attributes:
        margin: m.
        weight: λ, 1 in the paper.
        ood_ratio: seen OOD images for each ID image of a batch.
    """

    name: ClassVar[str] = "mcd"
    needs: ClassVar[frozenset[Need]] = frozenset({"classes", "seen_ood"})

    margin: float = 1.2
    weight: float = 1.0
    ood_ratio: float = 1.0

    def __post_init__(self) -> None:
        if not self.margin > 0:
            raise ConfigError(f"margin must be positive, got {self.margin}")
        check_weight(self.weight)
        check_ratio(self.ood_ratio)

    @property
    def starts_from(self) -> Objective:
        """The plain classifier."""
        return CrossEntropy()

    def build(
        self, backbone: NetworkBuilder, shape: tuple[int, int, int], n_classes: int, embedding_dim: int
    ) -> nn.Module:
        """Return a classifier with a second head."""
        from ._two_heads import TwoHeads

        return TwoHeads(backbone(shape, n_classes), shape, n_classes)

    def begin(self, network: nn.Module, start: nn.Module) -> None:
        """Take over body and first head; the second head is untrained, so that the two differ."""
        from ._two_heads import TwoHeads

        assert isinstance(network, TwoHeads)  # what `build` returns
        network.backbone.load_state_dict(start.state_dict())

    def loss_with_ood(
        self,
        outputs_id: Mapping[str, Tensor],
        labels: Tensor,
        outputs_ood: Mapping[str, Tensor],
        generator: torch.Generator,
    ) -> Tensor:
        """Return the loss of "logits" and "logits_2" of ID images, shape (n, C), and of seen OOD images; a scalar."""
        from torch.nn.functional import cross_entropy

        supervised = cross_entropy(outputs_id["logits"], labels) + cross_entropy(outputs_id["logits_2"], labels)
        difference = entropy(outputs_ood["logits"]) - entropy(outputs_ood["logits_2"])
        return supervised + self.weight * (self.margin - difference.mean()).clamp(min=0)

    def embed(self, outputs: Tensor) -> Tensor:
        """Return the class probabilities of the first head."""
        return outputs.softmax(dim=1)


@dataclass(frozen=True, kw_only=True)
class MCD(CheckedByObjectives):
    """Maximum classifier discrepancy.

    Score: −Σ_k |p₁(k) − p₂(k)|, in [−2, 0], with p₁ and p₂ the softmaxes of the two heads. The class is that of the
    mean of both.
    Source: Yu & Aizawa, ICCV 2019, Eq. 2 to 5; survey (Salehi et al.) §6.8. The paper pushes the heads apart on
    unlabelled images that are ID and OOD test images mixed; here these are the benchmark's seen OOD training images
    alone. The paper trains both heads before; here the second one learns together with the discrepancy.

    Attributes:
        margin, weight, ood_ratio: of the objective, see `DiscrepantHeads`.
        seen: which of the benchmark's seen OOD images the heads are driven apart on; None for the benchmark's first.
    """

    title: ClassVar[str] = "Maximum classifier discrepancy"
    source: ClassVar[str] = "Yu & Aizawa, ICCV 2019, Eq. 2-5"
    sees: ClassVar[frozenset[Sees]] = frozenset({"seen_ood"})
    needs: ClassVar[frozenset[Need]] = frozenset({"classes"})

    margin: float = 1.2
    weight: float = 1.0
    ood_ratio: float = 1.0
    seen: str | None = None

    @property
    def networks(self) -> tuple[Objective, ...]:
        """The network with two heads."""
        return (DiscrepantHeads(margin=self.margin, weight=self.weight, ood_ratio=self.ood_ratio),)

    def fit(self, inputs: FitInputs) -> MCDDetector:
        """Return a detector at once: there is nothing to fit."""
        return MCDDetector()


@dataclass(frozen=True, kw_only=True)
class MCDDetector:
    """Compares two heads."""

    def _probabilities(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return batch.logits.double().softmax(dim=1), batch.output("logits_2").double().softmax(dim=1)

    def score(self, batch: Batch) -> Tensor:
        """Return minus the L1 distance of the two softmaxes, float64 of shape (n,)."""
        first, second = self._probabilities(batch)
        return -(first - second).abs().sum(dim=1)

    def classify(self, batch: Batch) -> Tensor:
        """Return the class of the largest mean probability, shape (n,)."""
        first, second = self._probabilities(batch)
        return (first + second).argmax(dim=1)
