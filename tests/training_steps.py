"""A few dozen steps of an objective on a tiny network: squares in three corners, and in the fourth as OOD."""

from __future__ import annotations

import numpy as np
import torch

from oodbench.plugins import registry
from oodbench.training.config import TrainConfig
from oodbench.training.learner import Setting

SHAPE = (1, 8, 8)
CORNERS = ((0, 0), (0, 5), (5, 0), (5, 5))


def squares(count, corners, seed=0):
    """Return uint8 images with a bright square in one of some corners in turn, and which corner it is."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 60, (count, *SHAPE))
    labels = np.arange(count) % len(corners)
    for image, label in zip(images, labels, strict=True):
        top, left = corners[label]
        image[0, top : top + 3, left : left + 3] += rng.integers(120, 190)
    return torch.tensor(images.astype(np.uint8)), torch.tensor(labels)


def id_images(count=48, seed=1):
    """Return images of the three classes, float32 in [0, 1], and labels."""
    images, labels = squares(count, CORNERS[:3], seed)
    return images.float() / 255, labels


def seen_images(count=48, seed=2):
    """Return seen OOD images, uint8."""
    return squares(count, CORNERS[3:], seed)[0]


def backbone(shape, n_outputs):
    """Return an untrained tiny network."""
    return registry.network("tinynet")(shape, n_outputs)


def setting_of(steps=40, seed=0, *, n_classes=3, seen=None, **config):
    """Return the setting of a short training."""
    return Setting(
        config=TrainConfig(**{"epochs": 1, "batch_size": 24, "learning_rate": 3e-3, "schedule": "constant", **config}),
        shape=SHAPE,
        n_classes=n_classes,
        steps=steps,
        steps_per_epoch=steps,
        seen=seen_images() if seen is None else seen,
        random=torch.Generator().manual_seed(seed),
    )


def built(objective, seed=0, n_classes=3):
    """Return an untrained network of an objective."""
    torch.manual_seed(seed)
    return objective.build(backbone, SHAPE, n_classes, 3)


def trained(objective, steps=40, seed=0, *, images=None, labels=None, network=None, **setting):
    """Return the network of an objective after a few steps on batches of 24 images, in evaluation mode."""
    if images is None:
        images, labels = id_images()
    if network is None:
        network = built(objective, seed)
        if objective.starts_from is not None:
            objective.begin(network, trained(objective.starts_from, steps, seed, images=images, labels=labels))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        learner = objective.learner(network.train(), setting_of(steps, seed, **setting))
        random = torch.Generator().manual_seed(seed)
        for _ in range(steps):
            chosen = torch.randperm(len(images), generator=random)[:24]
            learner.step(images[chosen], labels[chosen])
    return network.eval().requires_grad_(requires_grad=False)
