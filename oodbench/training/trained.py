"""A trained network as an artifact: made once for all methods that share it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from oodbench import device as devices
from oodbench.errors import ConfigError, StoreError
from oodbench.hashing.values import array_digest, plain
from oodbench.jobs import ReadyNetwork
from oodbench.objectives import copy_matching
from oodbench.plugins import registry
from oodbench.store.artifacts import CHECKPOINTS
from oodbench.store.atomic import file_atomic
from oodbench.store.snapshots import FILE
from oodbench.store.space import reason

from . import precision
from .checkpoint import Checkpoint
from .learner import Learner
from .loop import TrainingImages, train
from .seeding import seeded
from .snapshots import TAKEN, CheckpointWithSnapshots, SnapshotTaker, lacks_snapshots

if TYPE_CHECKING:
    from oodbench.api import NetworkBuilder
    from oodbench.data.loading import BenchmarkData
    from oodbench.progress import Reporter
    from oodbench.store.workspace import Workspace

    from .job import TrainingJob


def network_of(
    job: TrainingJob,
    data: Mapping[str, BenchmarkData],
    workspace: Workspace,
    device: torch.device,
    *,
    pictures: Path,
) -> ReadyNetwork:
    """Return the network of a training job, trained now or before.

    Args:
        job: says what is trained on what, and how.
        data: the images of each benchmark, by its name.
        workspace: where networks and checkpoints are kept, and who is told.
        device: to compute on.
        pictures: folder for what a learner has to show, about ten times in a training.

    Raises:
        ConfigError: the objective cannot build a network for such images.
        TrainingError: the training diverged.
    """
    artifacts = workspace.artifacts
    folder = artifacts.find("networks", job.key)
    if folder is None or not is_trained(job, data, workspace):

        def write(aside: Path) -> dict[str, Any]:
            facts = _train(job, data, workspace, device, pictures, aside)
            # One without snapshots is there until the new one is whole.
            artifacts.discard("networks", job.key)
            return facts

        folder = artifacts.save("networks", job.key, write)
    weights = torch.load(folder / "weights.pt", weights_only=True)
    module = built(job, data[job.benchmark.name])
    module.load_state_dict(weights)
    # Channels last, as it was trained: convolutions are faster so.
    module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    module.eval().requires_grad_(requires_grad=False)
    return ReadyNetwork(
        module=module,
        digest=array_digest(*(tensor.numpy() for tensor in weights.values())),
        facts=artifacts.facts("networks", job.key),
    )


def is_trained(job: TrainingJob, data: Mapping[str, BenchmarkData], workspace: Workspace) -> bool:
    """Return whether the network of a training job is there, and need not be trained once more for its snapshots."""
    if workspace.artifacts.find("networks", job.key, quick=True) is None:
        return False
    return not (job.train_again and lacks_snapshots(job, data, workspace))


def _train(
    job: TrainingJob,
    data: Mapping[str, BenchmarkData],
    workspace: Workspace,
    device: torch.device,
    pictures: Path,
    aside: Path,
) -> dict[str, Any]:
    """Train a network, write its weights into a folder, and return what is noted of the training."""
    own, report = data[job.benchmark.name], workspace.report
    start = None if job.start is None else job.start.obtain(data, workspace, device, pictures).module
    images = own.training_images
    fit = job.hold_out(own).fit
    labels = np.zeros(len(images), dtype=np.int64) if images.labels is None else images.labels
    seen = None if job.seen is None else own.seen[job.seen].images
    saved = workspace.artifacts.root / CHECKPOINTS / f"{job.key}.pt"
    taker = (
        None
        if not job.snapshots
        else SnapshotTaker(data=own, objective=job.objective, count=job.snapshots, device=device)
    )
    checkpoint = Checkpoint(saved, report) if taker is None else CheckpointWithSnapshots(saved, report, taker=taker)
    started = time.monotonic()

    def build() -> torch.nn.Module:
        module = _built(job, own)
        if start is not None:
            begin = getattr(job.objective, "begin", copy_matching)
            begin(module, start)
        if taker is not None:
            taker.begin(module)
        return module

    def on_epoch(epoch: int, n_epochs: int, loss: float, learner: Learner) -> None:
        report.progress(f"training {job.label}, loss {loss:.4g}", epoch, n_epochs)
        if taker is not None:
            taker.after(epoch, n_epochs)
        if epoch % max(1, n_epochs // 10) == 0:
            _save_picture(learner, pictures / f"{job.objective.name}-{job.key[:8]}-seed{job.seed}-epoch{epoch:04d}.png")

    if slow := precision.warning(job.config.precision, device):
        report.message(slow)
    report.progress(f"training {job.label}", 0, 1)
    network, log = train(
        build,
        job.objective,
        TrainingImages(images=images.at(fit).images, labels=labels[fit], seen=seen),
        job.config,
        seed=job.seed,
        device=device,
        checkpoint=checkpoint,
        on_epoch=on_epoch,
    )
    # Into an open file: torch would tell of a full disk in words of its own.
    with (aside / "weights.pt").open("wb") as file:
        torch.save({name: tensor.cpu() for name, tensor in network.state_dict().items()}, file)
    taken = {} if taker is None else _save_snapshots(taker, job, aside, report)
    checkpoint.remove()
    report.message(
        f"trained {job.label}: {job.config.length} on {len(fit)} images, "
        f"loss {log.losses[-1]:.4g}, {time.monotonic() - started:.1f} s"
    )
    return {
        "device": devices.describe(device),
        "torch": torch.__version__,
        "seconds": log.seconds,
        "images_seen": log.images_seen,
        "losses": log.losses,
        "config": plain(job.config),
        "precision": log.precision,
        **taken,
    }


def _save_snapshots(taker: SnapshotTaker, job: TrainingJob, aside: Path, report: Reporter) -> dict[str, Any]:
    """Write snapshots beside the weights, and return what is noted of them: which images they are of."""
    snapshots = taker.result()
    if snapshots is None:
        report.warning(f"no snapshots of {job.label}: {taker.nothing}")
        return {TAKEN: {}}
    if taker.resumed_without:
        report.warning(
            f"the snapshots of {job.label} lack the first {taker.resumed_without} epochs, which were trained without, "
            "or with others, before the training was stopped"
        )
    (aside / FILE).write_bytes(snapshots.packed())
    return {TAKEN: taker.fingerprints()}


def built(job: TrainingJob, data: BenchmarkData) -> torch.nn.Module:
    """Return the untrained module of a job; global generators are left as they are.

    Raises:
        ConfigError: it cannot take images of its benchmark.
    """
    # Building draws initial weights: without a seed of its own it would move the global generator.
    with seeded(0, torch.device("cpu")):
        return _built(job, data)


def _built(job: TrainingJob, data: BenchmarkData) -> torch.nn.Module:
    """Return the untrained module of a job, which takes images of its benchmark.

    Raises:
        ConfigError: it does not.
    """
    return build_network(
        job.objective,
        job.config.network or job.benchmark.network,
        data.training_images.shape,
        data.n_classes,
        job.benchmark.embedding_dim,
    )


def build_network(
    objective: Any, network: str, shape: tuple[int, int, int], n_classes: int, embedding_dim: int
) -> torch.nn.Module:
    """Return the untrained module of an objective, after a trial with black images.

    Args:
        objective: builds it.
        network: name of the network plugin that is the backbone.
        shape: of the images: channels, height, width.
        n_classes: number of ID classes.
        embedding_dim: size of embeddings.

    Raises:
        ConfigError: it cannot take images of that shape.
    """
    backbone: NetworkBuilder = registry.network(network)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module: torch.nn.Module = objective.build(backbone, shape, n_classes, embedding_dim)
            with torch.no_grad():
                # In evaluation mode, so that nothing is drawn and no running mean is moved.
                module.eval()(torch.zeros(1, *shape))
    except (RuntimeError, ValueError) as error:
        size = "×".join(map(str, shape))
        raise ConfigError(
            f"network {network} cannot take images of {size} ({error}); choose another network"
        ) from error
    return module.train()


def _save_picture(learner: Learner, file: Path) -> None:
    images = learner.picture()
    if images is None:
        return
    from torchvision.utils import save_image

    try:
        with file_atomic(file) as opened:
            save_image(images.float(), opened, format="png", nrow=8)
    # It lies among the results: else the cache, where the network is being written, would be blamed.
    except OSError as error:
        raise StoreError(
            f"cannot write {file} ({reason(error)}); free space or name another results folder: --results-dir"
        ) from error
