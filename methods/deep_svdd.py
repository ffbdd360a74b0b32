"""Deep support vector data description: an encoder that maps the training images into a small sphere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from oodbench.api import FitInputs, NetworkBuilder, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CheckedByObjectives, LossObjective

from ._named_scores import NamedScore
from .autoencoder import Reconstruction, check_sizes

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from oodbench.training.learner import Learner, Setting


@dataclass(frozen=True, kw_only=True)
class Sphere(LossObjective):
    """Squared distances of codes to a centre, all of them or those outside a sphere; labels are not read.

    It starts from an auto-encoder without biases. The centre is the mean code of the images of the first epoch, or of
    the first tenth of the steps where that is shorter, in which nothing is learnt.
    Source: Ruff et al., ICML 2018, Eq. 3 (soft boundary) and 4 (one class); start and centre as the public code has
    them.

    Attributes:
        boundary: "one-class" draws all codes to the centre; "soft" only those outside a sphere that a share ν of the
            images may be outside of: R² + 1/ν · mean of max(0, d² − R²), with R² the (1 − ν) quantile of the last
            batch's d², after 10 epochs, or a fifth of the steps where that is shorter, with R = 0.
        nu: ν.
        code_dim, width: of the auto-encoder, see `Reconstruction`.
        weight_decay: λ, the L2 penalty on the weights; it takes the place of the recipe's.
    """

    name: ClassVar[str] = "deep_svdd"
    uses_seen_ood: ClassVar[bool] = False
    unlabelled: ClassVar[bool] = True

    boundary: Literal["one-class", "soft"] = "one-class"
    nu: float = 0.1
    code_dim: int | None = None
    width: int = 32
    weight_decay: float = 1e-6

    def __post_init__(self) -> None:
        check_sizes(code_dim=self.code_dim, width=self.width)
        if not 0 < self.nu <= 1:
            raise ConfigError(f"nu must be above 0 and at most 1, got {self.nu}")
        if not self.weight_decay >= 0:
            raise ConfigError(f"weight_decay must be at least 0, got {self.weight_decay}")

    @property
    def starts_from(self) -> Objective:
        """The auto-encoder whose encoder is taken over."""
        return Reconstruction(code_dim=self.code_dim, width=self.width, bias=False)

    def build(
        self, backbone: NetworkBuilder, shape: tuple[int, int, int], n_classes: int, embedding_dim: int
    ) -> nn.Module:
        """Return an encoder without biases, with a centre; the backbone has no part in it."""
        from oodbench.networks.autoencoder import Encoder, code_size

        from ._sphere import Hypersphere

        code_dim = self.code_dim or code_size(shape)
        return Hypersphere(Encoder(shape, code_dim, self.width, bias=False), code_dim)

    def begin(self, network: nn.Module, start: nn.Module) -> None:
        """Take over the encoder of the auto-encoder."""
        network.encoder.load_state_dict(start.encoder.state_dict())  # type: ignore[union-attr]

    def loss(self, outputs: Mapping[str, Tensor], labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return the objective of a batch, from `distance` and, with a soft boundary, `squared_radius`; a scalar."""
        distance = outputs["distance"]
        if self.boundary == "one-class":
            return distance.mean()
        squared_radius = outputs["squared_radius"]
        outside = (distance - squared_radius).clamp(min=0)
        return squared_radius + outside.mean() / self.nu

    def learner(self, network: nn.Module, setting: Setting) -> Learner:
        """Return a learner that finds the centre first."""
        from ._sphere import SphereLearner

        return SphereLearner(network, self, setting)


@dataclass(frozen=True, kw_only=True)
class DeepSVDD(CheckedByObjectives):
    """Distance to the centre of the sphere that the training images are mapped into.

    Score: −‖φ(x) − c‖², at most 0, with φ an encoder without bias terms. The soft boundary's R² is the same for all
    images, and left out. No class labels are needed.
    Source: Ruff et al., ICML 2018, Eq. 3 to 5; survey (Salehi et al.) §4.9, Eq. 21.

    Attributes:
        boundary, nu, code_dim, width, weight_decay: of the objective, see `Sphere`.
    """

    title: ClassVar[str] = "Deep SVDD"
    source: ClassVar[str] = "Ruff et al., ICML 2018, Eq. 3–5"
    sees: ClassVar[frozenset[Sees]] = frozenset()
    quick: ClassVar[Mapping[str, Any]] = {"width": 8}

    boundary: Literal["one-class", "soft"] = "one-class"
    nu: float = 0.1
    code_dim: int | None = None
    width: int = 32
    weight_decay: float = 1e-6

    @property
    def networks(self) -> tuple[Objective, ...]:
        """One encoder, which starts from an auto-encoder's."""
        objective = Sphere(
            boundary=self.boundary,
            nu=self.nu,
            code_dim=self.code_dim,
            width=self.width,
            weight_decay=self.weight_decay,
        )
        return (objective,)

    def fit(self, inputs: FitInputs) -> NamedScore:
        """Return a detector at once: there is nothing to fit."""
        return NamedScore(output="distance", higher_is_id=False)
