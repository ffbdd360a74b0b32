"""The training loop: the data set lives on the device, and batches are indexed there."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from oodbench.api import Objective
from oodbench.errors import TrainingError

from .augment import require_fit
from .checkpoint import Checkpoint
from .config import TrainConfig
from .learner import Learner, Setting
from .pixels import Pixels, Rows
from .precision import Precision, taken
from .seeding import generator, seeded

SECONDS_BETWEEN_CHECKPOINTS = 10.0


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingImages:
    """What a network is trained on.

    Attributes:
        images: uint8, shape (n, channels, height, width).
        labels: int64, shape (n,); −1 for images without one.
        seen: unlabelled OOD images, uint8, shape (m, channels, height, width), or None.
    """

    images: Rows
    labels: NDArray[np.int64]
    seen: Rows | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingLog:
    """How a training went.

    Attributes:
        losses: mean loss of each epoch.
        seconds: time spent, over all the pieces that a killed training was done in.
        images_seen: images that went through the network, OOD images included.
        resumed_at: epoch that this piece started with; 0 where it was not resumed.
        precision: of the passes through the network: what "auto" was on this device.
    """

    losses: list[float]
    seconds: float
    images_seen: int
    resumed_at: int
    precision: Precision


def train(
    build: Callable[[], nn.Module],
    objective: Objective,
    data: TrainingImages,
    config: TrainConfig,
    *,
    seed: int,
    device: torch.device,
    checkpoint: Checkpoint | None = None,
    on_epoch: Callable[[int, int, float, Learner], object] | None = None,
    checkpoint_seconds: float = SECONDS_BETWEEN_CHECKPOINTS,
) -> tuple[nn.Module, TrainingLog]:
    """Train a network from a seed.

    Args:
        build: makes the untrained network.
        objective: says what a batch holds, and its loss. One with an attribute `views` above 1 is shown each image of a
            batch so many times, changed anew each time: first one view of all images, then the next, with the labels
            repeated.
        data: the images.
        config: how long and how fast.
        seed: of the initial weights, the order of the images, dropout and pairs.
        device: to compute on.
        checkpoint: where the state is kept between epochs; the training resumes from a whole one of the same kind of
            device, and any other is set aside.
        on_epoch: told each finished epoch (counted from 1), how many there are, its mean loss, and what learnt.
        checkpoint_seconds: the state is saved after the first epoch that ends this long after the last save.

    Returns:
        The network on `device`, in evaluation mode, and how it went.

    Raises:
        TrainingError: the loss is no longer finite.
        ConfigError: the images cannot be changed as the configuration says.
    """
    with seeded(seed, device):
        images, labels = Pixels(data.images, device), torch.tensor(data.labels, device=device)
        seen = None if data.seen is None else Pixels(data.seen, device)
        require_fit(config.augment, images.shape)
        views: int = getattr(objective, "views", 1)
        batch_size = min(config.batch_size, len(images))
        steps_per_epoch = len(images) // batch_size
        total_steps = config.total_steps(steps_per_epoch)

        def begin() -> _State:
            torch.manual_seed(seed)
            # Channels last is the order that convolutions are fast in, on CPUs and GPUs.
            network = build().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            random = generator(seed, device)
            setting = Setting(
                config=config,
                shape=images.shape,
                n_classes=int(data.labels.max()) + 1,
                steps=total_steps,
                steps_per_epoch=steps_per_epoch,
                seen=seen,
                random=random,
            )
            return _State(network, objective.learner(network, setting), setting, device)

        state, losses, seconds = _begun_or_gone_on(begin, checkpoint)
        network, learner, setting = state.network, state.learner, state.setting
        first, saved = len(losses), time.monotonic()
        network.train()
        n_epochs = math.ceil(total_steps / steps_per_epoch)
        for epoch in range(first, n_epochs):
            started = time.monotonic()
            total = torch.zeros((), device=device)
            steps = min(steps_per_epoch, total_steps - epoch * steps_per_epoch)
            for chosen in islice(_batches(labels, batch_size, config.sampling, setting.random), steps):
                pixels = images[chosen]
                shown = torch.cat([setting.shown(pixels) for _ in range(views)]) if views > 1 else setting.shown(pixels)
                # Kept on the device: reading a loss at every step would wait for the GPU.
                total += learner.step(shown, labels[chosen].repeat(views))
            losses.append(total.item() / steps)
            seconds += time.monotonic() - started
            if not math.isfinite(losses[-1]):
                raise TrainingError(
                    f"the loss of {objective.name} became {losses[-1]} in epoch {epoch + 1}; "
                    f"lower the learning rate: --set recipe.learning_rate={config.learning_rate / 10:g}"
                )
            if on_epoch:
                on_epoch(epoch + 1, n_epochs, losses[-1], learner)
            if checkpoint and epoch + 1 < n_epochs and time.monotonic() - saved >= checkpoint_seconds:
                state.save(checkpoint, losses, seconds)
                saved = time.monotonic()
    network.zero_grad(set_to_none=True)
    network.eval().requires_grad_(requires_grad=False)
    log = TrainingLog(
        losses=losses,
        seconds=seconds,
        images_seen=total_steps * batch_size,
        resumed_at=first,
        precision=taken(config.precision, device),
    )
    return network, log


def _batches(labels: Tensor, batch_size: int, sampling: str, random: torch.Generator) -> Iterator[Tensor]:
    """Yield indices of whole batches in a new order; the few images left over have their turn in other epochs."""
    if sampling == "balanced":
        # Images without a label, −1, are one more class.
        weights = 1.0 / torch.bincount(labels + 1)[labels + 1]
        order = torch.multinomial(weights, len(labels), replacement=True, generator=random)
    else:
        order = torch.randperm(len(labels), generator=random, device=random.device)
    for start in range(0, len(labels) - batch_size + 1, batch_size):
        yield order[start : start + batch_size]


@dataclass(frozen=True, eq=False)
class _State:
    """All that a training needs to go on as if nothing had happened."""

    network: nn.Module
    learner: Learner
    setting: Setting
    device: torch.device

    def save(self, checkpoint: Checkpoint, losses: list[float], seconds: float) -> None:
        state: dict[str, Any] = {
            "device": self.device.type,
            "learner": self.learner.state_dict(),
            "random": self.setting.random.get_state(),
            "global_random": torch.get_rng_state(),
            "losses": losses,
            "seconds": seconds,
        }
        if self.device.type == "cuda":
            state["cuda_random"] = torch.cuda.get_rng_state(self.device)
        checkpoint.save(state)

    def take_up(self, state: dict[str, Any]) -> tuple[list[float], float]:
        """Go on from what was saved; return the losses of the epochs done and the seconds spent on them.

        Raises:
            ValueError: it was saved on another kind of device, whose random numbers are others.
        """
        if state["device"] != self.device.type:
            raise ValueError(f"it was made on {state['device']}, and this is {self.device.type}")
        self.learner.load_state_dict(state["learner"])
        # Generator states are kept on the CPU, wherever their generator is.
        self.setting.random.set_state(state["random"].cpu())
        torch.set_rng_state(state["global_random"].cpu())
        if "cuda_random" in state:
            torch.cuda.set_rng_state(state["cuda_random"].cpu(), self.device)
        return list(state["losses"]), float(state["seconds"])


def _begun_or_gone_on(begin: Callable[[], _State], checkpoint: Checkpoint | None) -> tuple[_State, list[float], float]:
    """Return a training with the losses of the epochs that are done and the seconds spent on them."""
    state = begin()
    if checkpoint is None:
        return state, [], 0.0
    try:
        saved = checkpoint.load(state.device)
        losses, seconds = ([], 0.0) if saved is None else state.take_up(saved)
    # What does not fit raises anything, and perhaps after half of it was taken up.
    except Exception as error:  # noqa: BLE001
        checkpoint.set_aside(error)
        return begin(), [], 0.0
    return state, losses, seconds
