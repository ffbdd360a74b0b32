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

IMAGES_A_NEIGHBOUR = 1000
"""How many training images there are for each neighbour that "auto" passes over."""
DISTANCES_AT_ONCE = 2**25
"""How many distances are held in memory, 256 MiB in float64."""
NEAR = 1 / 16
"""Below this distance, float32 does not tell neighbours apart: squared distances have an error of about 4e-7 in it."""


@dataclass(frozen=True, kw_only=True)
class KNN(PostHocMethod):
    """Deep nearest neighbours: how far an image is from the training images, with no assumption on their shape.

    Score: −‖z' − z'₍k₎‖ with z' = z / ‖z‖ the penultimate features on the unit sphere and z'₍k₎ the k-th nearest of
    the training images; in [−2, 0].
    Source: Sun et al., ICML 2022, Algorithm 1.

    The public code scores by the squared distance, which ranks images the same.

    Attributes:
        k: which neighbour; the paper chooses 50 for CIFAR-10, 200 for CIFAR-100 and 1000 for ImageNet. "auto" is one
            for every 1,000 training images, which is 50 for CIFAR-10's 50,000, and about the share of ImageNet's.
    """

    title: ClassVar[str] = "k-th nearest neighbour"
    source: ClassVar[str] = "Sun et al., ICML 2022, Alg. 1"
    # The paper's; OpenOOD v1.5 has those from 50 to 1000.
    grid: ClassVar[Mapping[str, tuple[object, ...]]] = {"k": (1, 10, 20, 50, 100, 200, 500, 1000, 3000, 5000)}

    k: Literal["auto"] | int = "auto"

    def __post_init__(self) -> None:
        if self.k != "auto" and self.k < 1:
            raise ConfigError(f"k must be 'auto' or at least 1, got {self.k}")

    def fit(self, inputs: FitInputs) -> KNNDetector:
        """Return a detector with the features of all training images.

        Raises:
            ConfigError: there are fewer than k training images.
        """
        n = len(inputs.train)
        k = max(1, round(n / IMAGES_A_NEIGHBOUR)) if self.k == "auto" else self.k
        if n < k:
            raise ConfigError(
                f"knn cannot find neighbour k={k} among {n} training images; give a smaller one: --set knn.k={n}"
            )
        return KNNDetector(k=k, train=_on_unit_sphere(inputs.train.features))


def _on_unit_sphere(features: Tensor) -> Tensor:
    """Return features divided by their L2 norms, in float64; features that are all 0 stay so."""
    import torch

    # float64: squared distances are small differences of numbers near 1, and float32 leaves them few digits.
    return torch.nn.functional.normalize(features.double())


@dataclass(frozen=True, kw_only=True, eq=False)
class KNNDetector(PostHocDetector):
    """Distance to the k-th nearest training image.

    Attributes:
        k: which neighbour.
        train: features of the training images on the unit sphere, float64, shape (n_train, n_features).
    """

    k: int
    train: Tensor

    def score(self, batch: Batch) -> Tensor:
        """Return minus the distance to the k-th nearest training image, float64 of shape (n,), in [−2, 0]."""
        import torch

        single = self.train.float()
        parts = batch.split(max(1, DISTANCES_AT_ONCE // len(self.train)))
        return -torch.cat([self._kth_distances(_on_unit_sphere(part.features), single) for part in parts])

    def _kth_distances(self, features: Tensor, single: Tensor) -> Tensor:
        # float32 finds the k-th neighbour in half the time, float64 says how far it is. Neighbours whose squared
        # distances differ by less than 1e-6 may change places, which is at most 1e-4 of a distance.
        distances = self._distances_to(self._kth_neighbours(features.float(), single), features)
        near = distances < NEAR
        if near.any():
            distances[near] = self._distances_to(self._kth_neighbours(features[near], self.train), features[near])
        return distances

    def _kth_neighbours(self, features: Tensor, train: Tensor) -> Tensor:
        """Return the indices of the k-th nearest training images, in the precision of the features."""
        import torch

        # ‖z − t‖² = ‖z‖² + (‖t‖² − 2 z·t), and the first term is the same for all t.
        beyond = torch.addmm(train.square().sum(dim=1), features, train.T, alpha=-2)
        return beyond.topk(self.k, dim=1, largest=False).indices[:, -1]

    def _distances_to(self, neighbours: Tensor, features: Tensor) -> Tensor:
        differences: Tensor = features - self.train[neighbours]
        return differences.square().sum(dim=1).sqrt()
