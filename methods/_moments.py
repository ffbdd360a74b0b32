"""Means and covariances of training features, a part at a time, so that memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from oodbench.batch import Batch

VALUES_AT_ONCE = 2**24
"""How many features are held in float64 at once, 128 MiB."""


def parts_of(batch: Batch) -> Iterator[Batch]:
    """Yield consecutive parts of a batch whose features in float64 take a bounded amount of memory."""
    width = batch.at(slice(1)).features.shape[1]
    return batch.split(max(1, VALUES_AT_ONCE // width))


def mean_of(batch: Batch) -> Tensor:
    """Return the mean feature, float64 of shape (n_features,)."""
    return torch.stack([part.features.double().sum(dim=0) for part in parts_of(batch)]).sum(dim=0) / len(batch)


def class_means(batch: Batch, n_classes: int, *, only_right: bool = False) -> tuple[Tensor, Tensor]:
    """Return the mean feature of each class, float64 of shape (n_classes, n_features), and the number of its images.

    Args:
        batch: labelled images.
        n_classes: number of classes; one without images has the mean 0.
        only_right: whether images that the network classifies wrongly are left out.
    """
    sums, counts = torch.zeros(()), torch.zeros(())
    for part in parts_of(batch):
        labels, features = labels_of(part), part.features.double()
        counted = torch.nn.functional.one_hot(labels, n_classes).double()
        if only_right:
            counted *= (part.logits.argmax(dim=1) == labels)[:, None]
        sums, counts = sums.to(features) + counted.T @ features, counts.to(features) + counted.sum(dim=0)
    return sums / counts.clamp(min=1)[:, None], counts


def covariance_of(batch: Batch, centres: Tensor, directions: Tensor | None = None) -> Tensor:
    """Return 1/N Σ_i (z_i − c_i)(z_i − c_i)ᵀ, float64 of shape (n_features, n_features).

    Args:
        batch: images; labelled ones where each class has a centre of its own.
        centres: c, float64, shape (n_features,), or one a class, shape (n_classes, n_features).
        directions: what differences are projected on, float64, shape (n_features, dim); without them, they are not.
    """
    total = torch.zeros((), dtype=torch.float64, device=centres.device)
    for part in parts_of(batch):
        centred = part.features.double() - (centres if centres.ndim == 1 else centres[labels_of(part)])
        centred = centred if directions is None else centred @ directions
        total = total + centred.T @ centred
    return total / len(batch)


def labels_of(batch: Batch) -> Tensor:
    """Return the labels of training images."""
    assert batch.labels is not None  # the engine only fits on labelled images
    return batch.labels
