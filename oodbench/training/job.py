"""A network to train, as a job: what is trained on what, and how; obtained once for all methods that share it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from oodbench.contamination import UNLABELLED
from oodbench.errors import ConfigError
from oodbench.hashing.values import plain
from oodbench.holdout import HoldOut

from .config import TrainConfig

if TYPE_CHECKING:
    import torch

    from oodbench.api import Objective
    from oodbench.benchmark import Benchmark
    from oodbench.data.loading import BenchmarkData
    from oodbench.jobs import ReadyNetwork
    from oodbench.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """One network to train.

    Attributes:
        benchmark: names the images and the network.
        objective: what it is trained for.
        config: how long and how fast.
        seed: of everything random in it.
        seen: which of the benchmark's seen OOD images it trains on, or None.
        start: the training whose network this one begins with, or None.
        key: hash of all this and of the images; names the artifact.
        snapshots: of how many images of each test set outputs are kept epoch by epoch; 0 for none. They change nothing
            in the network, and are no part of its key.
        train_again: whether a network that is there without these snapshots is trained once more.
    """

    benchmark: Benchmark
    objective: Objective
    config: TrainConfig
    seed: int
    key: str
    seen: str | None = None
    start: TrainingJob | None = None
    snapshots: int = 0
    train_again: bool = False

    @property
    def starts(self) -> tuple[TrainingJob, ...]:
        """The network that it starts from, if any."""
        return () if self.start is None else (self.start,)

    @property
    def training(self) -> Mapping[str, Any]:
        """Its configuration, for records."""
        settings: Mapping[str, Any] = plain(self.config)
        return settings

    @property
    def length(self) -> str:
        """How long it is trained, such as "10 epochs"."""
        return self.config.length

    def images_in_training(self, n_images: int) -> int:
        """Return how many images go through the network in training on `n_images`."""
        batch_size = min(self.config.batch_size, n_images)
        return batch_size * self.config.total_steps(n_images // batch_size)

    @property
    def given(self) -> Mapping[str, Any]:
        """Nothing: it is trained."""
        return {}

    @property
    def label(self) -> str:
        """Short name for messages, such as "mnist-267 ce seed 0"."""
        seen = "" if self.seen is None else f" + {self.seen}"
        return f"{self.benchmark.name} {self.objective.name}{seen} seed {self.seed}"

    def hold_out(self, data: BenchmarkData) -> HoldOut:
        """Return which of the ID training images the network is trained on, and which are held out.

        Images without a label are held out for nobody, and trained on where the objective can do without.

        Raises:
            ConfigError: the objective takes a share of the clean images, which has none.
        """
        images = data.training_images
        halves = HoldOut.of(
            images.labels, len(images), self.benchmark.validation_share, self.config.max_images, self.seed
        )
        if images.partly_labelled:
            assert images.labels is not None  # some have one
            labelled = halves.only(images.labels != UNLABELLED)
            fit = halves.fit if getattr(self.objective, "unlabelled", False) else labelled.fit
            halves = HoldOut(fit=fit, validation=labelled.validation)
        share: float = getattr(self.objective, "clean_share", 0.0)
        if share == 0:
            return halves
        clean = halves.fit[halves.fit < len(images) - data.n_others]
        count = round(share * len(clean))
        if count < 2:
            raise ConfigError(
                f"{self.label} would be trained on {count} of {len(clean)} clean images; give it a larger share of them"
            )
        chosen = np.random.default_rng([self.seed, 268]).permutation(clean)[:count]
        return HoldOut(fit=np.sort(chosen), validation=halves.validation)

    def is_there(self, data: Mapping[str, BenchmarkData], workspace: Workspace) -> bool:
        """Return whether the network was trained before, and need not be trained again."""
        from .trained import is_trained

        return is_trained(self, data, workspace)

    def untrained(self, data: BenchmarkData) -> torch.nn.Module:
        """Return the module before its training.

        Raises:
            ConfigError: it cannot take images of its benchmark.
        """
        from .trained import built

        return built(self, data)

    def obtain(
        self, data: Mapping[str, BenchmarkData], workspace: Workspace, device: torch.device, pictures: Path
    ) -> ReadyNetwork:
        """Return the network, trained now or before, after the one that it starts from.

        Raises:
            TrainingError: the training diverged.
        """
        from .trained import network_of

        return network_of(self, data, workspace, device, pictures=pictures)
