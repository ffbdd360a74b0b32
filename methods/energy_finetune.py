"""Energy fine-tuning: a classifier whose free energy is low on ID images and high on seen OOD images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from oodbench.api import Need, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CrossEntropy, SeenOodObjective

from .energy import Energy
from .outlier_exposure import check_ratio, check_weight

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from oodbench.training.learner import Learner, Setting


@dataclass(frozen=True, kw_only=True)
class EnergyBounded(SeenOodObjective):
    """Cross-entropy, and energies that are bounded above on ID images and below on seen OOD images.

    L = CE + λ·(mean of max(0, E(x_in) − m_in)² + mean of max(0, m_out − E(x_out))²), with E = −log Σ_k exp f_k.
    It starts from the plain cross-entropy classifier.
    Source: Liu et al., NeurIPS 2020, Eq. 7 and 8; survey (Salehi et al.) §6.15, Eq. 89.

    Attributes:
        m_in: energies of ID images above it are penalised.
        m_out: energies of OOD images below it are penalised.
        margins: "given" takes the two numbers; "data" replaces them by what the classifier that it starts from says of
            the first batch, see `margins_of`.
        weight: λ.
        ood_ratio: seen OOD images for each ID image of a batch.
    """

    name: ClassVar[str] = "energy_finetune"
    needs: ClassVar[frozenset[Need]] = frozenset({"classes", "seen_ood"})

    m_in: float = -23.0
    m_out: float = -5.0
    margins: Literal["given", "data"] = "given"
    weight: float = 0.1
    ood_ratio: float = 2.0

    def __post_init__(self) -> None:
        if self.margins == "given" and not self.m_in < self.m_out:
            raise ConfigError(
                f"m_in must be below m_out, since ID images have the lower energies, got {self.m_in} and {self.m_out}"
            )
        check_weight(self.weight)
        check_ratio(self.ood_ratio)

    @property
    def starts_from(self) -> Objective:
        """The plain classifier."""
        return CrossEntropy()

    def learner(self, network: nn.Module, setting: Setting) -> Learner:
        """Return what fine-tunes the classifier, after a look at the energies of a batch where margins are of data."""
        if self.margins == "given":
            return super().learner(network, setting)
        from ._energy_margins import MarginsFromFirstBatch

        return MarginsFromFirstBatch(network, self, setting)

    def loss_with_ood(
        self, outputs_id: Tensor, labels: Tensor, outputs_ood: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Return the loss of logits of ID images, shape (n, C), and of seen OOD images, shape (m, C); a scalar."""
        from torch.nn.functional import cross_entropy

        too_high = (energy(outputs_id) - self.m_in).clamp(min=0)
        too_low = (self.m_out - energy(outputs_ood)).clamp(min=0)
        bounds = too_high.square().mean() + too_low.square().mean()
        return cross_entropy(outputs_id, labels) + self.weight * bounds

    def embed(self, outputs: Tensor) -> Tensor:
        """Return class probabilities."""
        return outputs.softmax(dim=1)


def energy(logits: Tensor) -> Tensor:
    """Return the free energy −log Σ_k exp f_k, shape (n,), of logits, shape (n, C)."""
    return -logits.logsumexp(dim=1)


@dataclass(frozen=True, kw_only=True)
class EnergyFinetune(Energy):
    """Energy-bounded learning: the cross-entropy classifier, fine-tuned with seen OOD images; the score is its energy.

    Score: −E(f) = T·log Σ_k exp(f_k / T).
    Source: Liu et al., NeurIPS 2020, Eq. 7 and 8, margins of Section 4.1 for CIFAR-10 with a softmax classifier; survey
    (Salehi et al.) §6.15, Eq. 89. The paper fine-tunes for 10 epochs with SGD; here as long and with what the recipe
    says.

    Attributes:
        m_in, m_out, margins, weight, ood_ratio: of the objective, see `EnergyBounded`.
        temperature: T of the score; the objective has T = 1.
        seen: which of the benchmark's seen OOD images are the outliers; None for the benchmark's first.
    """

    title: ClassVar[str] = "Energy, fine-tuned with outliers"
    source: ClassVar[str] = "Liu et al., NeurIPS 2020, Eq. 7-8"
    sees: ClassVar[frozenset[Sees]] = frozenset({"seen_ood"})

    m_in: float = -23.0
    m_out: float = -5.0
    margins: Literal["given", "data"] = "given"
    weight: float = 0.1
    ood_ratio: float = 2.0
    seen: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        # The objective checks the values it is given: a wrong one is refused here, not in the middle of a run.
        _ = self.networks

    @property
    def networks(self) -> tuple[Objective, ...]:
        """The fine-tuned classifier."""
        return (
            EnergyBounded(
                m_in=self.m_in, m_out=self.m_out, margins=self.margins, weight=self.weight, ood_ratio=self.ood_ratio
            ),
        )
