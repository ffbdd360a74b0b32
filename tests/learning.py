"""Trains an objective's network for a few steps, for tests of what training moves."""

from __future__ import annotations

import numpy as np
import torch

from oodbench.training.config import TrainConfig
from oodbench.training.learner import Setting

CPU = torch.device("cpu")


def no_backbone(shape, n_outputs):
    """Stand for the benchmark's network where an objective must not use it."""
    raise AssertionError("this objective builds a network of its own")


def setting(images, *, steps=30, batch_size=None, seed=0, seen=None, n_classes=2, **config):
    """Return the setting of a training on images, float32 of shape (n, channels, height, width)."""
    batch_size = batch_size or len(images)
    return Setting(
        config=TrainConfig(**{"learning_rate": 3e-3, "schedule": "constant", **config}),
        shape=tuple(images.shape[1:]),
        n_classes=n_classes,
        steps=steps,
        steps_per_epoch=max(1, len(images) // batch_size),
        seen=seen,
        random=torch.Generator().manual_seed(seed),
    )


def built(objective, shape, *, n_classes=2, seed=0, backbone=no_backbone):
    """Return the objective's untrained network, in training mode."""
    torch.manual_seed(seed)
    return objective.build(backbone, shape, n_classes, 3).train()


def learn(objective, images, labels=None, *, network=None, steps=30, batch_size=None, seed=0, **settings):
    """Return a network in evaluation mode after some steps, and the loss of each step.

    Args:
        objective: says what is trained and how.
        images: float32 in [0, 1].
        labels: int64; all 0 where not given.
        network: to go on with, instead of an untrained one.
        steps: how many batches.
        batch_size: of each; all images where not given.
        seed: of weights and batches.
        settings: of `setting`.
    """
    labels = torch.zeros(len(images), dtype=torch.int64) if labels is None else labels
    network = built(objective, tuple(images.shape[1:]), seed=seed) if network is None else network.train()
    given = setting(images, steps=steps, batch_size=batch_size, seed=seed, **settings)
    torch.manual_seed(seed)
    learner = objective.learner(network, given)
    losses, rng = [], np.random.default_rng(seed)
    for _ in range(steps):
        chosen = torch.tensor(rng.permutation(len(images))[: batch_size or len(images)])
        losses.append(learner.step(images[chosen], labels[chosen]).item())
    network.zero_grad(set_to_none=True)
    return network.eval(), losses


def stripes(count=32, side=8, channels=1, seed=0):
    """Return 8-bit images of bright rows at changing heights, float32 in [0, 1]."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 30, (count, channels, side, side))
    for i in range(count):
        images[i, :, i % (side // 2) * 2] += 200
    return torch.tensor(images, dtype=torch.float32) / 255


def noise(count=32, side=8, channels=1, seed=1):
    """Return 8-bit noise, float32 in [0, 1]."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, channels, side, side))
    return torch.tensor(pixels, dtype=torch.float32) / 255
