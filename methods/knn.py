"""Distance to the k-th nearest training image in feature space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from oodbench.api import FitInputs
from oodbench.errors import ConfigError
from oodbench.posthoc import PostHocDetector, PostHocMethod

if TYPE_CHECKING:
    from torch import Tensor

    from oodbench.batch import Batch

    from ._neighbours import Bank

IMAGES_A_NEIGHBOUR = 1000
"""How many training images there are for each neighbour that "auto" passes over."""
NEAR = 1 / 16
"""Below this distance, float32 does not tell neighbours apart: squared distances have an error of about 4e-7 in it."""


@dataclass(frozen=True, kw_only=True)
class KNN(PostHocMethod):
    """Deep nearest neighbours: how far an image is from the training images, with no assumption on their shape.

    Score: −‖z' − z'₍k₎‖ with z' = z / ‖z‖ the penultimate features on the unit sphere and z'₍k₎ the k-th nearest of
    the training images; in [−2, 0].
    Source: Sun et al., ICML 2022, Algorithm 1.

    The public code scores by the squared distance, which ranks images the same. The features of the training images are
    kept in float32; they are searched exactly, a part at a time.

    Attributes:
        k: which neighbour; the paper chooses 50 for CIFAR-10, 200 for CIFAR-100 and 1000 for ImageNet. "auto" is one
            for every 1,000 training images that are kept, which is 50 for CIFAR-10's 50,000, and about the share of
            ImageNet's.
        max_images: this many training images are kept; none for all. The paper's smallest share of ImageNet's is 1%.
        chosen: how they are chosen: "random", drawn from the seed, or "coreset", each the farthest from those before
            (Sener & Savarese, ICLR 2018), which takes time with the product of both numbers.
        search: what finds the neighbours: "torch", or "faiss" where that is installed; both are exact, and agree but
            for neighbours whose distances differ by less than float32 resolves.
    """

    title: ClassVar[str] = "k-th nearest neighbour"
    source: ClassVar[str] = "Sun et al., ICML 2022, Alg. 1"
    # The paper's; OpenOOD v1.5 has those from 50 to 1000.
    grid: ClassVar[Mapping[str, tuple[object, ...]]] = {"k": (1, 10, 20, 50, 100, 200, 500, 1000, 3000, 5000)}

    k: Literal["auto"] | int = "auto"
    max_images: int | None = None
    chosen: Literal["random", "coreset"] = "random"
    search: Literal["torch", "faiss"] = "torch"

    def __post_init__(self) -> None:
        if self.k != "auto" and self.k < 1:
            raise ConfigError(f"k must be 'auto' or at least 1, got {self.k}")
        if self.max_images is not None and self.max_images < 1:
            raise ConfigError(f"max_images must be at least 1, or none for all, got {self.max_images}")
        if self.chosen not in ("random", "coreset"):
            raise ConfigError(f"chosen must be random or coreset, got {self.chosen!r}")
        if self.search not in ("torch", "faiss"):
            raise ConfigError(f"search must be torch or faiss, got {self.search!r}")

    def fit(self, inputs: FitInputs) -> KNNDetector:
        """Return a detector with the features of the training images that are kept.

        Raises:
            ConfigError: there are fewer than k training images, or faiss is asked for and is not installed.
        """
        from ._neighbours import Bank

        train = self._kept(inputs.train, inputs.seed)
        n = len(train)
        k = max(1, round(n / IMAGES_A_NEIGHBOUR)) if self.k == "auto" else self.k
        if n < k:
            raise ConfigError(
                f"knn cannot find neighbour k={k} among {n} training images; give a smaller one: --set knn.k={n}"
            )
        return KNNDetector(k=k, train=Bank.of(train, self.search))

    def _kept(self, train: Batch, seed: int) -> Batch:
        from oodbench.tuning import drawn

        from ._neighbours import coreset

        if self.chosen == "random" or self.max_images is None or self.max_images >= len(train):
            return drawn(train, self.max_images, seed)
        return coreset(train, self.max_images, seed)


@dataclass(frozen=True, kw_only=True, eq=False)
class KNNDetector(PostHocDetector):
    """Distance to the k-th nearest training image.

    Attributes:
        k: which neighbour.
        train: the training images.
    """

    k: int
    train: Bank

    def score(self, batch: Batch) -> Tensor:
        """Return minus the distance to the k-th nearest training image, float64 of shape (n,), in [−2, 0]."""
        from ._neighbours import on_unit_sphere

        directions = on_unit_sphere(batch.features)
        # float32 finds the k-th neighbour in half the time, float64 says how far it is. Neighbours whose squared
        # distances differ by less than 1e-6 may change places, which is at most 1e-4 of a distance.
        distances = self._kth_distances(directions, directions.float())
        near = distances < NEAR
        if near.any():
            distances[near] = self._kth_distances(directions[near], directions[near])
        return -distances

    def _kth_distances(self, directions: Tensor, searched: Tensor) -> Tensor:
        """Return the distances of directions to their neighbours, which are found in a precision of their own."""
        return self.train.distances(directions, self.train.nearest(searched, self.k)[:, -1])
