"""Virtual-logit matching: the part of the features that training images do not use, as one more logit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from oodbench.api import FitInputs
from oodbench.errors import ConfigError
from oodbench.posthoc import PostHocDetector, PostHocMethod

if TYPE_CHECKING:
    from torch import Tensor

    from oodbench.batch import Batch

    from ._residual_space import ResidualSpace


@dataclass(frozen=True, kw_only=True)
class ViM(PostHocMethod):
    """Virtual-logit matching: logits and the residual of the features in one score.

    Score: log Σ_k exp(f_k) − α·‖R(z − o)‖, where the logits are f = Wz + b, the origin o = −W⁺b is where they vanish,
    R projects on the complement of the D principal directions of the training features seen from o, and
    α = mean max_k f_k / mean ‖R(z − o)‖ over the training images brings the two to one scale.
    Source: Wang et al., CVPR 2022, Eq. 4-7.

    The paper states the softmax probability of the virtual logit α·‖R(z − o)‖ among the real ones, which is
    1 / (1 + exp(score)) and so ranks images the same without saturating.

    Attributes:
        dimension: D, or "auto" for what the public code takes: 1000 of 2048 or more features, else 512. That code is
            for at least 768 features; here fewer have half of them as principal directions.
    """

    title: ClassVar[str] = "Virtual-logit matching (ViM)"
    source: ClassVar[str] = "Wang et al., CVPR 2022, Eq. 4-7"
    # That of OpenOOD v1.5.
    grid: ClassVar[Mapping[str, tuple[object, ...]]] = {"dimension": (256, 1000)}

    dimension: Literal["auto"] | int = "auto"

    def __post_init__(self) -> None:
        if self.dimension != "auto" and self.dimension < 1:
            raise ConfigError(f"dimension must be 'auto' or at least 1, got {self.dimension}")

    def fit(self, inputs: FitInputs) -> ViMDetector:
        """Return a detector with the origin, the residual space and α.

        Raises:
            ConfigError: the training features have no residual, or the head is not affine.
        """
        import torch

        from ._moments import parts_of
        from ._residual_space import ResidualSpace

        train = inputs.train
        space = ResidualSpace.of(inputs.network, train, self.dimension, "vim")
        tops = torch.stack([part.logits.double().amax(dim=1).sum() for part in parts_of(train)])
        return ViMDetector(space=space, alpha=tops.sum().item() / len(train) / space.mean_norm)


@dataclass(frozen=True, kw_only=True, eq=False)
class ViMDetector(PostHocDetector):
    """Energy less the virtual logit.

    Attributes:
        space: the residual space with its origin.
        alpha: α, logit units in a unit of residual norm.
    """

    space: ResidualSpace
    alpha: float

    def score(self, batch: Batch) -> Tensor:
        """Return minus the free energy, less the virtual logit, float64 of shape (n,)."""
        return batch.logits.double().logsumexp(dim=1) - self.alpha * self.space.norms(batch.features)
