"""How long and how fast a network is trained."""

from dataclasses import dataclass
from typing import Literal

from oodbench.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of one training with Adam.

    Attributes:
        epochs: passes over the training images.
        steps: train for this many batches instead of `epochs`; None goes by epochs.
        batch_size: images a step; seen OOD images count.
        learning_rate: the peak value.
        schedule: "constant"; "one-cycle" (up for 30% of the steps, then down to almost nothing, after
            Smith & Topin, 2018); or "steps" (times `gamma` at each of `milestones`).
        milestones: epochs after which the learning rate drops, for "steps".
        gamma: factor of each drop.
        weight_decay: L2 penalty on all weights.
        sampling: "natural" shows each image once an epoch; "balanced" draws each image of an epoch from a class that
            is drawn evenly, so that rare classes are seen as often as common ones.
        max_images: train on this many images only, drawn from the seed; None for all.
        network: name of a network plugin to use instead of the benchmark's.
        precision: of the passes through the network: "float32", "bfloat16", or "auto" for bfloat16 on a GPU and
            float32 on a CPU. Weights and losses are float32 always.
        compile: whether the network's passes are compiled (`torch.compile`) where an objective is one loss. It takes
            a minute before the first step, a compiler, and a Triton that fits the GPU.
    """

    epochs: int = 10
    steps: int | None = None
    batch_size: int = 256
    learning_rate: float = 1e-3
    schedule: Literal["constant", "one-cycle", "steps"] = "one-cycle"
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    weight_decay: float = 0.0
    sampling: Literal["natural", "balanced"] = "natural"
    max_images: int | None = None
    network: str | None = None
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "steps", "batch_size", "max_images"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}")
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate must be positive, got {self.learning_rate}")
        if self.weight_decay < 0:
            raise ConfigError(f"weight_decay must not be negative, got {self.weight_decay}")

    @property
    def length(self) -> str:
        """How long it trains, such as "10 epochs" or "10,000 steps"."""
        return f"{self.epochs} epochs" if self.steps is None else f"{self.steps:,} steps"

    def total_steps(self, steps_per_epoch: int) -> int:
        """Return the number of batches, given how many make an epoch."""
        return self.epochs * steps_per_epoch if self.steps is None else self.steps


def cut_short(config: TrainConfig, full: TrainConfig) -> str:
    """Say by how much a training is shorter than the full one, for tables.

    Returns:
        Such as "2 of 10 epochs, 500 training images", or "" where nothing was cut.

    >>> cut_short(TrainConfig(epochs=2), TrainConfig(epochs=10))
    '2 of 10 epochs'
    >>> cut_short(TrainConfig(epochs=2), TrainConfig(steps=10_000))
    '2 epochs instead of 10,000 steps'
    """
    cuts = []
    if (config.steps is None) != (full.steps is None):
        cuts.append(f"{config.length} instead of {full.length}")
    elif config.total_steps(1) < full.total_steps(1):
        cuts.append(f"{config.length.split()[0]} of {full.length}")
    if config.max_images is not None and (full.max_images is None or config.max_images < full.max_images):
        cuts.append(f"at most {config.max_images} training images")
    return ", ".join(cuts)
