"""One step of training: the part of the loop that an objective may replace."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from oodbench.batch import to_unit_interval

from .config import TrainConfig

if TYPE_CHECKING:
    from oodbench.objectives import LossObjective, SeenOodObjective


def to_network_input(pixels: Tensor) -> Tensor:
    """Return uint8 pixels as float32 in [0, 1], in the memory order that convolutions are fast in."""
    return to_unit_interval(pixels).contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a learner may know of the training that it is part of.

    Attributes:
        config: how long and how fast.
        shape: channels, height and width of the images.
        n_classes: number of ID classes.
        steps: how many batches there will be.
        steps_per_epoch: batches in an epoch.
        seen: unlabelled seen OOD images, uint8, shape (m, channels, height, width), on the device; or None.
        random: the only source of randomness to use, on the device of the training.
    """

    config: TrainConfig
    shape: tuple[int, int, int]
    n_classes: int
    steps: int
    steps_per_epoch: int
    seen: Tensor | None
    random: torch.Generator

    @property
    def device(self) -> torch.device:
        """Where the training computes."""
        return self.random.device

    def draw_seen(self, count: int) -> Tensor:
        """Return seen OOD images drawn with replacement, float32 in [0, 1], shape (count, channels, height, width)."""
        assert self.seen is not None  # the plan gives no benchmark without seen images to an objective that uses them
        chosen = torch.randint(len(self.seen), (count,), generator=self.random, device=self.device)
        return to_network_input(self.seen[chosen])

    def autocast(self) -> torch.autocast:
        """Return the context of the forward passes: bfloat16 where the configuration says so."""
        precision = self.config.precision
        enabled = precision == "bfloat16" or (precision == "auto" and self.device.type == "cuda")
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def adam(
        self, network: nn.Module, **options: Any
    ) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        """Return Adam for a network with learning rate, penalty and schedule of the configuration.

        Args:
            network: to train.
            options: Adam's own; they go before the configuration.
        """
        config = self.config
        settings = {"lr": config.learning_rate, "weight_decay": config.weight_decay, **options}
        optimizer = torch.optim.Adam(network.parameters(), **settings)
        return optimizer, self._schedule(optimizer)

    def _schedule(self, optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
        config, schedules = self.config, torch.optim.lr_scheduler
        if config.schedule == "one-cycle":
            return schedules.OneCycleLR(optimizer, config.learning_rate, total_steps=self.steps, cycle_momentum=False)
        if config.schedule == "steps":
            milestones = [epoch * self.steps_per_epoch for epoch in config.milestones]
            return schedules.MultiStepLR(optimizer, milestones, config.gamma)
        return schedules.ConstantLR(optimizer, factor=1.0)


class Learner(ABC):
    """Networks, optimizers and schedules that are trained together."""

    @abstractmethod
    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Learn from one batch.

        Args:
            images: float32 in [0, 1], shape (n, channels, height, width).
            labels: int64, shape (n,).

        Returns:
            The loss to report, a detached scalar.
        """

    @abstractmethod
    def parts(self) -> Mapping[str, Any]:
        """Return everything with a `state_dict`, by name: what a checkpoint must hold."""

    def picture(self) -> Tensor | None:
        """Return images in [0, 1] that show how the training goes, shape (n, channels, height, width), or None."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """Return the state of all parts."""
        return {name: part.state_dict() for name, part in self.parts().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the state of all parts."""
        for name, part in self.parts().items():
            part.load_state_dict(state[name])


class LossLearner(Learner):
    """One network that goes down the gradient of one loss; seen OOD images take the place of a batch's last ones.

    Args:
        network: in training mode, on the device of the training.
        objective: gives the loss.
        setting: of the training.
    """

    def __init__(self, network: nn.Module, objective: LossObjective, setting: Setting) -> None:
        self._network, self._objective, self._setting = network, objective, setting
        self._forward = torch.compile(network) if setting.config.compile else network
        self._optimizer, self._schedule = setting.adam(network)

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Do one step of Adam on the loss of a batch."""
        # The schedule counts the steps, and its count is part of a checkpoint.
        if n_ood := self._objective.n_ood_images(len(images), self._schedule.last_epoch):
            images = torch.cat([images[:-n_ood], self._setting.draw_seen(n_ood)])
            labels = torch.cat([labels[:-n_ood], labels.new_full((n_ood,), -1)])
        with self._setting.autocast():
            outputs = self._forward(images)
        loss = self._objective.loss(_in_float32(outputs), labels, self._setting.random)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._schedule.step()
        return loss.detach()

    def parts(self) -> Mapping[str, Any]:
        """Return network, optimizer and schedule."""
        return {"network": self._network, "optimizer": self._optimizer, "schedule": self._schedule}


def _in_float32(outputs: Any) -> Any:
    """Return what a network gives, a tensor or tensors by name, in the precision of losses."""
    if isinstance(outputs, Mapping):
        return {name: tensor.float() for name, tensor in outputs.items()}
    return outputs.float()


class SeenOodLearner(Learner):
    """One network that goes down the gradient of a loss of ID images and seen OOD images, shown in one pass.

    Args:
        network: in training mode, on the device of the training.
        objective: gives the loss.
        setting: of the training; it must have seen OOD images.
    """

    def __init__(self, network: nn.Module, objective: SeenOodObjective, setting: Setting) -> None:
        self._network, self._objective, self._setting = network, objective, setting
        self._forward = torch.compile(network) if setting.config.compile else network
        self._optimizer, self._schedule = setting.adam(network)

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Do one step on the loss of a batch and as many seen OOD images as the objective asks for."""
        n_id = len(images)
        outliers = self._setting.draw_seen(max(1, round(n_id * self._objective.ood_ratio)))
        with self._setting.autocast():
            outputs = self._forward(torch.cat([images, outliers])).float()
        loss = self._objective.loss_with_ood(outputs[:n_id], labels, outputs[n_id:], self._setting.random)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._schedule.step()
        return loss.detach()

    def parts(self) -> Mapping[str, Any]:
        """Return network, optimizer and schedule."""
        return {"network": self._network, "optimizer": self._optimizer, "schedule": self._schedule}
