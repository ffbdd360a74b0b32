"""What a run is made of: networks to obtain, cells to score, and the plan that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .settings import variant

if TYPE_CHECKING:
    import torch

    from .api import Method, Objective
    from .benchmark import Benchmark
    from .data.loading import BenchmarkData
    from .holdout import HoldOut
    from .store.workspace import Workspace


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadyNetwork:
    """A network that can be evaluated, and what is known of it.

    Attributes:
        module: in evaluation mode, on the device of the run; its weights take no gradients.
        digest: SHA-256 of its weights.
        facts: noted when it was trained: device, versions, seconds, losses.
    """

    module: Any
    digest: str
    facts: Mapping[str, Any]


class NetworkJob(Protocol):
    """A network that cells need: one to train, or one that was given. Nobody asks which it is."""

    @property
    def benchmark(self) -> Benchmark:
        """Names the images and the architecture."""

    @property
    def objective(self) -> Objective:
        """What it is or was trained for."""

    @property
    def seed(self) -> int:
        """Of everything random in it."""

    @property
    def key(self) -> str:
        """Hash of everything that goes into it; names the artifact."""

    @property
    def starts(self) -> tuple[NetworkJob, ...]:
        """The networks that must be there before it: what it starts from, or nothing."""

    @property
    def training(self) -> Mapping[str, Any]:
        """How it is trained, for records; empty for one that was given."""

    @property
    def length(self) -> str:
        """How long it is trained, such as "10 epochs"; "" for one that was given."""

    @property
    def snapshots(self) -> int:
        """Of how many images of each test set outputs are kept epoch by epoch; 0 for none."""

    def images_in_training(self, n_images: int) -> int:
        """Return how many images go through the network in training on `n_images`."""

    @property
    def given(self) -> Mapping[str, Any]:
        """What it came with, for records; empty for one that is trained."""

    @property
    def label(self) -> str:
        """Short name for messages."""

    def hold_out(self, data: BenchmarkData) -> HoldOut:
        """Return which of the ID training images it is trained on, and which are held out."""

    def is_there(self, data: Mapping[str, BenchmarkData], workspace: Workspace) -> bool:
        """Return whether nothing must be trained for it."""

    def untrained(self, data: BenchmarkData) -> torch.nn.Module:
        """Return a module of its kind: what it gives is what the network will, but for the numbers.

        Args:
            data: the images of its benchmark.
        """

    def obtain(
        self, data: Mapping[str, BenchmarkData], workspace: Workspace, device: torch.device, pictures: Path
    ) -> ReadyNetwork:
        """Return the network, from the artifacts where it is there, else after its training.

        Args:
            data: the images of each benchmark, by its name.
            workspace: where networks and checkpoints are kept, and who is told.
            device: to compute on.
            pictures: folder for what a training has to show.

        Raises:
            TrainingError: the training failed.
        """


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One benchmark × method × seed: a fitted detector, scored on every OOD set.

    Attributes:
        method_name: as registered.
        method: with its hyper-parameters.
        changed: those that differ from what the recipe prescribes.
        recipe: name of the training recipe, with what was changed of it.
        cut_short: by how much the training is shorter than the full one; "" where it is not.
        networks: that it needs: one for each entry of the method's `networks`.
        seed: of the method; a method with several equal networks has others for each seed.
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
    networks: tuple[NetworkJob, ...]
    seed: int
    seen: str | None
    key: str
    tests: Mapping[str, str]
    file: Path

    @property
    def network(self) -> NetworkJob:
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

    def trainings(self) -> list[NetworkJob]:
        """Return the networks to train that the cells need, each once, after those that they start from."""
        found: dict[str, NetworkJob] = {}

        def add(job: NetworkJob) -> None:
            for start in job.starts:
                add(start)
            if job.training:
                found.setdefault(job.key, job)

        for cell in self.cells:
            for job in cell.networks:
                add(job)
        return list(found.values())
