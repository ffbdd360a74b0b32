"""One cell: fit a method on a trained network, score every set, and write down the result."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from oodbench import __version__
from oodbench.api import FitInputs
from oodbench.batch import Batch, batch_size
from oodbench.errors import ConfigError, NeedsTrainingImages, ScoreError, UnknownName
from oodbench.hashing.values import digest, plain
from oodbench.plugins import registry
from oodbench.store.records import Record, Row, Scores
from oodbench.training.network import TrainedNetwork

from . import device as devices
from . import measures
from .naming import is_registered
from .outputs import outputs_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from oodbench.api import Detector
    from oodbench.data.loading import BenchmarkData
    from oodbench.images import ImageSet
    from oodbench.jobs import Cell, GivenNetwork, TrainingJob
    from oodbench.progress import Reporter
    from oodbench.store.artifacts import ArtifactStore

BATCH_SIZE = 2000
"""How many images a detector scores together, where they are small."""
DRAWN = 1000
"""How many embeddings of each set are kept to be drawn."""
OWN = "passed to oodbench.run"
"""Where benchmarks and methods come from that are not registered."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Bench:
    """A trained network with all images of its benchmark, shared by every method that is scored on it.

    Attributes:
        networks: what is evaluated: one, or several for methods with `members`.
        data: the images.
        device: to compute on.
        train: the ID images that the network was trained on, or the first of several.
        validation: the ID training images that were held out from all networks, or None where there are none.
        id_test: the ID test images.
        seen: seen OOD training images, by the name of the OOD test set of that distribution.
        ood: the OOD test sets.
    """

    networks: tuple[TrainedNetwork, ...]
    data: BenchmarkData
    device: torch.device
    train: Batch
    validation: Batch | None
    id_test: Batch
    seen: Mapping[str, Batch]
    ood: Mapping[str, Batch]

    @classmethod
    def of(
        cls,
        jobs: Sequence[TrainingJob | GivenNetwork],
        networks: Sequence[TrainedNetwork],
        data: BenchmarkData,
        artifacts: ArtifactStore,
        device: torch.device,
        report: Reporter,
    ) -> Bench:
        """Lay out the images of a benchmark; no forward pass is run before a method asks for its outputs."""

        def batch(images: ImageSet) -> Batch:
            first, *others = (outputs_of(network, images, artifacts, device, report) for network in networks)
            return Batch.of(images, first, device, tuple(others))

        train, validation = cls._halves(jobs, data, batch)
        return cls(
            networks=tuple(networks),
            data=data,
            device=device,
            train=train,
            validation=validation,
            id_test=batch(data.id_test),
            seen={name: batch(images) for name, images in data.seen.items()},
            ood={name: batch(images) for name, images in data.ood.items()},
        )

    @property
    def network(self) -> TrainedNetwork:
        """The first one, or the only one."""
        return self.networks[0]

    @staticmethod
    def _halves(
        jobs: Sequence[TrainingJob | GivenNetwork], data: BenchmarkData, batch: Callable[[ImageSet], Batch]
    ) -> tuple[Batch, Batch | None]:
        """Return the ID images that the first network was trained on, and those that were held out from all."""
        if data.id_train is None:
            return cast("Batch", _NoTrainingImages()), None
        halves, whole = [job.hold_out(data) for job in jobs], batch(data.id_train)
        # Each network has its own, drawn from its seed: else members could not be the networks of other methods.
        held_out = reduce(np.intersect1d, (each.validation for each in halves))
        return whole.at(halves[0].fit), whole.at(held_out) if len(held_out) else None


class _NoTrainingImages:
    """Stands where training images would, and says so to a method that asks for them."""

    def __getattr__(self, name: str) -> Any:
        raise NeedsTrainingImages("there are no ID training images")

    def __len__(self) -> int:
        raise NeedsTrainingImages("there are no ID training images")


def evaluate(cell: Cell, bench: Bench) -> tuple[Record, Scores, Detector]:
    """Return the result of one cell, and the detector that gave it.

    Args:
        cell: says which method, with which hyper-parameters and seed.
        bench: the network that its training job gave, with the images.

    Raises:
        NeedsTrainingImages: the method needs images that a user's own model came without.
        ScoreError: the method gave scores or classes that do not fit the images.
    """
    method, data = cell.method, bench.data
    started = time.monotonic()
    detector = _fitted(
        cell,
        FitInputs(
            network=bench.network.module,
            train=bench.train,
            validation=bench.validation if "id_validation" in method.sees else None,
            seen_ood=None if cell.seen is None else bench.seen[cell.seen],
            ood_test=bench.ood if "ood_test" in method.sees else {},
            n_classes=data.n_classes,
            seed=cell.seed,
        ),
    )
    fitted = time.monotonic()
    scores_id = scores_of(detector, bench.id_test, cell.method_name)
    scores_ood = {name: scores_of(detector, batch, cell.method_name) for name, batch in bench.ood.items()}
    scored = time.monotonic()
    embed = cell.method.objective.embed
    scores = Scores(
        id=scores_id,
        ood=scores_ood,
        embedding_id=_drawn(bench.id_test, embed),
        labels_id=_labels(_sample(bench.id_test)),
        embedding_ood={name: _drawn(batch, embed) for name, batch in bench.ood.items()},
    )
    seconds = {
        "train": sum(float(network.facts["seconds"]) for network in bench.networks),
        "fit": fitted - started,
        "score": scored - fitted,
    }
    accuracy_id = accuracy(detector, bench.id_test, cell.method_name)
    return _record(cell, bench, detector, scores, accuracy_id, seconds), scores, detector


def _fitted(cell: Cell, inputs: FitInputs) -> Detector:
    try:
        return cell.method.fit(inputs)
    except NeedsTrainingImages as error:
        raise NeedsTrainingImages(
            f"{cell.method_name} needs ID training images, and none are given; put them into train/ beside test/ (in "
            "Python: id_train=), or leave the method out"
        ) from error


def refused_without_training_images(cell: Cell, data: BenchmarkData) -> str:
    """Say why a method refuses a user's own model that comes without training images, or return "".

    Args:
        cell: is not scored; its method is fitted on the model and nothing else.
        data: the images of its benchmark.
    """
    if data.id_train is not None or cell.network.config is not None:
        return ""
    inputs = FitInputs(
        network=cell.network.model.classifier,
        train=cast("Batch", _NoTrainingImages()),
        validation=None,
        seen_ood=None,
        ood_test={},
        n_classes=data.n_classes,
        seed=cell.seed,
    )
    try:
        _fitted(cell, inputs)
    except ConfigError as error:
        return str(error)
    # The run will tell what else is wrong with it.
    except Exception:  # noqa: BLE001
        return ""
    return ""


def scores_of(detector: Detector, batch: Batch, name: str) -> NDArray[np.float64]:
    """Return the scores of all images of a batch, in pieces that fit the memory.

    Args:
        detector: gives the scores.
        batch: the images.
        name: of the method, for messages.

    Returns:
        float64, shape (n,).

    Raises:
        ScoreError: not one finite number an image.
    """
    pieces = []
    for part in batch.split(batch_size(batch.source.shape, BATCH_SIZE)):
        with torch.no_grad():
            scores = detector.score(part)
        if tuple(scores.shape) != (len(part),):
            raise ScoreError(
                f"{name} returned scores of shape {tuple(scores.shape)} for {len(part)} images of {part.source.name}; "
                f"score() must return shape ({len(part)},)"
            )
        pieces.append(scores.detach().double().cpu().numpy())
    values = np.concatenate(pieces)
    if broken := int(np.count_nonzero(~np.isfinite(values))):
        raise ScoreError(
            f"{name} gave {broken} of {len(values)} images of {batch.source.name} a score that is NaN or infinite; "
            "scores must be finite"
        )
    return values


def accuracy(detector: Detector, batch: Batch, name: str) -> float | None:
    """Return the share of labelled images that are classified right, or None where the method does not classify.

    Raises:
        ScoreError: not one class an image.
    """
    right = 0
    for part in batch.split(batch_size(batch.source.shape, BATCH_SIZE)):
        classes = classes_of(detector, part, name)
        if classes is None:
            return None
        right += int(np.equal(classes, _labels(part)).sum())
    return right / len(batch)


def classes_of(detector: Detector, batch: Batch, name: str) -> NDArray[np.int64] | None:
    """Return the class of each image of a batch that fits the memory, or None where the method does not classify.

    Raises:
        ScoreError: not one class an image.
    """
    with torch.no_grad():
        classes = detector.classify(batch)
    if classes is None:
        return None
    if tuple(classes.shape) != (len(batch),):
        raise ScoreError(
            f"{name} returned classes of shape {tuple(classes.shape)} for {len(batch)} images; "
            f"classify() must return shape ({len(batch)},), or None"
        )
    indices: NDArray[np.int64] = classes.cpu().numpy()
    return indices


def _drawn(batch: Batch, embed: Any) -> NDArray[np.float32]:
    outputs: Tensor = embed(_sample(batch).logits)
    drawn: NDArray[np.float32] = outputs.float().cpu().numpy()
    return drawn


def _sample(batch: Batch) -> Batch:
    """Return images spread evenly over a set, whose order may be that of its classes."""
    return batch.at(np.linspace(0, len(batch) - 1, min(DRAWN, len(batch))).astype(np.intp))


def _labels(batch: Batch) -> NDArray[np.int64]:
    labels = batch.source.labels
    assert labels is not None  # load_benchmark refuses ID sets without labels
    return labels[batch.rows]


def _record(
    cell: Cell,
    bench: Bench,
    detector: Detector,
    scores: Scores,
    accuracy_id: float | None,
    seconds: Mapping[str, float],
) -> Record:
    data, benchmark = bench.data, cell.benchmark
    rows = tuple(
        Row(
            out_dist=name,
            role=data.ood_set(name).role,
            seen=name == cell.seen,
            n_ood=len(values),
            fingerprint=data.ood[name].fingerprint,
            metrics=measures.all_metrics(scores.id, values),
        )
        for name, values in scores.ood.items()
    )
    return Record(
        key=cell.key,
        benchmark={
            "name": benchmark.name,
            "title": benchmark.title,
            "source": benchmark.source,
            "layout": benchmark.layout,
            "recipe": benchmark.recipe,
            "plugin": _plugin("benchmarks", benchmark.name) if is_registered(benchmark) else OWN,
        },
        method=cell.method_name,
        settings=plain(cell.method),
        changed=plain(cell.changed),
        sees=tuple(sorted(cell.method.sees)),
        fitted=_numbers(detector),
        objective={"name": cell.method.objective.name, **plain(cell.method.objective)},
        recipe=cell.recipe,
        training={} if cell.network.config is None else plain(cell.network.config),
        model={} if cell.network.config is not None else dict(cell.network.model.facts),
        cut_short=cell.cut_short,
        seed=cell.seed,
        seen=cell.seen,
        split=None if data.split is None else data.split.as_record(),
        class_names=data.class_names,
        accuracy=accuracy_id,
        n_id=len(scores.id),
        n_train=0 if data.id_train is None else len(bench.train),
        rows=rows,
        missing={name: data.ood_set(name).role for name in data.missing},
        fingerprints={
            "id_train": None if data.id_train is None else data.id_train.fingerprint,
            "id_test": data.id_test.fingerprint,
            "seen": None if cell.seen is None else data.seen[cell.seen].fingerprint,
            # Embeddings are those of the first network: methods with the same weights have the same picture.
            "weights": bench.network.digest,
            "members": digest([network.digest for network in bench.networks]) if len(bench.networks) > 1 else None,
        },
        device=devices.describe(bench.device),
        trained_on=", ".join(dict.fromkeys(network.facts["device"] for network in bench.networks)),
        versions={
            "oodbench": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        plugin=_plugin("methods", cell.method_name),
        seconds=dict(seconds),
    )


def _numbers(detector: Detector) -> dict[str, Any]:
    """Return what fitting chose, where it is a plain number or word, such as ODIN's ε."""
    state = getattr(detector, "__dict__", {})
    words = {name: value for name, value in state.items() if isinstance(value, bool | int | float | str)}
    return {name: value for name, value in words.items() if not isinstance(value, float) or math.isfinite(value)}


def _plugin(kind: registry.Kind, name: str) -> str:
    try:
        return registry.origin(kind, name)
    except UnknownName:
        return OWN
