"""How far the correlations of feature maps are from what training images of the predicted class show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from oodbench.api import FitInputs
from oodbench.errors import ConfigError
from oodbench.posthoc import PostHocDetector, PostHocMethod

from ._readings import GramSums

if TYPE_CHECKING:
    from torch import Tensor

    from oodbench.batch import Batch

VALUES_AT_ONCE = 2**24
"""How many sums are held in float64 at once, 128 MiB."""


@dataclass(frozen=True, kw_only=True)
class Gram(PostHocMethod):
    """Gram matrices: correlations between channels that training images of the predicted class never have.

    Of each layer's map F, with a row a channel, and each power p, the row sums of F^p (F^p)ᵀ, brought back by the p-th
    root, are compared with the smallest and largest that training images of the predicted class have: the layer's
    deviation δ_ℓ adds up (min − g) / |min| below and (g − max) / |max| above. Score: −Σ_ℓ δ_ℓ / E[δ_ℓ], divided by the
    largest softmax probability, with E[δ_ℓ] the mean over a tenth of the training images that the bounds are not from.
    Source: Sastry & Oore, ICML 2020; checked against the public code, VectorInstitute/gram-ood-detection.

    The public code takes powers 1 to 10, OpenOOD 1 to 5. Both look at every convolution and activation, and pytorch-ood
    at what it is given; here the default are the stem and the last map at each resolution, since the rows would take
    0.2 MB an image of ResNet-18 otherwise. The public code takes E[δ_ℓ] from a tenth of the test images; OpenOOD, and
    here, from training images. Bounds are those of the images that are labelled with a class, as in both peers, where
    the public code takes those predicted as it. pytorch-ood is divide_by_confidence=false.

    Attributes:
        layers: "all" for the stem and the last map at each resolution, or names of modules.
        powers: p, whole numbers from 1 up.
        divide_by_confidence: whether deviations are divided by the largest softmax probability.
        held_out: share of the training images of each class that E[δ_ℓ] is from; at 0, or where these do not deviate,
            it is 1.
    """

    title: ClassVar[str] = "Gram matrices"
    source: ClassVar[str] = "Sastry & Oore, ICML 2020; code VectorInstitute/gram-ood-detection"
    quick: ClassVar[Mapping[str, object]] = {"powers": (1, 2)}

    layers: Literal["all"] | tuple[str, ...] = "all"
    powers: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
    divide_by_confidence: bool = True
    held_out: float = 0.1

    def __post_init__(self) -> None:
        if not self.layers or not all(self.layers):
            raise ConfigError("layers must be all, or names of modules separated by commas")
        if not self.powers or min(self.powers) < 1 or len(set(self.powers)) < len(self.powers):
            raise ConfigError(f"powers must be different whole numbers from 1 up, got {self.powers}")
        if not 0 <= self.held_out < 1:
            raise ConfigError(f"held_out must be at least 0 and below 1, got {self.held_out}")

    @property
    def reads(self) -> tuple[GramSums, ...]:
        """The row sums of the Gram matrices of each layer."""
        return (GramSums(of_layers=self.layers, powers=tuple(self.powers)),)

    def fit(self, inputs: FitInputs) -> GramDetector:
        """Return a detector with the bounds of each class and the mean deviation of each layer."""
        import numpy as np
        import torch

        (reading,) = self.reads
        train, labels = inputs.train, inputs.train.labels
        assert labels is not None  # the engine only fits on labelled images
        widths = tuple(reading.widths(inputs.network, train.source.shape))
        sums = train.output(reading.name)
        rng = np.random.default_rng(inputs.seed)
        bounds, held_out = [], np.zeros(len(train), dtype=bool)
        for label in range(inputs.n_classes):
            of_class = rng.permutation(np.flatnonzero((labels == label).cpu().numpy()))
            count = int(self.held_out * len(of_class))
            held_out[of_class[:count]] = True
            shown = sums[torch.as_tensor(of_class[count:], device=sums.device)].double()
            bounds.append(torch.stack([shown.amin(dim=0), shown.amax(dim=0)]))
        bounds_of = Bounds(low_high=torch.stack(bounds), widths=widths)
        others = torch.as_tensor(np.flatnonzero(held_out), device=sums.device)
        expected = torch.ones(len(widths), dtype=torch.float64, device=sums.device)
        if len(others):
            mean = bounds_of.deviations(sums[others], labels[others]).mean(dim=0)
            expected = torch.where(mean > 0, mean, 1.0)
        return GramDetector(
            reading=reading.name,
            bounds=bounds_of,
            expected=expected,
            divide_by_confidence=self.divide_by_confidence,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Bounds:
    """The smallest and largest sums of each class.

    Attributes:
        low_high: float64, shape (n_classes, 2, n_sums).
        widths: how many sums each layer has.
    """

    low_high: Tensor
    widths: tuple[int, ...]

    def deviations(self, sums: Tensor, classes: Tensor) -> Tensor:
        """Return δ of each layer, float64 of shape (n, n_layers).

        Args:
            sums: shape (n, n_sums).
            classes: whose bounds count, int64, shape (n,).
        """
        import torch

        size = max(1, VALUES_AT_ONCE // sums.shape[1])
        parts = zip(torch.split(sums, size), torch.split(classes, size), strict=True)
        return torch.cat([self._of_part(part, labels) for part, labels in parts])

    def _of_part(self, sums: Tensor, classes: Tensor) -> Tensor:
        import torch

        low, high = self.low_high[classes].unbind(dim=1)
        # 1e-6 as in the public code: channels that are dead in training have bounds of 0.
        below = (low - sums).clamp(min=0) / (low + 1e-6).abs().clamp(min=1e-12)
        above = (sums - high).clamp(min=0) / (high + 1e-6).abs().clamp(min=1e-12)
        return torch.stack([part.sum(dim=1) for part in torch.split(below + above, list(self.widths), dim=1)], dim=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class GramDetector(PostHocDetector):
    """Deviation from the bounds of the predicted class.

    Attributes:
        reading: the name of the sums that are compared.
        bounds: of each class.
        expected: E[δ_ℓ], float64, shape (n_layers,).
        divide_by_confidence: whether deviations are divided by the largest softmax probability.
    """

    reading: str
    bounds: Bounds
    expected: Tensor
    divide_by_confidence: bool

    def score(self, batch: Batch) -> Tensor:
        """Return minus the deviation, float64 of shape (n,), at most 0."""
        import torch

        return torch.cat([self._of_part(part) for part in self._parts(batch)])

    def _parts(self, batch: Batch) -> Iterator[Batch]:
        return batch.split(max(1, VALUES_AT_ONCE // sum(self.bounds.widths)))

    def _of_part(self, batch: Batch) -> Tensor:
        sums, logits = batch.output(self.reading), batch.logits
        total: Tensor = (self.bounds.deviations(sums, logits.argmax(dim=1)) / self.expected).sum(dim=1)
        if self.divide_by_confidence:
            total = total / logits.double().softmax(dim=1).amax(dim=1)
        return -total
