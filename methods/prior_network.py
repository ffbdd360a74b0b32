"""Dirichlet prior network: a network that says how sure it is of its class probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from oodbench.api import Need, NetworkBuilder, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CheckedByObjectives, SeenOodObjective
from oodbench.posthoc import LogitMethod

from .outlier_exposure import check_ratio, check_weight

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

LARGEST_LOGIT = 60.0
"""Logits are cut to ± this in scores: their exponentials and those of their sums still are finite numbers."""


@dataclass(frozen=True, kw_only=True)
class DirichletPrior(SeenOodObjective):
    """Logits are logarithms of the concentrations α of a Dirichlet distribution over class probabilities.

    It is brought near a sharp one on ID images, with mean 1 − (C − 1)·s for the true class and s for the others and
    concentration α_0 in all, and near the flat one, α = 1, on seen OOD images.
    L = 1/α_0 · (mean KL on ID images + λ · mean KL on OOD images).
    Source: Malinin & Gales, NeurIPS 2018, Eq. 12 to 15; survey (Salehi et al.) §6.4. The factor 1/α_0, which keeps
    the size of the loss apart from that of the target, is of the public code.

    Attributes:
        concentration: α_0.
        smoothing: s.
        divergence: "forward" is KL(target ‖ network), as in the paper; "reverse" is KL(network ‖ target), which
            Malinin & Gales, NeurIPS 2019, find better where classes overlap.
        weight: λ.
        ood_ratio: seen OOD images for each ID image of a batch.
    """

    name: ClassVar[str] = "prior_network"
    needs: ClassVar[frozenset[Need]] = frozenset({"classes", "seen_ood"})

    concentration: float = 100.0
    smoothing: float = 0.01
    divergence: Literal["forward", "reverse"] = "forward"
    weight: float = 1.0
    ood_ratio: float = 1.0

    def __post_init__(self) -> None:
        if not self.concentration > 0:
            raise ConfigError(f"concentration must be positive, got {self.concentration}")
        if not 0 < self.smoothing < 1:
            raise ConfigError(f"smoothing must be above 0 and below 1, got {self.smoothing}")
        check_weight(self.weight)
        check_ratio(self.ood_ratio)

    def build(
        self, backbone: NetworkBuilder, shape: tuple[int, int, int], n_classes: int, embedding_dim: int
    ) -> nn.Module:
        """Return a network with one output a class.

        Raises:
            ConfigError: there are so many classes that `smoothing` leaves the true one no more than the others.
        """
        if self.smoothing * n_classes >= 1:
            raise ConfigError(
                f"prior_network.smoothing={self.smoothing:g} gives the true class of {n_classes} no more than the "
                f"others; give one below {1 / n_classes:g}"
            )
        return backbone(shape, n_classes)

    def target(self, labels: Tensor, n_classes: int) -> Tensor:
        """Return the concentrations that ID images are to have, float64, shape (n, C), for labels, shape (n,)."""
        import torch

        means = torch.full((len(labels), n_classes), self.smoothing, dtype=torch.float64, device=labels.device)
        return means.scatter(1, labels[:, None], 1 - (n_classes - 1) * self.smoothing) * self.concentration

    def loss_with_ood(
        self, outputs_id: Tensor, labels: Tensor, outputs_ood: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Return the loss of logits of ID images, shape (n, C), and of seen OOD images, shape (m, C); a scalar."""
        import torch

        # float64: differences of log Γ at 100 leave float32 few digits.
        alpha_id, alpha_ood = outputs_id.double().exp(), outputs_ood.double().exp()
        loss_id = self._divergence(self.target(labels, alpha_id.shape[1]), alpha_id)
        loss_ood = self._divergence(torch.ones_like(alpha_ood), alpha_ood)
        return ((loss_id + self.weight * loss_ood) / self.concentration).float()

    def _divergence(self, target: Tensor, alpha: Tensor) -> Tensor:
        from . import _dirichlet

        pair = (target, alpha) if self.divergence == "forward" else (alpha, target)
        return _dirichlet.divergence(*pair).mean()

    def embed(self, outputs: Tensor) -> Tensor:
        """Return mean class probabilities."""
        return outputs.softmax(dim=1)


@dataclass(frozen=True, kw_only=True)
class PriorNetwork(CheckedByObjectives, LogitMethod):
    """Dirichlet prior network.

    Score, with α = exp(f): minus the mutual information of class and class probabilities, which is distributional
    uncertainty; or the largest mean probability; or minus the differential entropy.
    Source: Malinin & Gales, NeurIPS 2018, Eq. 12 to 19; survey (Salehi et al.) §6.4, Eq. 66. The paper's outliers are
    made, or of another data set; here they are the benchmark's seen OOD images, as many as ID images.

    Attributes:
        score: "mutual_information", "max_p" or "differential_entropy".
        concentration, smoothing, divergence, weight, ood_ratio: of the objective, see `DirichletPrior`.
        seen: which of the benchmark's seen OOD images are the outliers; None for the benchmark's first.
    """

    title: ClassVar[str] = "Dirichlet prior network"
    source: ClassVar[str] = "Malinin & Gales, NeurIPS 2018, Eq. 12-19"
    sees: ClassVar[frozenset[Sees]] = frozenset({"seen_ood"})

    score: Literal["mutual_information", "max_p", "differential_entropy"] = "mutual_information"
    concentration: float = 100.0
    smoothing: float = 0.01
    divergence: Literal["forward", "reverse"] = "forward"
    weight: float = 1.0
    ood_ratio: float = 1.0
    seen: str | None = None

    @property
    def networks(self) -> tuple[Objective, ...]:
        """The network whose logits are log-concentrations."""
        return (
            DirichletPrior(
                concentration=self.concentration,
                smoothing=self.smoothing,
                divergence=self.divergence,
                weight=self.weight,
                ood_ratio=self.ood_ratio,
            ),
        )

    def score_logits(self, logits: Tensor) -> Tensor:
        """Return one score an image, float64 of shape (n,), from logits, shape (n, n_classes)."""
        from . import _dirichlet

        alpha = logits.double().clamp(-LARGEST_LOGIT, LARGEST_LOGIT).exp()
        if self.score == "max_p":
            return _dirichlet.max_p(alpha)
        uncertainty = _dirichlet.mutual_information if self.score == "mutual_information" else None
        return -(uncertainty or _dirichlet.differential_entropy)(alpha)
