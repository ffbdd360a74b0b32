"""What a run is made of: networks to train or given ones, cells to score, and the plan that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .settings import variant
from .training.config import TrainConfig

if TYPE_CHECKING:
    from .api import Method, Objective
    from .benchmark import Benchmark
    from .data.loading import BenchmarkData
    from .given.model import OwnModel
    from .training.network import HoldOut


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """One network to train.

    Attributes:
        benchmark: names the images and the network.
        objective: what it is trained for.
        config: how long and how fast.
        seed: of everything random in it.
        seen: which of the benchmark's seen OOD images it trains on, or None.
        key: hash of all this and of the images; names the artifact.
    """

    benchmark: Benchmark
    objective: Objective
    config: TrainConfig
    seed: int
    key: str
    seen: str | None = None

    def hold_out(self, data: BenchmarkData) -> HoldOut:
        """Return which of the ID training images the network is trained on, and which are held out."""
        from .training.network import HoldOut

        labels = data.training_images.labels
        assert labels is not None  # load_benchmark refuses ID sets without labels
        return HoldOut.of(labels, self.benchmark.validation_share, self.config.max_images, self.seed)

    @property
    def label(self) -> str:
        """Short name for messages, such as "mnist-267 ce seed 0"."""
        seen = "" if self.seen is None else f" + {self.seen}"
        return f"{self.benchmark.name} {self.objective.name}{seen} seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class GivenNetwork:
    """A classifier of a user's own: like a training job that is done.

    Attributes:
        benchmark: names the images.
        model: the classifier.
        objective: what it was trained for, cross-entropy.
        seed: of the held-out images.
        key: hash of the model and of the ID training images.
    """

    benchmark: Benchmark
    model: OwnModel
    objective: Objective
    seed: int
    key: str
    config: None = None
    seen: None = None

    def hold_out(self, data: BenchmarkData) -> HoldOut:
        """Return which of the ID training images methods are fitted on, and which are held out."""
        from .training.network import HoldOut

        labels = data.training_images.labels
        assert labels is not None  # sets without labels are refused
        return HoldOut.of(labels, self.benchmark.validation_share, None, self.seed)

    @property
    def label(self) -> str:
        """Short name for messages, such as "photos ResNet"."""
        return f"{self.benchmark.name} {self.model.name}"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One benchmark × method × seed: a fitted detector, scored on every OOD set.

    Attributes:
        method_name: as registered.
        method: with its hyper-parameters.
        changed: those that differ from what the recipe prescribes.
        recipe: name of the training recipe, with what was changed of it.
        cut_short: by how much the training is shorter than the full one; "" where it is not.
        networks: that it needs, to be trained or given: one, or several for a method with `members`.
        seed: of the method; a method with `members` has networks of its own for each seed.
        seen: which of the benchmark's seen OOD images it may see, or None.
        key: hash of everything that its scores depend on.
        tests: content of the OOD sets to score, by their names.
        file: name of its record below the results folder.
    """

    method_name: str
    method: Method
    changed: Mapping[str, object]
    recipe: str
    cut_short: str
    networks: tuple[TrainingJob, ...] | tuple[GivenNetwork]
    seed: int
    seen: str | None
    key: str
    tests: Mapping[str, str]
    file: Path

    @property
    def network(self) -> TrainingJob | GivenNetwork:
        """The network that it needs, or the first of several."""
        return self.networks[0]

    @property
    def network_keys(self) -> tuple[str, ...]:
        """The keys of its networks: cells that have the same ones are scored together."""
        return tuple(job.key for job in self.networks)

    @property
    def benchmark(self) -> Benchmark:
        """Where it is scored."""
        return self.network.benchmark

    @property
    def label(self) -> str:
        """Short name for messages, such as "mnist-267 odm (margin=5) seed 0"."""
        return f"{self.benchmark.name} {variant(self.method_name, self.changed)} seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a request comes down to.

    Attributes:
        cells: all of them, in the order of the tables.
        left_out: why a method is not run on a benchmark, a sentence each.
    """

    cells: tuple[Cell, ...]
    left_out: tuple[str, ...] = ()

    def trainings(self) -> list[TrainingJob]:
        """Return the networks to train that the cells need, each once."""
        jobs = (job for cell in self.cells for job in cell.networks)
        return list({job.key: job for job in jobs if isinstance(job, TrainingJob)}.values())
