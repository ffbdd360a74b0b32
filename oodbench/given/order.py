"""Whether a given model's outputs seem to stand for other classes than those of the images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DOUBT = "are the classes in the order of its outputs?"
"""What is asked where they seem not to be."""

_GAIN = 0.2
"""By so much another order must be more accurate, on images that it was not found on."""

_MOST_CLASSES = 2000
"""Finding the best order of more takes minutes."""


def doubts(logits: NDArray[Any], labels: NDArray[np.int64], class_names: Sequence[str], model: str) -> str:
    """Say that a model is no better than chance, or much better under another order of its classes; else "".

    The other order is found on every second image and judged on the others: found and judged on the same ones, it would
    seem better for any model, where classes have few images.

    Args:
        logits: of the ID test images, shape (n, n_classes).
        labels: of the same images, int64, shape (n,).
        class_names: in the order of the labels.
        model: its name.

    >>> labels = np.arange(60) % 3
    >>> doubts(np.eye(3)[labels], labels, ("cat", "cow", "dog"), "net")
    ''
    >>> doubts(np.eye(3)[labels - 1], labels, ("cat", "cow", "dog"), "net")  # doctest: +ELLIPSIS
    'net classifies 0.0% ... right, and 100.0% if cat is output 2, cow is output 0, dog is output 1: are the ...'
    """
    predicted = np.asarray(logits).argmax(axis=1)
    n_classes, right = len(class_names), float((predicted == labels).mean())
    if (better := _better(predicted, labels, n_classes)) is not None:
        order, share, now = better
        moved = [f"{class_names[k]} is output {order[k]}" for k in range(n_classes) if order[k] != k]
        others = f" and {len(moved) - 5} more" if len(moved) > 5 else ""
        return (
            f"{model} classifies {now:.1%} of the ID test images right, and {share:.1%} if "
            f"{', '.join(moved[:5])}{others}: {DOUBT} Give them: --class-names (in Python: class_names=)"
        )
    if right <= 1 / n_classes:
        return (
            f"{model} classifies {right:.1%} of the ID test images right, no better than chance ({1 / n_classes:.1%}): "
            f"{DOUBT} Are weights, normalisation and image size those that it was trained with?"
        )
    return ""


def _better(
    predicted: NDArray[np.int64], labels: NDArray[np.int64], n_classes: int
) -> tuple[list[int], float, float] | None:
    """Return the best output for each class, the accuracy with it and that without, or None where it is no better."""
    if n_classes > _MOST_CLASSES or len(labels) < 2:
        return None
    # By turns within each class, so that both halves have all of them.
    judged = np.empty(len(labels), dtype=bool)
    judged[np.argsort(labels, kind="stable")] = np.arange(len(labels)) % 2 == 1
    found = ~judged
    counts = np.zeros((n_classes, n_classes))
    np.add.at(counts, (labels[found], predicted[found]), 1)
    # Where nothing speaks for another output, a class keeps its own.
    counts += np.eye(n_classes) * 1e-3
    from scipy.optimize import linear_sum_assignment

    _, outputs = linear_sum_assignment(counts, maximize=True)
    share = float((outputs[labels[judged]] == predicted[judged]).mean())
    now = float((labels[judged] == predicted[judged]).mean())
    return (outputs.tolist(), share, now) if share >= now + _GAIN else None
