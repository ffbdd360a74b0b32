"""Energy after all activations are scaled, the less the more a small change of the image shifts them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from oodbench.api import FitInputs, Need, Network
from oodbench.errors import ConfigError
from oodbench.posthoc import LogitMethod, PostHocDetector, PostHocMethod

from ._shaping import LogitScore, check_percentile, logit_method, share_of_the_largest

if TYPE_CHECKING:
    from torch import Tensor

    from oodbench.batch import Batch


@dataclass(frozen=True, kw_only=True)
class AdaSCALE(PostHocMethod):
    """Adaptive scaling: as `scale`, with a percentile for each image.

    An image x is changed to x + ε·sign(∇ f_y), with y the class of its largest logit, at the share o of its values
    where the gradient is smallest. Of its features z and their changed ones z', Q = λ·Σ |z' − z| over the k₁ % largest
    features + Σ max(0, z') over the k₂ % largest. The percentile is p = low + (1 − F(Q))·(high − low), with F the
    empirical distribution of Q over training images. Variant a scales the features as `scale` does, by
    exp(Σz / Σ kept), variant l the logits by (Σz / Σ kept)². Score: by default log Σ_k exp(f_k) of what results.
    Source: Regmi, arXiv 2503.08023, Section 4; checked against the public code, sudarshanregmi/AdaSCALE.

    λ = 10, o = 0.05, k₁ = 1 and k₂ = 5 are the paper's. Its `low` is 60 and its `high` is searched with OOD validation
    images; the public code has 75 and 85 as defaults, as here, and 80 and 85 for ResNet-50. OpenOOD has k₁ and k₂ the
    other way round. ε is 0.5 in normalised images, which is about 0.113 in the [0, 1] pixel range with ImageNet's
    normalisation, and the default here. F is of at most `fit_images` training images, where the paper takes as many
    held-out ones. As in the public code, the changed image is not clipped to [0, 1], and the number of kept features
    moves in steps, so that where Q is as near to that of a training image as float32 rounds, which is rare,
    the score may depend on the batch that the image comes in.
    Images are classified by their unchanged logits, so that the accuracy is that of the network.

    Attributes:
        score: how the logits are scored: energy, msp, max_logit, entropy, gen or doctor.
        variant: a or l.
        low: the least percentile.
        high: the largest one.
        epsilon: ε, in units of the [0, 1] pixel range.
        share: o, of the values of an image.
        weight: λ.
        shift_percent: k₁.
        feature_percent: k₂.
        fit_images: F is of at most this many training images.
    """

    title: ClassVar[str] = "Adaptive scaling (AdaSCALE)"
    source: ClassVar[str] = "Regmi, arXiv 2503.08023, Sec. 4; code sudarshanregmi/AdaSCALE"
    # What the paper searches; OpenOOD v1.5 searches `low` as well, from 60 up.
    grid: ClassVar[Mapping[str, tuple[object, ...]]] = {"high": (80.0, 85.0, 90.0, 95.0, 99.0)}
    needs: ClassVar[frozenset[Need]] = PostHocMethod.needs | {"gradients"}
    quick: ClassVar[Mapping[str, object]] = {"fit_images": 50}

    score: LogitScore = "energy"
    variant: Literal["a", "l"] = "a"
    low: float = 75.0
    high: float = 85.0
    epsilon: float = 0.113
    share: float = 0.05
    weight: float = 10.0
    shift_percent: float = 1.0
    feature_percent: float = 5.0
    fit_images: int = 5000

    def __post_init__(self) -> None:
        logit_method(self.score)
        if self.variant not in ("a", "l"):
            raise ConfigError(f"variant must be a or l, got {self.variant!r}")
        check_percentile(self.low, name="low")
        check_percentile(self.high, name="high")
        if self.low > self.high:
            raise ConfigError(f"low must be at most high, got {self.low} and {self.high}")
        for name in ("epsilon", "weight"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} must be at least 0, got {getattr(self, name)}")
        if not 0 <= self.share <= 1:
            raise ConfigError(f"share must be from 0 to 1, got {self.share}")
        for name in ("shift_percent", "feature_percent"):
            if not 0 < getattr(self, name) <= 100:
                raise ConfigError(f"{name} must be above 0 and at most 100, got {getattr(self, name)}")
        if self.fit_images < 1:
            raise ConfigError(f"fit_images must be at least 1, got {self.fit_images}")

    def fit(self, inputs: FitInputs) -> AdaSCALEDetector:
        """Return a detector with the distribution of Q over training images."""
        import numpy as np
        import torch

        train = inputs.train
        if len(train) > self.fit_images:
            drawn = np.random.default_rng(inputs.seed).choice(len(train), self.fit_images, replace=False)
            train = train.at(np.sort(drawn))
        shifts = Shifts(
            network=inputs.network,
            epsilon=self.epsilon,
            share=self.share,
            weight=self.weight,
            shift_percent=self.shift_percent,
            feature_percent=self.feature_percent,
        )
        known = torch.cat([shift for _, shift in shifts.of(train)]).sort().values
        return AdaSCALEDetector(method=self, logit_method=logit_method(self.score), shifts=shifts, known=known)


@dataclass(frozen=True, kw_only=True, eq=False)
class Shifts:
    """How much a small change of an image shifts its features.

    Attributes:
        network: the trained classifier.
        epsilon: ε.
        share: o.
        weight: λ.
        shift_percent: k₁.
        feature_percent: k₂.
    """

    network: Network
    epsilon: float
    share: float
    weight: float
    shift_percent: float
    feature_percent: float

    def of(self, batch: Batch) -> Iterator[tuple[Batch, Tensor]]:
        """Yield parts of a batch with Q of each image, float64."""
        return batch.in_passes(lambda part: (part, self._of_part(part)))

    def _of_part(self, batch: Batch) -> Tensor:
        import torch

        with torch.no_grad():
            changed = self.network.features(self.changed(batch.images))
        return self.of_features(batch.features, changed)

    def changed(self, images: Tensor) -> Tensor:
        """Return images after the change."""
        import torch

        with torch.enable_grad():
            images = images.detach().requires_grad_()
            logits = self.network.head(self.network.features(images))
            (gradient,) = torch.autograd.grad(logits.amax(dim=1).sum(), images)
        flat = gradient.flatten(1)
        # Stable: many values may have a gradient of exactly 0.
        order = flat.abs().sort(dim=1, stable=True).indices[:, : int(flat.shape[1] * self.share)]
        step = torch.zeros_like(flat).scatter(1, order, self.epsilon * flat.sign().gather(1, order))
        return images.detach() + step.view_as(images)

    def of_features(self, features: Tensor, changed: Tensor) -> Tensor:
        """Return Q, float64 of shape (n,), from features and changed ones, shape (n, n_features)."""
        features, changed = features.double(), changed.double()
        order = features.sort(dim=1, descending=True, stable=True).indices

        def of_largest(values: Tensor, percent: float) -> Tensor:
            return values.gather(1, order[:, : max(1, int(values.shape[1] * percent / 100))]).sum(dim=1)

        shift = of_largest((changed - features).abs(), self.shift_percent)
        return self.weight * shift + of_largest(changed.clamp(min=0), self.feature_percent)


@dataclass(frozen=True, kw_only=True, eq=False)
class AdaSCALEDetector(PostHocDetector):
    """Score of the logits of scaled features, or of scaled logits.

    Attributes:
        method: the settings.
        logit_method: scores the logits.
        shifts: give Q.
        known: Q of training images in ascending order, float64, shape (n,).
    """

    method: AdaSCALE
    logit_method: LogitMethod
    shifts: Shifts
    known: Tensor

    def score(self, batch: Batch) -> Tensor:
        """Return the score of the logits, shape (n,)."""
        import torch

        with torch.no_grad():
            logits = [self.logits(part.features, shift) for part, shift in self.shifts.of(batch)]
        return torch.cat([self.logit_method.score_logits(part) for part in logits])

    def percentiles(self, shift: Tensor) -> Tensor:
        """Return p of each image, float64 of shape (n,), from Q, shape (n,)."""
        import torch

        below = torch.searchsorted(self.known, shift.contiguous(), right=True).double() / len(self.known)
        return self.method.low + (1 - below) * (self.method.high - self.method.low)

    def logits(self, features: Tensor, shift: Tensor) -> Tensor:
        """Return the logits, shape (n, n_classes), of features, shape (n, n_features), with Q, shape (n,)."""
        n = features.shape[1]
        kept = (n - (n * self.percentiles(shift) / 100).round()).clamp(min=1).long()
        ratio = share_of_the_largest(features, kept)
        head = self.shifts.network.head
        if self.method.variant == "l":
            return head(features).double() * ratio.square()
        return head(features * ratio.exp().to(features.dtype))
