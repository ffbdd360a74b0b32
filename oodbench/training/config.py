"""How long and how fast a network is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from oodbench.errors import ConfigError

DEFAULT_EPOCHS = 10

Augmentation = Literal["crop", "flip", "rotate90", "jitter", "randaugment", "cutout"]
"""The changes that `oodbench.training.augment` knows."""

_RANGES = {
    "epochs": (1, 1_000_000),
    "steps": (1, 1_000_000_000),
    "batch_size": (2, 1_000_000),
    "max_images": (2, math.inf),
    "weight_decay": (0, 100),
    "warmup": (0, 1_000_000_000),
}
"""The smallest and the largest value of a setting."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of one training.

    Attributes:
        epochs: passes over the training images; 10 where neither `epochs` nor `steps` is given.
        steps: train for this many batches instead of `epochs`; None goes by epochs.
        batch_size: images a step; seen OOD images that take the place of others count.
        optimizer: "adam"; "adamw", whose weight decay is apart from the gradient (Loshchilov & Hutter, ICLR 2019); or
            "sgd", with `momentum`.
        learning_rate: the peak value, above 0 and at most 100.
        momentum: of "sgd", in [0, 1).
        nesterov: whether the momentum of "sgd" looks ahead, after Nesterov.
        schedule: "constant"; "one-cycle" (up for 30% of the steps, then down to almost nothing, after
            Smith & Topin, 2018); "cosine" (down to 0 on half a cosine, after Loshchilov & Hutter, ICLR 2017); or
            "steps" (times `gamma` at each of `milestones`).
        milestones: for "steps": after how many epochs the learning rate drops, or after how many steps where `steps`
            says how long.
        gamma: factor of each drop, above 0 and at most 1.
        warmup: epochs, or steps where `steps` says how long, in which the learning rate first rises evenly to its
            peak; "one-cycle" has a rise of its own.
        weight_decay: L2 penalty on all weights.
        label_smoothing: share of the cross-entropy's target that is spread evenly over all classes, in [0, 1).
        augment: random changes of each training image, in this order, drawn anew each time it is shown: "crop"
            (shifted by up to an eighth of its side, its border mirrored), "flip" (left and right), "rotate90" (quarter
            turns), "jitter" (brightness, contrast and colour), "randaugment" (Cubuk et al., 2020) and "cutout" (DeVries
            & Taylor, 2017). Seen OOD images are changed in the same way.
        sampling: "natural" shows each image once an epoch; "balanced" draws each image of an epoch from a class that
            is drawn evenly, so that rare classes are seen as often as common ones.
        max_images: train on this many images only, drawn from the seed; None for all.
        network: name of a network plugin to use instead of the benchmark's.
        precision: of the passes through the network: "float32", "bfloat16", or "auto" for bfloat16 where the GPU or
            processor has arithmetic for it, else float32. Weights and losses are float32 always.
        compile: whether the network's passes are compiled (`torch.compile`) where an objective is one loss. It takes
            a minute before the first step, a compiler, and a Triton that fits the GPU.

    Raises:
        ConfigError: a value is out of its range, or two contradict each other.
    """

    epochs: int | None = None
    steps: int | None = None
    batch_size: int = 256
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    nesterov: bool = True
    schedule: Literal["constant", "one-cycle", "cosine", "steps"] = "one-cycle"
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    warmup: float = 0.0
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    augment: tuple[Augmentation, ...] = ()
    sampling: Literal["natural", "balanced"] = "natural"
    max_images: int | None = None
    network: str | None = None
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: bool = False

    def __post_init__(self) -> None:
        if self.epochs is None and self.steps is None:
            object.__setattr__(self, "epochs", DEFAULT_EPOCHS)
        self._check_ranges()
        self._check_schedule()
        if repeated := {name for name in self.augment if self.augment.count(name) > 1}:
            raise ConfigError(f"augment names {min(repeated)!r} twice; name each change once")

    def _check_ranges(self) -> None:
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not value >= least:
                wanted = "must not be negative" if least == 0 else f"must be at least {least}"
                raise ConfigError(f"{name} {wanted}, got {value}")
            if value is not None and value > most:
                raise ConfigError(f"{name} must be at most {most:,}, got {value:,}")
        for name, most in (("learning_rate", 100), ("gamma", 1)):
            value = getattr(self, name)
            if not 0 < value <= most:
                raise ConfigError(f"{name} must be positive and at most {most}, got {value}")
        for name in ("momentum", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 0 and below 1, got {getattr(self, name)}")

    def _check_schedule(self) -> None:
        if self.epochs is not None and self.steps is not None:
            raise ConfigError(
                f"epochs={self.epochs} contradicts steps={self.steps}: "
                "give one, and none for the other, such as recipe.steps=none"
            )
        if self.optimizer == "sgd" and self.nesterov and not self.momentum:
            raise ConfigError("nesterov looks ahead along a momentum, and momentum is 0; give nesterov=false")
        if any(milestone < 1 for milestone in self.milestones) or list(self.milestones) != sorted(set(self.milestones)):
            shown = ",".join(map(str, self.milestones))
            raise ConfigError(f"milestones must be whole numbers from 1 up, each larger than the last, got {shown}")
        if bool(self.milestones) != (self.schedule == "steps"):
            wanted = "takes no milestones; give none" if self.milestones else "needs milestones, such as 60,80"
            raise ConfigError(f"schedule={self.schedule} {wanted}")
        if self.warmup and self.schedule == "one-cycle":
            raise ConfigError("warmup must be 0 with schedule=one-cycle, which begins with a rise of its own")
        if self.warmup and self.warmup >= self.total_steps(1):
            raise ConfigError(f"warmup must be shorter than the training of {self.length}, got {self.warmup:g}")

    @property
    def length(self) -> str:
        """How long it trains, such as "10 epochs" or "10,000 steps"."""
        return f"{self.epochs} epochs" if self.steps is None else f"{self.steps:,} steps"

    def total_steps(self, steps_per_epoch: int) -> int:
        """Return the number of batches, given how many make an epoch."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None  # one of the two is set
        return self.epochs * steps_per_epoch

    def peak_share(self, step: int, steps_per_epoch: int) -> float:
        """Return the learning rate of a step as a share of its peak, for every schedule but "one-cycle".

        Args:
            step: counted from 0.
            steps_per_epoch: how many batches make an epoch.
        """
        unit = steps_per_epoch if self.steps is None else 1
        share = min(1.0, (step + 1) / (self.warmup * unit)) if self.warmup else 1.0
        if self.schedule == "cosine":
            rise, end = self.warmup * unit, self.total_steps(steps_per_epoch)
            return share * 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, step - rise) / (end - rise))))
        passed = sum(step >= milestone * unit for milestone in self.milestones)
        return share * self.gamma**passed


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
