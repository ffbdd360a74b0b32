"""Hierarchies of distributions: a flow on ID images against the flow on general images that it starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from oodbench.api import FitInputs, Need, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CheckedByObjectives

from ._densities import LikelihoodObjective
from .autoencoder import check_sizes
from .flow import FlowLikelihood

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from oodbench.api import NetworkBuilder
    from oodbench.batch import Batch
    from oodbench.training.learner import Learner, Setting


@dataclass(frozen=True, kw_only=True)
class GeneralFlow(FlowLikelihood):
    """The likelihood of images in general under a flow: seen OOD images stand for them, and some are ID images.

    Attributes:
        id_share: share of the images of a batch that are ID images; the paper's general images, 80 Million Tiny Images,
            hold those of CIFAR-10.
    """

    name: ClassVar[str] = "flow_general"
    uses_seen_ood: ClassVar[bool] = True
    needs: ClassVar[frozenset[Need]] = frozenset({"seen_ood"})

    id_share: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.id_share < 1:
            raise ConfigError(f"id_share must be at least 0 and below 1, got {self.id_share}")

    def learner(self, network: nn.Module, setting: Setting) -> Learner:
        """Return a learner that draws seen OOD images in the place of some or all images of each batch."""
        import torch

        from ._density_learner import DensityLearner

        def loss(images: Tensor, labels: Tensor) -> Tensor:
            n_id = int(len(images) * self.id_share)
            general = torch.cat([images[:n_id], setting.draw_seen(len(images) - n_id)])
            return self.loss(network(general), labels, setting.random)

        return DensityLearner(network, self.name, loss, setting)


@dataclass(frozen=True, kw_only=True)
class SpecialFlow(LikelihoodObjective):
    """The likelihood of ID images under a flow that starts from a general one, and an outlier loss on seen OOD images.

    Loss: −log₂ p_in(x) − λ · log σ((log₂ p_g(x') − log₂ p_in(x')) / T) with ID images x and as many seen OOD images x',
    all likelihoods in bits per dimension; the general flow p_g stays as it is. Labels are not read.
    Source: Schirrmeister et al., NeurIPS 2020, Section 4.2; survey (Salehi et al.) §6.17, Eq. 93.

    Attributes:
        width, couplings, draws: of both flows, see `FlowLikelihood`.
        id_share: of the general one, see `GeneralFlow`.
        outlier_weight: λ; the public code's 6000 for nats of a 32×32 colour image. 0 leaves the outlier loss out.
        temperature: T, in bits per dimension; the public code's 1000 nats of such an image.
    """

    name: ClassVar[str] = "flow_hierarchies"
    uses_seen_ood: ClassVar[bool] = True
    needs: ClassVar[frozenset[Need]] = frozenset({"seen_ood"})

    width: int = 32
    couplings: int = 3
    draws: int = 1
    id_share: float = 0.5
    outlier_weight: float = 2.8
    temperature: float = 0.47

    def __post_init__(self) -> None:
        check_sizes(width=self.width, couplings=self.couplings, draws=self.draws)
        if not self.outlier_weight >= 0:
            raise ConfigError(f"outlier_weight must be at least 0, got {self.outlier_weight}")
        if not self.temperature > 0:
            raise ConfigError(f"temperature must be positive, got {self.temperature}")
        # The general flow checks its share.
        _ = self.starts_from

    @property
    def starts_from(self) -> Objective:
        """The flow on general images."""
        return GeneralFlow(width=self.width, couplings=self.couplings, draws=self.draws, id_share=self.id_share)

    def build(
        self, backbone: NetworkBuilder, shape: tuple[int, int, int], n_classes: int, embedding_dim: int
    ) -> nn.Module:
        """Return two flows of one shape; the backbone has no part in them."""
        from oodbench.networks.flow import Flow

        from ._flow_pair import FlowPair

        flows = (Flow(shape, self.width, self.couplings, draws=self.draws) for _ in range(2))
        return FlowPair(*flows)

    def begin(self, network: nn.Module, start: nn.Module) -> None:
        """Let both flows be the general one: one goes on learning, the other stays."""
        for part in ("flow", "general"):
            getattr(network, part).load_state_dict(start.state_dict())

    def learner(self, network: nn.Module, setting: Setting) -> Learner:
        """Return a learner that shows the flows ID and seen OOD images in one pass."""
        import torch

        from ._density_learner import DensityLearner

        def loss(images: Tensor, labels: Tensor) -> Tensor:
            if self.outlier_weight == 0:
                return self.loss(network(images), labels, setting.random)
            both = torch.cat([images, setting.draw_seen(len(images))])
            return self.loss(network(both), torch.cat([labels, labels.new_full((len(images),), -1)]), setting.random)

        return DensityLearner(network, self.name, loss, setting)

    def loss(self, outputs: Mapping[str, Tensor], labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return the loss of ID images and of seen OOD images, whose label is −1; a scalar."""
        from torch.nn.functional import logsigmoid

        special, is_ood = outputs["log_likelihood"], labels < 0
        loss = -special[~is_ood].mean()
        if self.outlier_weight == 0:
            return loss
        gap = outputs["log_likelihood_general"] - special
        return loss - self.outlier_weight * logsigmoid(gap[is_ood] / self.temperature).mean()


@dataclass(frozen=True, kw_only=True)
class FlowHierarchies(CheckedByObjectives):
    """Likelihood of an image under a flow of ID images, over that under a flow of images in general.

    Score: log₂ p_in(x) − log₂ p_g(x), in bits per dimension (dequantised, see `flow`; both with the same noise). What
    all images have in common, such as smooth patches, cancels.
    Source: Schirrmeister et al., NeurIPS 2020, Section 4; survey (Salehi et al.) §6.17, Eq. 93. The paper's general
    images are 80 Million Tiny Images; here they are the benchmark's seen OOD images with ID images among them, and
    Glow is a RealNVP. Seen OOD images alone (`id_share=0`) make the ratio high for what is unlike them as well.

    Attributes:
        width, couplings, draws, id_share, outlier_weight, temperature: of the objective, see `SpecialFlow`.
        seen: which of the benchmark's seen OOD images are the general ones; None for the benchmark's first.
    """

    title: ClassVar[str] = "Hierarchies of flows"
    source: ClassVar[str] = "Schirrmeister et al., NeurIPS 2020, Sec. 4"
    sees: ClassVar[frozenset[Sees]] = frozenset({"seen_ood"})
    quick: ClassVar[Mapping[str, Any]] = {"width": 8, "couplings": 2}

    width: int = 32
    couplings: int = 3
    draws: int = 1
    id_share: float = 0.5
    outlier_weight: float = 2.8
    temperature: float = 0.47
    seen: str | None = None

    @property
    def networks(self) -> tuple[Objective, ...]:
        """One pair of flows, which starts from the general one."""
        objective = SpecialFlow(
            width=self.width,
            couplings=self.couplings,
            draws=self.draws,
            id_share=self.id_share,
            outlier_weight=self.outlier_weight,
            temperature=self.temperature,
        )
        return (objective,)

    def fit(self, inputs: FitInputs) -> HierarchyDetector:
        """Return a detector at once: there is nothing to fit."""
        return HierarchyDetector()


@dataclass(frozen=True, kw_only=True)
class HierarchyDetector:
    """The difference of what the two flows say."""

    def score(self, batch: Batch) -> Tensor:
        """Return the log of the ratio in bits per dimension, float64 of shape (n,); higher = more in-distribution."""
        return batch.output("log_likelihood").double() - batch.output("log_likelihood_general").double()

    def classify(self, batch: Batch) -> None:
        """Return None: there are no classes."""
