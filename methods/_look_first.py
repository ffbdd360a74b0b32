"""A learner that looks at the training images for a while before it learns from them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from oodbench.training.learner import Learner, Setting


class LookFirstLearner(Learner):
    """Shows a network the images of the first epoch, or of the first tenth of the steps where that is shorter.

    Nothing is learnt from them, and the network is in evaluation mode: what is found (a centre, clusters) is found
    from the network as it was at the start. The other steps have a whole schedule of their own.

    Args:
        network: in training mode, on the device of the training.
        setting: of the training.
        options: of the optimizer; they go before the configuration.
    """

    def __init__(self, network: nn.Module, setting: Setting, **options: Any) -> None:
        self._network, self._setting = network, setting
        self._looking = min(setting.steps_per_epoch, max(1, setting.steps // 10))
        self._optimizer, self._schedule = replace(setting, steps=max(1, setting.steps - self._looking)).optimizer(
            network, **options
        )
        self._done = 0

    @abstractmethod
    def look(self, images: Tensor, labels: Tensor) -> Tensor:
        """Look at a batch, with the network in evaluation mode and without gradients; return a loss to report."""

    @abstractmethod
    def find(self) -> None:
        """Find what was looked for."""

    @abstractmethod
    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of a batch to learn from; a scalar."""

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Look at a batch, or do one step of the optimizer."""
        self._done += 1
        if self._done <= self._looking:
            self._network.eval()
            with torch.no_grad():
                seen = self.look(images, labels)
                if self._done == self._looking:
                    self.find()
            self._network.train()
            return seen
        loss = self.loss(images, labels)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._schedule.step()
        return loss.detach()

    @property
    def learnt(self) -> int:
        """How many steps the optimizer has done."""
        return max(0, self._done - self._looking)

    def parts(self) -> Mapping[str, Any]:
        """Return network, optimizer and schedule."""
        return {"network": self._network, "optimizer": self._optimizer, "schedule": self._schedule}

    def state_dict(self) -> dict[str, Any]:
        """Return the state of all parts and the number of steps done."""
        return {**super().state_dict(), "done": self._done}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the state of all parts."""
        super().load_state_dict(state)
        self._done = state["done"]
