"""Batches of named outputs that are given by hand, for methods whose networks say more than features and logits."""

from __future__ import annotations

import numpy as np
import torch


class NamedOutputs:
    """What a detector may ask of a batch."""

    device = torch.device("cpu")

    def __init__(self, arrays, labels=None):
        self._arrays = {name: np.asarray(array, dtype=np.float32) for name, array in arrays.items()}
        self.labels = None if labels is None else torch.tensor(labels)

    def __len__(self):
        return len(next(iter(self._arrays.values())))

    def output(self, name):
        return torch.tensor(self._arrays[name])

    @property
    def logits(self):
        return self.output("logits")

    @property
    def features(self):
        return self.output("features")

    def at(self, rows):
        labels = None if self.labels is None else self.labels[rows].tolist()
        return NamedOutputs({name: array[rows] for name, array in self._arrays.items()}, labels)


def batch_of(labels=None, **arrays):
    """Return a batch with these outputs, each of shape (n, ...)."""
    return NamedOutputs(arrays, labels)
