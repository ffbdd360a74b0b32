"""What a network says of a few test images, epoch by epoch, while it is trained; the training does not notice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from oodbench.forward import passes
from oodbench.hashing.values import digest
from oodbench.store.snapshots import ID, Snapshots

from .checkpoint import Checkpoint

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oodbench.data.loading import BenchmarkData
    from oodbench.images import ImageSet
    from oodbench.jobs import NetworkJob
    from oodbench.store.workspace import Workspace

EPOCHS = 72
"""Kept at most, spread evenly over a longer training: a film has no more pictures."""
BYTES = 32_000_000
"""That the snapshots of one network may have before they are packed; of wide outputs fewer epochs are kept."""
TAKEN = "snapshots"
"""In the facts of a network: which images snapshots were taken of; in a checkpoint: the snapshots so far."""
FEATURES = ("features", "code")
"""What is kept of a network without an embedding: the first of these that it gives."""


def images_of(data: BenchmarkData) -> dict[str, ImageSet]:
    """Return the sets that snapshots are taken of, the ID test images under `ID`."""
    return {ID: data.id_test, **data.ood}


def lacks_snapshots(job: NetworkJob, data: Mapping[str, BenchmarkData], workspace: Workspace) -> bool:
    """Return whether a network is there that was trained without the snapshots that are asked for.

    Args:
        job: the network.
        data: the images of each benchmark, by its name.
        workspace: where networks are kept.
    """
    if not job.snapshots or workspace.artifacts.find("networks", job.key, quick=True) is None:
        return False
    taken: Mapping[str, str] | None = workspace.artifacts.facts("networks", job.key).get(TAKEN)
    wanted = {name: images.fingerprint for name, images in images_of(data[job.benchmark.name]).items()}
    # Of a network that gives nothing to be drawn, another training would keep nothing either.
    return taken is None or (len(taken) > 0 and not wanted.items() <= taken.items())


@dataclass(kw_only=True, eq=False)
class SnapshotTaker:
    """Looks at a network while it is trained.

    Attributes:
        data: the images of the benchmark.
        objective: says how outputs are drawn, where it does.
        count: how many images of each set are looked at, evenly spread over it.
        device: of the training.
        nothing: why there is nothing to keep, or "".
        resumed_without: how many epochs of a resumed training were done without snapshots.
    """

    data: BenchmarkData
    objective: Any
    count: int
    device: torch.device
    nothing: str = ""
    resumed_without: int = 0
    _network: nn.Module | None = field(default=None, init=False)
    _taken: dict[int, dict[str, NDArray[np.float32]]] = field(default_factory=dict, init=False)

    def begin(self, network: nn.Module) -> None:
        """Look at a network before its training, and from then on at this one.

        Args:
            network: the module that is going to be trained; it is moved to the device.
        """
        self._network = network.to(self.device)
        self._taken, self.nothing, self.resumed_without = {}, "", 0
        self._take(0)

    def after(self, epoch: int, n_epochs: int) -> None:
        """Look at the network again where one of the epochs to keep is done."""
        if not self.nothing and epoch in self._kept_of(n_epochs):
            self._take(epoch)

    def _kept_of(self, n_epochs: int) -> set[int]:
        size = sum(values.nbytes for values in self._taken[0].values())
        # The first and the last one always.
        count = max(2, min(n_epochs + 1, EPOCHS, BYTES // max(1, size)))
        return {int(epoch) for epoch in np.linspace(0, n_epochs, count).round()}

    def _take(self, epoch: int) -> None:
        taken = {}
        for name, images in images_of(self.data).items():
            values = self._drawable(images)
            if values is None:
                return
            taken[name] = values
        self._taken[epoch] = taken

    def _drawable(self, images: ImageSet) -> NDArray[np.float32] | None:
        """Return what can be drawn of some images of a set, shape (n, n_outputs); None where there is nothing."""
        assert self._network is not None  # `begin` was called
        with _unnoticed(self._network, self.device):
            chosen = images.images[self._rows(images)]
            parts = list(passes(self._network, chosen, self.device))
        found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        embed = getattr(self.objective, "embed", None)
        if embed is not None and "logits" in found:
            drawn: NDArray[np.float32] = embed(torch.from_numpy(found["logits"])).float().numpy()
            return drawn
        name = next((name for name in FEATURES if name in found), None)
        if name is None:
            self.nothing = f"its network gives no embedding, no features and no code ({', '.join(found)})"
            return None
        return found[name].reshape(len(chosen), -1).astype(np.float32)

    def _rows(self, images: ImageSet) -> NDArray[np.intp]:
        return np.linspace(0, len(images) - 1, min(self.count, len(images))).round().astype(np.intp)

    def result(self) -> Snapshots | None:
        """Return what was seen, epoch by epoch; None where there was nothing to keep."""
        if self.nothing:
            return None
        epochs, labels = sorted(self._taken), self.data.id_test.labels
        values = {name: np.stack([self._taken[epoch][name] for epoch in epochs]) for name in images_of(self.data)}
        return Snapshots(
            epochs=np.array(epochs, dtype=np.int64),
            id=values.pop(ID),
            labels_id=None if labels is None else labels[self._rows(self.data.id_test)].astype(np.int64),
            ood=values,
            fingerprints=self.fingerprints(),
        )

    def fingerprints(self) -> dict[str, str]:
        """Return the content of the sets that are looked at, by name."""
        return {name: images.fingerprint for name, images in images_of(self.data).items()}

    def state_dict(self) -> dict[str, Any]:
        """Return what was seen so far, as a checkpoint can hold it."""
        taken = {
            epoch: {name: torch.from_numpy(values) for name, values in sets.items()}
            for epoch, sets in self._taken.items()
        }
        return {"of": self._identity(), "taken": taken}

    def load_state_dict(self, state: Mapping[str, Any] | None, epochs_done: int) -> None:
        """Take up what a training had seen that was stopped; what it saw of other images, or did not see, is missing.

        Args:
            state: as `state_dict` gave it, or None of a training without snapshots.
            epochs_done: how many epochs it had done.
        """
        if state is None or state["of"] != self._identity():
            self.resumed_without = epochs_done
            return
        self._taken = {
            epoch: {name: values.cpu().numpy() for name, values in sets.items()}
            for epoch, sets in state["taken"].items()
        }

    def _identity(self) -> str:
        return digest([self.count, self.fingerprints()])


@contextmanager
def _unnoticed(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Put a network in evaluation mode within the block; its modes and all random numbers are as before afterwards."""
    modes = {module: module.training for module in network.modules()}
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        # What a network draws when it is looked at is the same after each epoch.
        torch.manual_seed(0)
        network.eval()
        try:
            yield
        finally:
            for module, mode in modes.items():
                module.training = mode


@dataclass(frozen=True)
class CheckpointWithSnapshots(Checkpoint):
    """A checkpoint that holds the snapshots so far as well: a resumed training has those of one that was not stopped.

    Attributes:
        taker: takes them.
    """

    taker: SnapshotTaker = field(kw_only=True)

    def save(self, state: dict[str, Any]) -> None:
        """Write the state of a training with its snapshots."""
        super().save({**state, TAKEN: self.taker.state_dict()})

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """Return the state that was saved last, and hand its snapshots to the taker.

        Raises:
            Exception: the file is damaged, or of something else.
        """
        state = super().load(device)
        if state is not None:
            self.taker.load_state_dict(state.get(TAKEN), len(state["losses"]))
        return state
