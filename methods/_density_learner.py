"""How densities are trained without going astray."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from oodbench.errors import TrainingError
from oodbench.training.learner import Learner, Setting

LARGEST_GRADIENT = 10.0
"""Gradients of a larger norm are shortened to it: densities are steep where their scales are small."""


class DensityLearner(Learner):
    """One network that goes down the gradient of one loss, in steps that are not too long.

    Args:
        network: in training mode, on the device of the training.
        name: of the objective, for errors.
        loss: of images and labels; a scalar, minus a likelihood.
        setting: of the training.
    """

    def __init__(
        self, network: nn.Module, name: str, loss: Callable[[Tensor, Tensor], Tensor], setting: Setting
    ) -> None:
        self._network, self._name, self._loss, self._setting = network, name, loss, setting
        self._optimizer, self._schedule = setting.optimizer(network)

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Do one step of the optimizer.

        Raises:
            TrainingError: the loss is no longer finite.
        """
        with self._setting.autocast():
            loss = self._loss(images, labels)
        if not math.isfinite(loss.item()):
            rate = self._setting.config.learning_rate / 10
            raise TrainingError(
                f"the likelihood of {self._name} became {-loss.item()} in step {self._schedule.last_epoch + 1}; "
                f"lower the learning rate: --set recipe.learning_rate={rate:g}"
            )
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), LARGEST_GRADIENT)
        self._optimizer.step()
        self._schedule.step()
        return loss.detach()

    def parts(self) -> Mapping[str, Any]:
        """Return network, optimizer and schedule."""
        return {"network": self._network, "optimizer": self._optimizer, "schedule": self._schedule}
