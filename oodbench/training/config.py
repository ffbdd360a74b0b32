"""How long and how fast a network is trained."""

from dataclasses import dataclass
from typing import Literal

from oodbench.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of one training with Adam.

    Attributes:
        epochs: passes over the training images.
        batch_size: images a step; seen OOD images count.
        learning_rate: the peak value.
        schedule: "constant"; "one-cycle" (up for 30% of the steps, then down to almost nothing, after
            Smith & Topin, 2018); or "steps" (times `gamma` at each of `milestones`).
        milestones: epochs after which the learning rate drops, for "steps".
        gamma: factor of each drop.
        weight_decay: L2 penalty on all weights.
        max_images: train on this many images only, drawn from the seed; None for all.
        network: name of a network plugin to use instead of the benchmark's.
        precision: of the passes through the network: "float32", "bfloat16", or "auto" for bfloat16 on a GPU and
            float32 on a CPU. Weights and losses are float32 always.
    """

    epochs: int = 10
    batch_size: int = 256
    learning_rate: float = 1e-3
    schedule: Literal["constant", "one-cycle", "steps"] = "one-cycle"
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    weight_decay: float = 0.0
    max_images: int | None = None
    network: str | None = None
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "max_images"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}")
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate must be positive, got {self.learning_rate}")
        if self.weight_decay < 0:
            raise ConfigError(f"weight_decay must not be negative, got {self.weight_decay}")


def cut_short(config: TrainConfig, full: TrainConfig) -> str:
    """Say by how much a training is shorter than the full one, for tables.

    Returns:
        Such as "2 of 10 epochs, 500 training images", or "" where nothing was cut.

    >>> cut_short(TrainConfig(epochs=2), TrainConfig(epochs=10))
    '2 of 10 epochs'
    """
    cuts = []
    if config.epochs < full.epochs:
        cuts.append(f"{config.epochs} of {full.epochs} epochs")
    if config.max_images is not None and (full.max_images is None or config.max_images < full.max_images):
        cuts.append(f"at most {config.max_images} training images")
    return ", ".join(cuts)
