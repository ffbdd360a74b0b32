"""Images made by altering in-distribution ones: what settings are chosen on where no OOD image may be seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from oodbench.images import ImageSet

if TYPE_CHECKING:
    from numpy.typing import NDArray

PIECES = 4
"""Into so many rows and columns of pieces a jigsaw cuts an image."""


def altered(images: NDArray[np.uint8], way: str, seed: int) -> ImageSet:
    """Return images of which each is made from one or two of those that are given.

    Source: Hendrycks et al., Deep Anomaly Detection with Outlier Exposure, ICLR 2019, whose experiments choose settings
    on such images; Gaussian noise as in Sun et al., NeurIPS 2021 (ReAct).

    Args:
        images: uint8, shape (n, channels, height, width).
        way: one of `WAYS`.
        seed: of everything random.
    """
    rng = np.random.default_rng([seed, sorted(WAYS).index(way)])
    return ImageSet(name=f"{way} of held-out images", images=WAYS[way](images, rng))


def _noise(images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return Gaussian noise, with the mean and the standard deviation of the pixels."""
    values = rng.normal(images.mean(), max(float(images.std()), 1.0), images.shape)
    noise: NDArray[np.uint8] = values.round().clip(0, 255).astype(np.uint8)
    return noise


def _mean_of_two(images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the mean of each image and another one."""
    # A rotated permutation: nobody is averaged with itself, where there are two.
    order = rng.permutation(len(images))
    others = np.empty_like(order)
    others[order] = np.roll(order, 1)
    means: NDArray[np.uint8] = ((images.astype(np.uint16) + images[others]) // 2).astype(np.uint8)
    return means


def _jigsaw(images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return images with their pieces in another order; what is left over at the lower and right edge stays."""
    n, channels, height, width = images.shape
    rows, columns = height // PIECES, width // PIECES
    result = images.copy()
    if not rows or not columns:
        return result
    inside = images[:, :, : rows * PIECES, : columns * PIECES]
    cut = inside.reshape(n, channels, PIECES, rows, PIECES, columns).transpose(0, 2, 4, 1, 3, 5)
    pieces = cut.reshape(n, PIECES * PIECES, channels, rows, columns)
    mixed = np.take_along_axis(
        pieces, rng.permuted(np.tile(np.arange(PIECES * PIECES), (n, 1)), axis=1)[:, :, None, None, None], axis=1
    )
    back = mixed.reshape(n, PIECES, PIECES, channels, rows, columns).transpose(0, 3, 1, 4, 2, 5)
    result[:, :, : rows * PIECES, : columns * PIECES] = back.reshape(inside.shape)
    return result


WAYS: Mapping[str, Callable[[NDArray[np.uint8], np.random.Generator], NDArray[np.uint8]]] = {
    "noise": _noise,
    "mean of two": _mean_of_two,
    "jigsaw": _jigsaw,
}
