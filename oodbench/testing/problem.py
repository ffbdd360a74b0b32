"""The problem that methods are checked on: a bright square in one of three corners, learnt by a tiny network."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from oodbench.api import FitInputs, Method, Objective
from oodbench.batch import Batch, Outputs, to_unit_interval
from oodbench.images import ImageSet
from oodbench.networks.tinynet import TinyNet
from oodbench.training.config import TrainConfig
from oodbench.training.loop import TrainingImages, train

_SIDE = 12
_CLASSES = ("top left", "top right", "bottom left")
_CORNERS = ((1, 1), (1, 7), (7, 1))


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """A method's network with the images that it is checked on.

    Attributes:
        inputs: what `fit` is given; validation, seen OOD and OOD test images only where the method declares them.
        easy: ID images that no method may find hard.
        far: images that are unlike anything in training.
    """

    inputs: FitInputs
    easy: Batch
    far: Batch


@cache
def problem(method: Method, *, other_ood: bool = False, device: str = "cpu") -> Problem:
    """Return the problem that a method is checked on, with a network trained for its objective.

    Args:
        method: says what it may see.
        other_ood: whether all OOD images that the method does not declare are noise; else they are black or grey.
        device: where the network and all tensors are; the training is the same on all of them.
    """
    seen = _noise(200, 3, high=250 if other_ood and "seen_ood" not in method.sees else 120)
    trained = _network(method.objective, seen.tobytes() if method.objective.uses_seen_ood else b"")
    network = trained if device == "cpu" else copy.deepcopy(trained).to(device)

    def batch(images: NDArray[np.uint8], labels: NDArray[np.int64] | None = None) -> Batch:
        source = ImageSet(name="check", images=images, labels=labels, class_names=_CLASSES)
        with torch.no_grad():
            features = trained.features(to_unit_interval(torch.tensor(images)))
            outputs = Outputs(logits=trained.head(features).numpy(), features=features.numpy())
        return Batch.of(source, lambda: outputs, torch.device(device))

    far = batch(_noise(40, 4, high=250) if other_ood else np.zeros((40, 1, _SIDE, _SIDE), dtype=np.uint8))
    black = batch(np.zeros((40, 1, _SIDE, _SIDE), dtype=np.uint8))
    inputs = FitInputs(
        network=network,
        train=batch(*_squares(300, seed=0)),
        validation=batch(*_squares(60, seed=1)) if "id_validation" in method.sees else None,
        seen_ood=batch(seen) if "seen_ood" in method.sees else None,
        ood_test={"black": black} if "ood_test" in method.sees else {},
        n_classes=len(_CLASSES),
        seed=0,
    )
    return Problem(inputs=inputs, easy=batch(*_squares(90, seed=2)), far=far)


def _squares(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 30, (count, 1, _SIDE, _SIDE))
    labels = np.arange(count) % len(_CLASSES)
    for image, label in zip(images, labels, strict=True):
        top, left = _CORNERS[label]
        image[0, top : top + 4, left : left + 4] += rng.integers(180, 220)
    return images.astype(np.uint8), labels.astype(np.int64)


def _noise(count: int, seed: int, *, high: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, high, (count, 1, _SIDE, _SIDE)).astype(np.uint8)


@cache
def _network(objective: Objective, seen: bytes) -> TinyNet:
    images, labels = _squares(300, seed=0)
    size = objective.output_size(len(_CLASSES), 3)
    network, _ = train(
        lambda: TinyNet((1, _SIDE, _SIDE), size),
        objective,
        TrainingImages(
            images=images,
            labels=labels,
            seen=np.frombuffer(seen, dtype=np.uint8).reshape(-1, 1, _SIDE, _SIDE).copy() if seen else None,
        ),
        TrainConfig(epochs=20, batch_size=60, learning_rate=3e-3),
        seed=0,
        device=torch.device("cpu"),
    )
    assert isinstance(network, TinyNet)
    return network
