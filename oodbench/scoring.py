"""What a fitted detector says of images: scores, classes, accuracy, checked and in pieces that fit the memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from .batch import Batch, batch_size
from .errors import ScoreError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .api import Detector

BATCH_SIZE = 2048
"""How many images a detector scores together, where they are small."""


def scores_of(detector: Detector, batch: Batch, name: str) -> NDArray[np.float64]:
    """Return the scores of all images of a batch, in pieces that fit the memory.

    Args:
        detector: gives the scores.
        batch: the images.
        name: of the method, for messages.

    Returns:
        float64, shape (n,).

    Raises:
        ScoreError: not one finite number an image.
    """
    pieces = []
    for part in batch.split(batch_size(batch.source.shape, BATCH_SIZE)):
        with torch.no_grad():
            scores = detector.score(part)
        if tuple(scores.shape) != (len(part),):
            raise ScoreError(
                f"{name} returned scores of shape {tuple(scores.shape)} for {len(part)} images of {part.source.name}; "
                f"score() must return shape ({len(part)},)"
            )
        pieces.append(scores.detach().double().cpu().numpy())
    values = np.concatenate(pieces)
    if broken := int(np.count_nonzero(~np.isfinite(values))):
        raise ScoreError(
            f"{name} gave {broken} of {len(values)} images of {batch.source.name} a score that is NaN or infinite; "
            "scores must be finite"
        )
    return values


def classes_of(detector: Detector, batch: Batch, name: str) -> NDArray[np.int64] | None:
    """Return the class of each image of a batch, in pieces that fit the memory; None where it does not classify.

    Raises:
        ScoreError: not one class an image.
    """
    pieces = []
    for part in batch.split(batch_size(batch.source.shape, BATCH_SIZE)):
        with torch.no_grad():
            classes = detector.classify(part)
        if classes is None:
            return None
        if tuple(classes.shape) != (len(part),):
            raise ScoreError(
                f"{name} returned classes of shape {tuple(classes.shape)} for {len(part)} images; "
                f"classify() must return shape ({len(part)},), or None"
            )
        pieces.append(classes.cpu().numpy().astype(np.int64))
    return np.concatenate(pieces)
