"""The network of Deep SVDD, and how its centre is found and its sphere learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ._look_first import LookFirstLearner

if TYPE_CHECKING:
    from oodbench.training.learner import Setting

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

    def count(self, images: Tensor) -> Tensor:
        """Move the centre to the mean code of all images counted so far; return the mean distance to it, a scalar."""
        codes: Tensor = self.encoder(images).float()
        self.counted += len(codes)
        self.centre += (codes - self.centre).sum(dim=0) / self.counted
        return (codes - self.centre).square().sum(dim=1).mean()

    def fix_centre(self) -> None:
        """Move coordinates of the centre away from 0."""
        away = torch.where(self.centre < 0, -FARTHEST_FROM_ZERO, FARTHEST_FROM_ZERO)
        self.centre.copy_(torch.where(self.centre.abs() < FARTHEST_FROM_ZERO, away, self.centre))


class SphereLearner(LookFirstLearner):
    """Counts codes first, and then draws them together.

    Args:
        network: a `Hypersphere`, in training mode, on the device of the training.
        objective: gives the loss, the penalty and ν.
        setting: of the training.
    """

    def __init__(self, network: nn.Module, objective: Sphere, setting: Setting) -> None:
        assert isinstance(network, Hypersphere)  # what the objective builds
        super().__init__(network, setting, weight_decay=objective.weight_decay)
        self._sphere, self._objective = network, objective
        self._warming_up = min(WARM_UP_EPOCHS * setting.steps_per_epoch, setting.steps // 5)

    def look(self, images: Tensor, labels: Tensor) -> Tensor:
        """Count the batch for the centre."""
        return self._sphere.count(images)

    def find(self) -> None:
        """Fix the centre."""
        self._sphere.fix_centre()

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the objective's loss, and keep the radius of a soft boundary up to date."""
        with self._setting.autocast():
            outputs = self._sphere(images)
        loss = self._objective.loss(outputs, labels, self._setting.random)
        if self._objective.boundary == "soft" and self.learnt > self._warming_up:
            # The loss holds the radius as it was before.
            self._sphere.squared_radius = outputs["distance"].detach().quantile(1 - self._objective.nu)
        return loss
