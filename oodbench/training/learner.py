"""One step of training: the part of the loop that an objective may replace."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from oodbench.batch import to_unit_interval

from .augment import augmented
from .config import TrainConfig
from .pixels import Pixels
from .precision import taken

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
        seen: unlabelled seen OOD images, of which `seen[index]` gives some as uint8, shape (n, channels, height,
            width), on the device; or None.
        random: the only source of randomness to use, on the device of the training.
    """

    config: TrainConfig
    shape: tuple[int, int, int]
    n_classes: int
    steps: int
    steps_per_epoch: int
    seen: Pixels | None
    random: torch.Generator

    @property
    def device(self) -> torch.device:
        """Where the training computes."""
        return self.random.device

    def shown(self, pixels: Tensor) -> Tensor:
        """Return images as a network is shown them in training: changed at random where the configuration says so.

        Args:
            pixels: uint8, shape (n, channels, height, width), on the device.

        Returns:
            Float32 in [0, 1] of the same shape; another call changes them in another way.
        """
        images = to_network_input(pixels)
        return augmented(images, self.config.augment, self.random) if self.config.augment else images

    def draw_seen(self, count: int) -> Tensor:
        """Return seen OOD images drawn with replacement, as `shown`, shape (count, channels, height, width)."""
        assert self.seen is not None  # the plan gives no benchmark without seen images to an objective that uses them
        chosen = torch.randint(len(self.seen), (count,), generator=self.random, device=self.device)
        return self.shown(self.seen[chosen])

    def autocast(self) -> torch.autocast:
        """Return the context of the forward passes: bfloat16 where the configuration says so."""
        enabled = taken(self.config.precision, self.device) == "bfloat16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def optimizer(
        self, network: nn.Module, kind: str | None = None, **options: Any
    ) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        """Return an optimizer for a network, with learning rate, penalty and schedule of the configuration.

        Args:
            network: to train; what takes no gradients is left out.
            kind: "adam", "adamw" or "sgd"; None for that of the configuration.
            options: the optimizer's own, such as `lr` and `betas`; they go before the configuration.
        """
        config, kind = self.config, kind or self.config.optimizer
        settings = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
        if kind == "sgd":
            settings |= {"momentum": config.momentum, "nesterov": config.nesterov}
        # One kernel for all weights: small networks otherwise spend most of a step here.
        settings |= {"fused": self.device.type in ("cpu", "cuda"), **options}
        weights = [parameter for parameter in network.parameters() if parameter.requires_grad]
        optimizer: torch.optim.Optimizer = _OPTIMIZERS[kind](weights, **settings)
        return optimizer, self._schedule(optimizer, settings["lr"])

    def _schedule(self, optimizer: torch.optim.Optimizer, learning_rate: float) -> torch.optim.lr_scheduler.LRScheduler:
        config, schedules = self.config, torch.optim.lr_scheduler
        if config.schedule == "one-cycle":
            return schedules.OneCycleLR(optimizer, learning_rate, total_steps=self.steps, cycle_momentum=False)
        return schedules.LambdaLR(optimizer, lambda step: config.peak_share(step, self.steps_per_epoch))


_OPTIMIZERS: Mapping[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}


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


Loss = Callable[[Any, Tensor, torch.Generator], Tensor]
"""Takes a network's outputs, labels and a generator, as `LossObjective.loss` does, and returns a scalar."""


class LossLearner(Learner):
    """One network that goes down the gradient of one loss; seen OOD images take the place of a batch's last ones.

    Args:
        network: in training mode, on the device of the training.
        objective: gives the loss.
        setting: of the training.
        loss: instead of the objective's own, for one that depends on the setting.
    """

    def __init__(
        self, network: nn.Module, objective: LossObjective, setting: Setting, loss: Loss | None = None
    ) -> None:
        self._network, self._objective, self._setting = network, objective, setting
        self._loss = loss or objective.loss
        self._forward = torch.compile(network) if setting.config.compile else network
        self._optimizer, self._schedule = setting.optimizer(network)

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Do one step on the loss of a batch."""
        # The schedule counts the steps, and its count is part of a checkpoint.
        if n_ood := self._objective.n_ood_images(len(images), self._schedule.last_epoch):
            images = torch.cat([images[:-n_ood], self._setting.draw_seen(n_ood)])
            labels = torch.cat([labels[:-n_ood], labels.new_full((n_ood,), -1)])
        with self._setting.autocast():
            outputs = self._forward(images)
        loss = self._loss(in_float32(outputs), labels, self._setting.random)
        descend(loss, self._optimizer)
        self._schedule.step()
        return loss.detach()

    def parts(self) -> Mapping[str, Any]:
        """Return network, optimizer and schedule."""
        return {"network": self._network, "optimizer": self._optimizer, "schedule": self._schedule}


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
        self._optimizer, self._schedule = setting.optimizer(network)

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Do one step on the loss of a batch and as many seen OOD images as the objective asks for."""
        n_id = len(images)
        outliers = self._setting.draw_seen(max(1, round(n_id * self._objective.ood_ratio)))
        with self._setting.autocast():
            outputs = in_float32(self._forward(torch.cat([images, outliers])))
        outputs_id, outputs_ood = rows(outputs, slice(n_id)), rows(outputs, slice(n_id, None))
        loss = self._objective.loss_with_ood(outputs_id, labels, outputs_ood, self._setting.random)
        descend(loss, self._optimizer)
        self._schedule.step()
        return loss.detach()

    def parts(self) -> Mapping[str, Any]:
        """Return network, optimizer and schedule."""
        return {"network": self._network, "optimizer": self._optimizer, "schedule": self._schedule}


def in_float32(outputs: Any) -> Any:
    """Return what a network gives, a tensor or a mapping of tensors, in the precision that losses are computed in."""
    if isinstance(outputs, Mapping):
        return {name: in_float32(output) for name, output in outputs.items()}
    return outputs.float() if outputs.is_floating_point() else outputs


def rows(outputs: Any, which: slice) -> Any:
    """Return what a network gives, a tensor or a mapping of tensors, for some of the images."""
    if isinstance(outputs, Mapping):
        return {name: rows(output, which) for name, output in outputs.items()}
    return outputs[which]


def descend(loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Do one step of an optimizer on a loss; gradients that other losses have left on its weights are dropped."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
