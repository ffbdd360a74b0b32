"""A base for learners of one network whose loss needs the images themselves: to turn, to change, to draw others."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from oodbench.training.learner import Learner, Setting, descend, in_float32


class OwnLossLearner(Learner):
    """One network that goes down the gradient of a loss of images and labels; a subclass says which.

    Args:
        network: in training mode, on the device of the training.
        setting: of the training.
    """

    def __init__(self, network: nn.Module, setting: Setting) -> None:
        self._network, self._setting = network, setting
        self._optimizer, self._schedule = setting.optimizer(network)

    @abstractmethod
    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of a batch, a scalar.

        Args:
            images: float32 in [0, 1], shape (n, channels, height, width).
            labels: int64, shape (n,).
        """

    def outputs(self, images: Tensor) -> Any:
        """Return what the network gives for images, a tensor or a mapping of tensors, in float32."""
        with self._setting.autocast():
            outputs = self._network(images)
        return in_float32(outputs)

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Do one step on the loss of a batch."""
        loss = self.loss(images, labels)
        descend(loss, self._optimizer)
        self._schedule.step()
        return loss.detach()

    def parts(self) -> Mapping[str, Any]:
        """Return network, optimizer and schedule."""
        return {"network": self._network, "optimizer": self._optimizer, "schedule": self._schedule}
