"""One cell: fit a method on its networks, score every set, and write down the result."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from oodbench import __version__
from oodbench import device as devices
from oodbench.api import FitInputs
from oodbench.columns import SHIFTED_ACCURACY
from oodbench.errors import NeedsTrainingImages, UnknownName
from oodbench.hashing.values import digest, plain
from oodbench.metrics import certainty_of
from oodbench.plugins import registry
from oodbench.scoring import classes_of, scores_of
from oodbench.store.records import Record, Row, Scores
from oodbench.store.samples import samples_of_scores
from oodbench.tuning import TunedDetector, settings_of

from . import measures
from .naming import is_registered
from .needs import without_training_images

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from oodbench.api import Detector, Objective
    from oodbench.batch import Batch, Outputs
    from oodbench.benchmark import Benchmark
    from oodbench.data.loading import BenchmarkData
    from oodbench.jobs import Cell

    from .material import Material

DRAWN = 1000
"""How many embeddings of each set are kept to be drawn."""
MOST_DIMENSIONS = 10
"""Of these embeddings: wider ones are projected on the first principal components of the ID test images, of which
pictures show three."""
BY_HAND = "passed to oodbench.run"
"""Where benchmarks and methods come from that are not registered."""


def evaluate(cell: Cell, material: Material) -> tuple[Record, Scores, Detector]:
    """Return the result of one cell, and the detector that gave it.

    Args:
        cell: says which method, with which hyper-parameters and seed.
        material: the networks that its jobs gave, with the images.

    Raises:
        NeedsTrainingImages: the method needs images that a user's own model came without.
        ScoreError: the method gave scores or classes that do not fit the images.
    """
    method, data, name = cell.method, material.data, cell.method_name
    started = time.monotonic()
    detector = _fitted(
        cell,
        FitInputs(
            networks=tuple(network.module for network in material.networks),
            train=material.train,
            validation=material.validation if "id_validation" in method.sees else None,
            seen_ood=None if cell.seen is None else material.seen[cell.seen],
            ood_test=_out_of_distribution(material) if "ood_test" in method.sees else {},
            ood_validation=material.ood_validation if "ood_validation" in method.sees else {},
            altered=material.altered if "id_validation" in method.sees else {},
            n_classes=data.n_classes,
            seed=cell.seed,
        ),
    )
    fitted = time.monotonic()
    asked = _Asked(material.id_test.outputs)
    id_test = replace(material.id_test, outputs=asked)
    scores_id = scores_of(detector, id_test, name)
    scores_ood = {name_ood: scores_of(detector, batch, name) for name_ood, batch in material.ood.items()}
    scored = time.monotonic()
    predicted_id = classes_of(detector, id_test, name)
    draw = _drawing(method.networks[0], asked, id_test)
    probabilities = _probabilities(material.id_test, data.n_classes) if draw and "logits" in asked.names else None
    scores = Scores(
        id=scores_id,
        ood=scores_ood,
        predicted_id=predicted_id,
        true_id=data.id_test.labels,
        certainty_id=_certainty(probabilities, data.id_test.labels),
        predicted_ood={
            name_ood: None if predicted_id is None else classes_of(detector, batch, name)
            for name_ood, batch in material.ood.items()
        },
        true_ood={name_ood: batch.source.labels for name_ood, batch in material.ood.items()},
        embedding_id=draw and draw(material.id_test),
        labels_id=None if data.id_test.labels is None else data.id_test.labels[_spread(len(data.id_test))],
        embedding_ood={name_ood: draw and draw(batch) for name_ood, batch in material.ood.items()},
    )
    seconds = {
        "train": sum(float(network.facts["seconds"]) for network in material.networks),
        "fit": fitted - started,
        "score": scored - fitted,
    }
    return _record(cell, material, detector, scores, probabilities, seconds), scores, detector


def _out_of_distribution(material: Material) -> Mapping[str, Batch]:
    """Return the test sets that are out of distribution in every sense."""
    return {name: batch for name, batch in material.ood.items() if name not in material.data.covariate}


class _Asked(Mapping[str, "NDArray[Any]"]):
    """Outputs that remember which of them were asked for."""

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> NDArray[Any]:
        self.names.add(name)
        return self._outputs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._outputs)

    def __len__(self) -> int:
        return len(self._outputs)


def _fitted(cell: Cell, inputs: FitInputs) -> Detector:
    try:
        return cell.method.fit(inputs)
    except NeedsTrainingImages as error:
        raise without_training_images(cell.method_name) from error


def _drawing(objective: Objective, asked: _Asked, id_test: Batch) -> Callable[[Batch], NDArray[np.float32]] | None:
    """Return what gives the embeddings of a batch that are kept to be drawn, or None where nothing is drawn."""
    embed = getattr(objective, "embed", None)
    name: str = getattr(objective, "drawn", "logits")
    # Nothing is computed only to be drawn: a method that never asks for the network's outputs has no picture of them.
    if embed is None or not ({name} if name == "logits" else {*asked}) & asked.names:
        return None

    def embedded(batch: Batch) -> NDArray[np.float32]:
        outputs: Tensor = embed(batch.at(_spread(len(batch))).output(name))
        drawn: NDArray[np.float32] = outputs.float().cpu().numpy()
        return drawn

    points = embedded(id_test)
    if points.shape[1] <= MOST_DIMENSIONS:
        return embedded
    from sklearn.decomposition import PCA

    project = PCA(n_components=MOST_DIMENSIONS, random_state=0).fit(points).transform
    return lambda batch: project(embedded(batch)).astype(np.float32)


def _probabilities(batch: Batch, n_classes: int) -> NDArray[np.float64] | None:
    """Return the class probabilities of a classifier, shape (n, n_classes), or None where the network is none."""
    if n_classes < 2 or batch.outputs["logits"].shape != (len(batch), n_classes):
        return None
    probabilities: NDArray[np.float64] = batch.logits.double().softmax(dim=1).cpu().numpy()
    return probabilities


def _certainty(probabilities: NDArray[np.float64] | None, true: NDArray[np.int64] | None) -> NDArray[np.float32] | None:
    """Return what is kept of probabilities: metrics read what is stored, so that they can be computed again from it."""
    if probabilities is None or true is None:
        return None
    return certainty_of(probabilities, true).astype(np.float32)


def _spread(count: int) -> NDArray[np.intp]:
    """Return images spread evenly over a set, whose order may be that of its classes."""
    return np.linspace(0, count - 1, min(DRAWN, count)).astype(np.intp)


def _accuracy(scores: Scores, n_classes: int) -> float | None:
    """Return the share of ID test images that are classified right; None where nothing is told apart."""
    if scores.predicted_id is None or scores.true_id is None or n_classes < 2:
        return None
    return float(np.equal(scores.predicted_id, scores.true_id).mean())


def _metrics(
    data: BenchmarkData, scores: Scores, name: str, probabilities: NDArray[np.float64] | None
) -> dict[str, float]:
    """Return all metrics of one set; one with a covariate shift has those of its scores, and an accuracy of its own."""
    found = measures.all_metrics(scores.id, scores.ood[name])
    if name in data.covariate:
        return found | _shifted_accuracy(data, scores, name)
    found |= measures.metrics_of_samples(samples_of_scores(scores, name, data.n_classes, probabilities))
    if not data.covariate:
        return found
    shifted = (scores.ood[other] for other in data.covariate)
    return found | measures.full_spectrum(np.concatenate([scores.id, *shifted]), scores.ood[name])


def _shifted_accuracy(data: BenchmarkData, scores: Scores, name: str) -> dict[str, float]:
    """Return the share of a covariate-shifted set that is classified right, by the names of the classes."""
    predicted, labels = scores.predicted_ood.get(name), scores.true_ood.get(name)
    if predicted is None or labels is None or data.n_classes < 2:
        return {}
    index = {known: i for i, known in enumerate(data.class_names)}
    true = np.array([index[own] for own in data.ood[name].class_names], dtype=np.int64)[labels]
    return {SHIFTED_ACCURACY: float(np.equal(predicted, true).mean())}


def _record(
    cell: Cell,
    material: Material,
    detector: Detector,
    scores: Scores,
    probabilities: NDArray[np.float64] | None,
    seconds: Mapping[str, float],
) -> Record:
    data, benchmark = material.data, cell.benchmark
    rows = tuple(
        Row(
            out_dist=name,
            role=data.ood_set(name).role,
            seen=name == cell.seen,
            n_ood=len(values),
            fingerprint=data.ood[name].fingerprint,
            metrics=_metrics(data, scores, name, probabilities),
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
            "plugin": _origin_of(benchmark),
            **({} if is_registered(benchmark) else {"shape": "x".join(map(str, data.id_test.shape))}),
        },
        suite=benchmark.suite,
        method=cell.method_name,
        settings=settings_of(cell.method),
        changed=plain(cell.changed),
        sees=tuple(sorted(cell.method.sees)),
        fitted=_numbers(detector),
        objective={"name": cell.network.objective.name, **plain(cell.network.objective)},
        recipe=cell.recipe,
        training=_training(cell, material),
        model=dict(cell.network.given),
        cut_short=cell.cut_short,
        seed=cell.seed,
        seen=cell.seen,
        split=None if data.split is None else data.split.as_record(),
        contamination=None if data.contamination is None else dict(data.contamination),
        damaged=dict(data.damaged),
        class_names=data.class_names,
        accuracy=_accuracy(scores, data.n_classes),
        n_id=len(scores.id),
        n_train=0 if data.id_train is None else len(material.train),
        rows=rows,
        missing={name: data.ood_set(name).role for name in data.missing},
        fingerprints={
            "id_train": None if data.id_train is None else data.id_train.fingerprint,
            "id_test": data.id_test.fingerprint,
            "seen": None if cell.seen is None else data.seen[cell.seen].fingerprint,
            # Embeddings are those of the first network: methods with the same weights have the same picture.
            "weights": material.networks[0].digest,
            "members": digest([network.digest for network in material.networks])
            if len(material.networks) > 1
            else None,
        },
        device=devices.describe(material.device),
        trained_on=", ".join(dict.fromkeys(network.facts["device"] for network in material.networks)),
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
    if isinstance(detector, TunedDetector):
        return _numbers(detector.detector) | dict(detector.chosen)
    state = getattr(detector, "__dict__", {})
    words = {name: value for name, value in state.items() if isinstance(value, bool | int | float | str)}
    return {name: value for name, value in words.items() if not isinstance(value, float) or math.isfinite(value)}


def _training(cell: Cell, material: Material) -> dict[str, Any]:
    """Return how the first network was trained, with the precision that its machine took for "auto"."""
    training = dict(cell.network.training)
    taken = material.networks[0].facts.get("precision")
    return training | {"precision": taken} if training and taken else training


def _origin_of(benchmark: Benchmark) -> str:
    """Return the distribution that a benchmark or its suite comes from."""
    if not is_registered(benchmark):
        return BY_HAND
    if benchmark.name in registry.names("benchmarks"):
        return _plugin("benchmarks", benchmark.name)
    return _plugin("suites", benchmark.suite)


def _plugin(kind: registry.Kind, name: str) -> str:
    try:
        return registry.origin(kind, name)
    except UnknownName:
        return BY_HAND
