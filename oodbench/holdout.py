"""Which in-distribution training images a network is trained on, and which are held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class HoldOut:
    """Which in-distribution training images a network is trained on, and which are held out.

    Attributes:
        fit: indices, sorted.
        validation: indices, sorted; may be empty.
    """

    fit: NDArray[np.intp]
    validation: NDArray[np.intp]

    @classmethod
    def of(
        cls, labels: NDArray[np.int64] | None, n_images: int, share: float, max_images: int | None, seed: int
    ) -> HoldOut:
        """Hold out a share of each class, drawn from a seed, and keep at most `max_images` of the rest.

        A class always keeps at least one image to train on; images without labels are one class.
        """
        labels = np.zeros(n_images, dtype=np.int64) if labels is None else labels
        rng = np.random.default_rng([seed, 267])
        validation = []
        for label in np.unique(labels):
            members = np.flatnonzero(labels == label)
            validation.append(rng.permutation(members)[: min(round(share * len(members)), len(members) - 1)])
        held_out = np.sort(np.concatenate(validation))
        fit = np.setdiff1d(np.arange(len(labels)), held_out)
        if max_images is not None and max_images < len(fit):
            fit = np.sort(_one_of_each_first(rng.permutation(fit), labels)[:max_images])
        return cls(fit=fit, validation=held_out)

    def only(self, kept: NDArray[np.bool_]) -> HoldOut:
        """Return the same without the images that are not kept.

        Args:
            kept: shape (n_images,).
        """
        return HoldOut(fit=self.fit[kept[self.fit]], validation=self.validation[kept[self.validation]])


def _one_of_each_first(order: NDArray[np.intp], labels: NDArray[np.int64]) -> NDArray[np.intp]:
    """Bring one image of each class to the front, so that no cut loses a class."""
    _, first = np.unique(labels[order], return_index=True)
    return np.concatenate([order[first], np.delete(order, first)])
