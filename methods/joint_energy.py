"""JointEnergy: the energies of independent labels, added up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from oodbench.api import Objective
from oodbench.objectives import LossObjective
from oodbench.posthoc import LogitMethod

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class IndependentLabels(LossObjective):
    """Binary cross-entropy of an independent sigmoid for each class: one against the rest.

    Source: Wang et al., NeurIPS 2021, Section 2.
    """

    name: ClassVar[str] = "binary_ce"
    uses_seen_ood: ClassVar[bool] = False

    def loss(self, outputs: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean over images and classes, of logits, shape (n, C), and labels, shape (n,); a scalar."""
        from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

        return binary_cross_entropy_with_logits(outputs, one_hot(labels, outputs.shape[1]).float())

    def embed(self, outputs: Tensor) -> Tensor:
        """Return the probability of each label."""
        return outputs.sigmoid()


@dataclass(frozen=True, kw_only=True)
class JointEnergy(LogitMethod):
    """Label-wise free energies of a network with one sigmoid a class.

    Score: Σ_k log(1 + exp f_k), or the largest of these.
    Source: Wang et al., NeurIPS 2021, Eq. 5 and 6; survey (Salehi et al.) §6.22, Eq. 106 and 107. The paper's images
    have several labels; here they have one, and the sigmoids learn one class against the rest.

    Attributes:
        combine: "sum", which the paper proposes, or "max".
    """

    title: ClassVar[str] = "JointEnergy"
    source: ClassVar[str] = "Wang et al., NeurIPS 2021, Eq. 5-6"

    combine: Literal["sum", "max"] = "sum"

    @property
    def networks(self) -> tuple[Objective, ...]:
        """The network with one sigmoid a class."""
        return (IndependentLabels(),)

    def score_logits(self, logits: Tensor) -> Tensor:
        """Return one score an image, float64 of shape (n,), positive, from logits, shape (n, n_classes)."""
        from torch.nn.functional import softplus

        energies = softplus(logits.double(), threshold=40)
        return energies.sum(dim=1) if self.combine == "sum" else energies.amax(dim=1)
