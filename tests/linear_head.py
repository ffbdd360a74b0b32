"""A classifier whose features are given by hand, and the batches that it gives."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from oodbench.api import FitInputs
from oodbench.batch import Batch
from oodbench.images import ImageSet
from oodbench.plugins import registry


class Classifier(nn.Module):
    """Its images are its features; its head is linear, or what it is given."""

    def __init__(self, weights=None, bias=None, *, head=None):
        super().__init__()
        if head is None:
            weights, bias = (torch.tensor(np.asarray(values), dtype=torch.float32) for values in (weights, bias))
            head = nn.Linear(weights.shape[1], weights.shape[0])
            head.weight.data, head.bias.data = weights, bias
        self.head = head
        self.eval().requires_grad_(requires_grad=False)

    @classmethod
    def random(cls, n_features=16, n_classes=4, seed=0):
        """Return a classifier with random weights and bias."""
        rng = np.random.default_rng(seed)
        return cls(rng.normal(size=(n_classes, n_features)), rng.normal(size=n_classes))

    def features(self, images):
        return images.flatten(1)

    def forward(self, images):
        return self.head(self.features(images))

    def batch(self, features):
        """Return a batch of images with these features, and the logits that the head gives them."""
        features = np.asarray(features, dtype=np.float32)
        with torch.no_grad():
            logits = self.head(torch.tensor(features)).numpy()
        return batch_of(logits, features)

    def fit(self, method, train, **settings):
        """Return the detector of a method that is fitted to training features, shape (n, n_features)."""
        inputs = FitInputs(
            networks=(self,), train=self.batch(train), validation=None, seen_ood=None, ood_test={}, n_classes=2, seed=0
        )
        return registry.method(method)(**settings).fit(inputs)


def batch_of(logits, features=None):
    """Return a batch with these logits and features; without features, the logits stand for them."""
    logits = np.asarray(logits, dtype=np.float32)
    features = logits if features is None else np.asarray(features, dtype=np.float32)
    source = ImageSet(name="test", images=np.zeros((len(logits), 1, 1, 1), np.uint8), labels=None, class_names=())
    return Batch.of(source, {"logits": logits, "features": features}, torch.device("cpu"))


def random_features(n=200, n_features=16, seed=1):
    """Return rectified features around a few directions, float32."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(4, n_features))
    return np.maximum(centres[np.arange(n) % 4] + rng.normal(size=(n, n_features)), 0).astype(np.float32)
