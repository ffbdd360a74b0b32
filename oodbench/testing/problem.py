"""The problem that methods are checked on: a bright square in one of three corners, learnt by a tiny network."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from oodbench.api import FitInputs, Method, Objective
from oodbench.batch import Batch
from oodbench.forward import outputs_in_memory
from oodbench.images import ImageSet
from oodbench.objectives import copy_matching
from oodbench.training.config import TrainConfig
from oodbench.training.loop import TrainingImages, train

_SIDE = 12
_EPOCHS = 10
_BATCH = 25
_CLASSES = ("top left", "top right", "bottom left")
_CORNERS = ((1, 1), (1, 7), (7, 1))


class Narrow(nn.Module):
    """Two 3×3 convolutions, one max-pooling, one hidden layer of 128: enough for the problem, and trained in a moment.

    Args:
        shape: channels, height and width of the images.
        n_outputs: number of classes, or size of the embedding.
    """

    def __init__(self, shape: tuple[int, int, int], n_outputs: int) -> None:
        super().__init__()
        channels, height, width = shape
        self.body = nn.Sequential(
            nn.Conv2d(channels, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * (height // 2) * (width // 2), 128),
            nn.ReLU(),
        )
        self.head = nn.Linear(128, n_outputs)

    def features(self, images: Tensor) -> Tensor:
        """Return the hidden layer, shape (n, 128), of images in [0, 1]."""
        out: Tensor = self.body(images)
        return out

    def forward(self, images: Tensor) -> Tensor:
        """Return the output, shape (n, n_outputs)."""
        out: Tensor = self.head(self.features(images))
        return out


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """A method's networks with the images that it is checked on.

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
    """Return the problem that a method is checked on, with networks trained for its objectives.

    Args:
        method: says what it may see.
        other_ood: whether all OOD images that the method does not declare are noise of another kind.
        device: where the networks and all tensors are; the training is the same on all of them.
    """
    may_see = "seen_ood" in method.sees
    seen = _noise(200, 3, high=250 if other_ood and not may_see else 120)
    uses_seen = any(objective.uses_seen_ood for objective in method.networks)
    trained = [
        _network(objective, method.networks[:i].count(objective), seen.tobytes() if uses_seen else b"")
        for i, objective in enumerate(method.networks)
    ]
    networks = trained if device == "cpu" else [copy.deepcopy(network).to(device) for network in trained]
    readings = tuple(getattr(method, "reads", ()))

    def batch(images: NDArray[np.uint8], labels: NDArray[np.int64] | None = None) -> Batch:
        source = ImageSet(name="check", images=images, labels=labels, class_names=_CLASSES)
        cpu = torch.device("cpu")
        first, *others = (outputs_in_memory(network, images, cpu, readings) for network in trained)
        return Batch.of(source, first, torch.device(device), tuple(others))

    far = batch(_noise(40, 4, high=250) if other_ood else _stripes(40))
    inputs = FitInputs(
        networks=tuple(networks),
        train=batch(*_squares(300, seed=0)),
        validation=batch(*_squares(60, seed=1)) if "id_validation" in method.sees else None,
        seen_ood=batch(seen) if may_see else None,
        ood_test={"stripes": batch(_stripes(40))} if "ood_test" in method.sees else {},
        n_classes=len(_CLASSES),
        seed=0,
        ood_validation={"noise": batch(_noise(40, 6, high=120))} if "ood_validation" in method.sees else {},
        altered={"noise": batch(_noise(40, 7, high=120))} if "id_validation" in method.sees else {},
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


def _stripes(count: int) -> NDArray[np.uint8]:
    """Return bright stripes with noise: shapes where training images have none.

    Black images, which a linear auto-encoder reconstructs perfectly, would be far for classifiers only.
    """
    rng = np.random.default_rng(5)
    images = rng.integers(0, 250, (count, 1, _SIDE, _SIDE))
    images[:, 0, :, ::3] = 250
    return images.astype(np.uint8)


@cache
def _network(objective: Objective, seed: int, seen: bytes) -> torch.nn.Module:
    """Return a network trained for an objective, after the one that it starts from."""
    images, labels = _squares(300, seed=0)
    first: Objective | None = getattr(objective, "starts_from", None)
    start = None if first is None else _network(first, seed, seen if first.uses_seen_ood else b"")

    def build() -> torch.nn.Module:
        module = objective.build(Narrow, (1, _SIDE, _SIDE), len(_CLASSES), 3)
        if start is not None:
            getattr(objective, "begin", copy_matching)(module, start)
        return module

    uses_seen = objective.uses_seen_ood and seen
    network, _ = train(
        build,
        objective,
        TrainingImages(
            images=images,
            labels=labels,
            seen=np.frombuffer(seen, dtype=np.uint8).reshape(-1, 1, _SIDE, _SIDE).copy() if uses_seen else None,
        ),
        # At higher rates the softmax of some objectives is 1 for the far images as well.
        TrainConfig(epochs=_EPOCHS, batch_size=_BATCH, learning_rate=1e-3),
        seed=seed,
        device=torch.device("cpu"),
    )
    return network
