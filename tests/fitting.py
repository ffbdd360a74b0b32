"""Batches and fit inputs that are made by hand, for tests of methods that are fitted."""

from __future__ import annotations

import numpy as np
import torch

from oodbench.api import FitInputs
from oodbench.batch import Batch
from oodbench.forward import outputs_in_memory
from oodbench.images import ImageSet

CPU = torch.device("cpu")


def batch_of(features, logits=None, labels=None, n_classes=3):
    """Return a batch with these outputs, whose images nobody may ask for."""
    features = np.asarray(features, dtype=np.float32)
    logits = features if logits is None else np.asarray(logits, dtype=np.float32)
    source = ImageSet(
        name="test",
        images=np.zeros((len(features), 1, 1, 1), dtype=np.uint8),
        labels=None if labels is None else np.asarray(labels, dtype=np.int64),
        class_names=tuple(map(str, range(n_classes))),
    )
    return BlindBatch.of(source, {"logits": logits, "features": features}, CPU)


class BlindBatch(Batch):
    """A batch of outputs alone."""

    @property
    def images(self):
        raise AssertionError("this method must not ask for images")


def batch_of_images(network, images, labels=None, n_classes=3, readings=()):
    """Return a batch of uint8 images with what a network says of them, and with readings of its layers."""
    source = ImageSet(name="test", images=images, labels=labels, class_names=tuple(map(str, range(n_classes))))
    return Batch.of(source, outputs_in_memory(network, images, CPU, readings), CPU)


def fit_inputs(train, *, network=None, n_classes=3, seed=0, **parts):
    """Return fit inputs with a training batch, and more where given."""
    parts = {"validation": None, "seen_ood": None, "ood_test": {}, **parts}
    return FitInputs(networks=(network,), train=train, n_classes=n_classes, seed=seed, **parts)
