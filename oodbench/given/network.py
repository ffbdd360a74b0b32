"""A user's own classifier as a job: like a training that is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oodbench.holdout import HoldOut

if TYPE_CHECKING:
    import torch

    from oodbench.api import Objective
    from oodbench.benchmark import Benchmark
    from oodbench.data.loading import BenchmarkData
    from oodbench.jobs import ReadyNetwork
    from oodbench.store.workspace import Workspace

    from .model import GivenModel


@dataclass(frozen=True, kw_only=True)
class GivenNetwork:
    """A classifier that was given.

    Attributes:
        benchmark: names the images.
        model: the classifier.
        objective: what it was trained for, cross-entropy.
        seed: of the held-out images.
        key: hash of the model and of the ID training images.
        shape: of the images: channels, height, width.
    """

    benchmark: Benchmark
    model: GivenModel
    objective: Objective
    seed: int
    key: str
    shape: tuple[int, int, int]

    @property
    def starts(self) -> tuple[GivenNetwork, ...]:
        """Nothing: it is there."""
        return ()

    @property
    def training(self) -> Mapping[str, Any]:
        """Nothing: others trained it."""
        return {}

    @property
    def length(self) -> str:
        """Nothing: it is not trained."""
        return ""

    def images_in_training(self, n_images: int) -> int:
        """Return 0: it is not trained."""
        return 0

    @property
    def snapshots(self) -> int:
        """Return 0: it is not trained."""
        return 0

    @property
    def given(self) -> Mapping[str, Any]:
        """What it came with, for records."""
        return self.model.facts_on(self.shape)

    @property
    def label(self) -> str:
        """Short name for messages, such as "photos ResNet"."""
        return f"{self.benchmark.name} {self.model.name}"

    def hold_out(self, data: BenchmarkData) -> HoldOut:
        """Return which of the ID training images methods are fitted on, and which are held out."""
        images = data.training_images
        return HoldOut.of(images.labels, len(images), self.benchmark.validation_share, None, self.seed)

    def is_there(self, data: Mapping[str, BenchmarkData], workspace: Workspace) -> bool:
        """Return True: it was given."""
        return True

    def untrained(self, data: BenchmarkData) -> torch.nn.Module:
        """Return the classifier."""
        return self.model.classifier_on(data.id_test.shape)

    def obtain(
        self, data: Mapping[str, BenchmarkData], workspace: Workspace, device: torch.device, pictures: Path
    ) -> ReadyNetwork:
        """Return the classifier on a device."""
        return self.model.on(device, self.shape)
