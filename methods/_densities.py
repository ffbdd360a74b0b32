"""What objectives that maximise a likelihood have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from oodbench.errors import ConfigError
from oodbench.objectives import LossObjective

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from oodbench.training.learner import Learner, Setting


class LikelihoodObjective(LossObjective):
    """Base of objectives that maximise the `log_likelihood` their network gives of each image."""

    name: ClassVar[str]
    unlabelled: ClassVar[bool] = True

    def loss(self, outputs: Mapping[str, Tensor], labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return minus the mean log-likelihood, in bits per dimension; a scalar."""
        return -outputs["log_likelihood"].mean()

    def learner(self, network: nn.Module, setting: Setting) -> Learner:
        """Return a learner that shortens long gradients, and stops at the first step that is no longer finite."""
        from ._density_learner import DensityLearner

        def loss(images: Tensor, labels: Tensor) -> Tensor:
            return self.loss(network(images), labels, setting.random)

        return DensityLearner(network, self.name, loss, setting)


def check_noised(noised: float) -> None:
    """Refuse a share of noised pixels that is none.

    Raises:
        ConfigError: it is not in [0, 1).
    """
    if not 0 <= noised < 1:
        raise ConfigError(f"noised must be at least 0 and below 1, got {noised}")
