"""The network of Deep SVDD, and how its centre is found and its sphere learnt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from oodbench.training.learner import Learner, Setting

if TYPE_CHECKING:
    from .deep_svdd import Sphere

FARTHEST_FROM_ZERO = 0.1
"""Coordinates of the centre that are nearer to 0 are moved to ± this: 0 is easily met by zero weights."""
WARM_UP_EPOCHS = 10
"""Epochs with R = 0 before a soft boundary, as in the public code."""


class Hypersphere(nn.Module):
    """An encoder and the centre of what it gives for training images.

    Args:
        encoder: images to codes, shape (n, code_dim).
        code_dim: size of the code.
    """

    centre: Tensor
    squared_radius: Tensor
    counted: Tensor

    def __init__(self, encoder: nn.Module, code_dim: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("centre", torch.zeros(code_dim))
        self.register_buffer("squared_radius", torch.zeros(()))
        self.register_buffer("counted", torch.zeros((), dtype=torch.int64))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return `distance`, squared and shape (n,), `code`, shape (n, code_dim), and `squared_radius`, a scalar."""
        code = self.encoder(images).float()
        distance = (code - self.centre).square().sum(dim=1)
        return {"distance": distance, "code": code, "squared_radius": self.squared_radius}

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Return `distance` and `code`: what is kept of each image."""
        made = self(images)
        return {"distance": made["distance"], "code": made["code"]}

    @torch.no_grad()
    def count(self, images: Tensor) -> Tensor:
        """Move the centre to the mean code of all images counted so far; return the mean distance to it, a scalar."""
        codes: Tensor = self.encoder(images).float()
        self.counted += len(codes)
        self.centre += (codes - self.centre).sum(dim=0) / self.counted
        return (codes - self.centre).square().sum(dim=1).mean()

    @torch.no_grad()
    def fix_centre(self) -> None:
        """Move coordinates of the centre away from 0."""
        away = torch.where(self.centre < 0, -FARTHEST_FROM_ZERO, FARTHEST_FROM_ZERO)
        self.centre.copy_(torch.where(self.centre.abs() < FARTHEST_FROM_ZERO, away, self.centre))


class SphereLearner(Learner):
    """Counts codes first, and then draws them together.

    Args:
        network: a `Hypersphere`, in training mode, on the device of the training.
        objective: gives the loss, the penalty and ν.
        setting: of the training.
    """

    def __init__(self, network: nn.Module, objective: Sphere, setting: Setting) -> None:
        assert isinstance(network, Hypersphere)  # what the objective builds
        self._network, self._objective, self._setting = network, objective, setting
        self._counting = min(setting.steps_per_epoch, max(1, setting.steps // 10), setting.steps - 1)
        self._warming_up = min(WARM_UP_EPOCHS * setting.steps_per_epoch, setting.steps // 5)
        self._optimizer, self._schedule = replace(setting, steps=setting.steps - self._counting).adam(
            network, weight_decay=objective.weight_decay
        )
        self._done = 0

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Count the batch for the centre, or do one step of the optimizer."""
        self._done += 1
        if self._done <= self._counting:
            # As it will be used: the start's running means hold for these images.
            self._network.eval()
            loss = self._network.count(images)
            self._network.train()
            if self._done == self._counting:
                self._network.fix_centre()
            return loss
        with self._setting.autocast():
            outputs = self._network(images)
        loss = self._objective.loss(outputs, labels, self._setting.random)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._schedule.step()
        if self._objective.boundary == "soft" and self._done > self._counting + self._warming_up:
            quantile = outputs["distance"].detach().quantile(1 - self._objective.nu)
            self._network.squared_radius.copy_(quantile)
        return loss.detach()

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
