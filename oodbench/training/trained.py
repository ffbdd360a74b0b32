"""A trained network as an artifact: made once for all methods that share it."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from oodbench.engine import device as devices
from oodbench.errors import ConfigError
from oodbench.hashing.values import array_digest, plain
from oodbench.plugins import registry

from .checkpoint import Checkpoint
from .learner import Learner
from .loop import TrainingImages, train
from .network import TrainedNetwork
from .seeding import seeded

if TYPE_CHECKING:
    from oodbench.data.loading import BenchmarkData
    from oodbench.jobs import TrainingJob
    from oodbench.progress import Reporter
    from oodbench.store.artifacts import ArtifactStore


def network_of(
    job: TrainingJob,
    data: BenchmarkData,
    artifacts: ArtifactStore,
    device: torch.device,
    report: Reporter,
    *,
    pictures: Path,
) -> TrainedNetwork:
    """Return the network of a training job, trained now or before.

    Args:
        job: says what is trained on what, and how.
        data: the images of its benchmark.
        artifacts: where networks and checkpoints are kept.
        device: to compute on.
        report: told each epoch.
        pictures: folder for what a learner has to show, about ten times in a training.

    Raises:
        TrainingError: the training diverged.
    """
    images = data.training_images
    labels = images.labels
    assert labels is not None  # load_benchmark refuses ID sets without labels
    n_outputs = job.objective.output_size(data.n_classes, job.benchmark.embedding_dim)

    def build() -> torch.nn.Module:
        return _built(job.config.network or job.benchmark.network, images.shape, n_outputs)

    def train_and_save(aside: Path) -> dict[str, Any]:
        fit = job.hold_out(data).fit
        seen = None if job.seen is None else data.seen[job.seen].images
        checkpoint = Checkpoint(artifacts.root / "checkpoints" / f"{job.key}.pt", report)
        started = time.monotonic()

        def on_epoch(epoch: int, n_epochs: int, loss: float, learner: Learner) -> None:
            report.progress(f"training {job.label}, loss {loss:.4g}", epoch, n_epochs)
            if epoch % max(1, n_epochs // 10) == 0:
                _save_picture(
                    learner, pictures / f"{job.objective.name}-{job.key[:8]}-seed{job.seed}-epoch{epoch:04d}.png"
                )

        report.progress(f"training {job.label}", 0, 1)
        network, log = train(
            build,
            job.objective,
            TrainingImages(images=images.images[fit], labels=labels[fit], seen=seen),
            job.config,
            seed=job.seed,
            device=device,
            checkpoint=checkpoint,
            on_epoch=on_epoch,
        )
        torch.save({name: tensor.cpu() for name, tensor in network.state_dict().items()}, aside / "weights.pt")
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
        }

    folder = artifacts.find("networks", job.key) or artifacts.save("networks", job.key, train_and_save)
    weights = torch.load(folder / "weights.pt", weights_only=True)
    # Building draws initial weights: without a seed of its own it would move the global generator.
    with seeded(0, torch.device("cpu")):
        module = build()
    module.load_state_dict(weights)
    # Channels last, as it was trained: convolutions are faster so.
    module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    module.eval().requires_grad_(requires_grad=False)
    return TrainedNetwork(
        module=module,
        digest=array_digest(*(tensor.numpy() for tensor in weights.values())),
        facts=artifacts.facts("networks", job.key),
    )


def _built(name: str, shape: tuple[int, int, int], n_outputs: int) -> torch.nn.Module:
    """Return an untrained network that takes images of a shape.

    Raises:
        ConfigError: it does not.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = registry.network(name)(shape, n_outputs)
            with torch.no_grad():
                # In evaluation mode, so that nothing is drawn and no running mean is moved.
                network.eval()(torch.zeros(1, *shape))
    except (RuntimeError, ValueError) as error:
        size = "×".join(map(str, shape))
        raise ConfigError(f"network {name} cannot take images of {size} ({error}); choose another network") from error
    return network.train()


def _save_picture(learner: Learner, file: Path) -> None:
    images = learner.picture()
    if images is None:
        return
    from torchvision.utils import save_image

    file.parent.mkdir(parents=True, exist_ok=True)
    save_image(images.float(), file, nrow=8)
