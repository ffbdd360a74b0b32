"""OpenMax: logits recalibrated by how extreme the distance to a class is, with a share for an unknown class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from oodbench.api import FitInputs, Need, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CrossEntropy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from oodbench.batch import Batch

    from ._weibull import WeibullTail

Distance = Literal["euclidean", "cosine", "eucos"]


@dataclass(frozen=True, kw_only=True)
class OpenMax:
    """OpenMax on the logits v of the network that MSP uses.

    Each class j has a mean activation vector μ_j and a Weibull distribution W_j of the largest distances to it, both
    from the training images of the class that are classified right. With s(i) the class of the i-th largest logit,
    the α largest are recalibrated by w_s(i) = 1 − (α + 1 − i)/α · W_s(i)(‖v − μ_s(i)‖); w_j = 1 for all others.
    Then v̂_j = v_j·w_j for the known classes, v̂_0 = Σ_j v_j·(1 − w_j) for the unknown one, and P = softmax(v̂).
    Score: log((1 − P_0) / P_0), which ranks images as 1 − P_0 does but does not round where P_0 is next to 0 or 1.
    Source: Bendale & Boult, CVPR 2016, Algorithms 1 and 2 as the public code has them; survey (Salehi et al.) §5.1,
    Eq. 40. As in the paper's LibMR, a tail is moved so that its smallest distance is 10 000 before a Weibull
    distribution of two parameters is fitted to it.

    pytorch-ood 0.4 differs in three points: it takes all training images, not only those that are classified right;
    its tail is 25 by default; and where no image of a batch is classified as some class, it takes all distances to
    that class for 0, so that a score depends on the batch.

    Attributes:
        tail_size: η, how many of the largest distances a Weibull distribution is fitted to.
        alpha: α; the number of classes where there are fewer.
        distance: "euclidean", "cosine" (1 − cosine) or "eucos", the sum of the cosine distance and 1/200 of the
            euclidean one, which the public code takes for the 1000 classes of ImageNet.
    """

    title: ClassVar[str] = "OpenMax"
    source: ClassVar[str] = "Bendale & Boult, CVPR 2016, Alg. 2"
    needs: ClassVar[frozenset[Need]] = frozenset({"classes", "features", "training_images"})
    sees: ClassVar[frozenset[Sees]] = frozenset()

    tail_size: int = 20
    alpha: int = 10
    distance: Distance = "euclidean"

    def __post_init__(self) -> None:
        if self.tail_size < 2:
            raise ConfigError(f"tail_size must be at least 2, got {self.tail_size}")
        if self.alpha < 1:
            raise ConfigError(f"alpha must be at least 1, got {self.alpha}")

    @property
    def networks(self) -> tuple[Objective, ...]:
        """One, trained by cross-entropy: it is the one that MSP uses."""
        return (CrossEntropy(),)

    def fit(self, inputs: FitInputs) -> OpenMaxDetector:
        """Fit the mean and the tail of each class."""
        import torch

        from ._moments import labels_of
        from ._weibull import WeibullTail

        labels = labels_of(inputs.train).cpu().numpy()
        means, tails = [], []
        for k in range(inputs.n_classes):
            # The images of one class at a time: all of them may not fit the memory.
            logits = inputs.train.at((labels == k).nonzero()[0]).logits.double()
            found = self._mean_and_distances(logits[logits.argmax(dim=1) == k])
            # A class of which hardly an image is classified right is described by all of its images.
            found = found or self._mean_and_distances(logits)
            if found is None:
                name = inputs.train.source.class_names[k]
                raise ConfigError(
                    f"openmax needs three different training images of each class to fit a tail to, "
                    f"and class {name!r} has fewer; train on more images"
                )
            means.append(found[0])
            tails.append(WeibullTail.of(found[1], self.tail_size))
        return OpenMaxDetector(
            means=torch.stack(means),
            tails=tuple(tails),
            alpha=min(self.alpha, inputs.n_classes),
            distance=self.distance,
        )

    def _mean_and_distances(self, activations: Tensor) -> tuple[Tensor, NDArray[np.float64]] | None:
        """Return a class's mean activation and how far each image is from it, or None where all are as far."""
        if len(activations) == 0:
            return None
        mean = activations.mean(dim=0)
        distances = distances_to(mean, activations, self.distance).cpu().numpy()
        # Two images are as far from their mean but for rounding.
        return (mean, distances) if distances.max() - distances.min() > 1e-9 * distances.max() else None


def distances_to(mean: Tensor, activations: Tensor, distance: Distance) -> Tensor:
    """Return the distance of each activation vector, shape (n, C), to a mean one, shape (C,); shape (n,)."""
    from torch.nn.functional import cosine_similarity

    euclidean: Tensor = (activations - mean).square().sum(dim=1).sqrt()
    cosine = 1 - cosine_similarity(activations, mean[None], dim=1)
    return {"euclidean": euclidean, "cosine": cosine, "eucos": euclidean / 200 + cosine}[distance]


@dataclass(frozen=True, kw_only=True, eq=False)
class OpenMaxDetector:
    """OpenMax with fitted classes.

    Attributes:
        means: μ, float64, shape (n_classes, n_classes).
        tails: W of each class.
        alpha: α, at most n_classes.
        distance: of an activation vector to a mean.
    """

    means: Tensor
    tails: tuple[WeibullTail, ...]
    alpha: int
    distance: Distance

    def recalibrated(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return v̂_0, shape (n,), and v̂_1 to v̂_C, shape (n, C), from logits, float64 of shape (n, C)."""
        import torch

        distances = torch.stack([distances_to(mean, logits, self.distance) for mean in self.means], dim=1)
        extreme = torch.stack([tail.cdf(distances[:, k]) for k, tail in enumerate(self.tails)], dim=1)
        # Stable: equal logits have the same order in every batch.
        rank = logits.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
        share = ((self.alpha - rank) / self.alpha).clamp(min=0)
        known = logits * (1 - share * extreme)
        return (logits - known).sum(dim=1), known

    def score(self, batch: Batch) -> Tensor:
        """Return the log-odds of 1 − P_0, float64 of shape (n,)."""
        unknown, known = self.recalibrated(batch.logits.double())
        return known.logsumexp(dim=1) - unknown

    def classify(self, batch: Batch) -> Tensor:
        """Return the known class with the largest recalibrated logit, shape (n,)."""
        _, known = self.recalibrated(batch.logits.double())
        return known.argmax(dim=1)
