"""How much the features of an image, and their projections on perturbed class weights, are spread like in training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from oodbench.api import FitInputs
from oodbench.errors import ConfigError
from oodbench.posthoc import PostHocDetector, PostHocMethod

if TYPE_CHECKING:
    from torch import Tensor

    from oodbench.batch import Batch

VALUES_AT_ONCE = 2**22
"""How many projections are held in memory, 32 MiB in float64."""


@dataclass(frozen=True, kw_only=True)
class WeiPer(PostHocMethod):
    """Weight perturbations: r heads whose class weights point in directions around the trained ones.

    The weights W̃ of the heads are w_c + δ·‖w_c‖·e with a random unit vector e for each class and head, and their biases
    those of the network. Score: −KL(z) − λ₁·KL(W̃z + b) + λ₂·mean over the heads of max softmax. KL(v) compares the
    histogram q of the numbers in v, smoothed over s bins, with the mean histogram p of the training images,
    Σ (p − q)(log p − log q), with ε added to both; bins span the values of training images, and what is beyond them is
    left out. With score=msp, the last term alone is the score.
    Source: Granz et al., NeurIPS 2024 (WeiPer, WeiPer+KLD, WeiPer+MSP); checked against the public code, mgranz/weiper.

    Defaults are those of the public code for CIFAR-10, which gets λ₁, λ₂, s₁, s₂, δ and the number of bins from a
    search with OOD validation images; so are ε = 0.01 for z and 0.025 for W̃z + b.

    Attributes:
        score: kld or msp.
        heads: r.
        distance: δ.
        weight_projections: λ₁.
        weight_msp: λ₂.
        bins: of the histograms.
        smooth_features: s₁, for the histogram of z.
        smooth_projections: s₂, for the histogram of the projections.
        max_images: the mean histograms are of this many training images, drawn from the seed; none for all. Each costs
            `heads` times as many numbers as there are classes, twice.
    """

    title: ClassVar[str] = "Weight perturbations (WeiPer)"
    source: ClassVar[str] = "Granz et al., NeurIPS 2024; code mgranz/weiper"

    score: Literal["kld", "msp"] = "kld"
    heads: int = 100
    distance: float = 1.8
    weight_projections: float = 2.5
    weight_msp: float = 0.1
    bins: int = 100
    smooth_features: int = 4
    smooth_projections: int = 15
    max_images: int | None = None

    def __post_init__(self) -> None:
        if self.score not in ("kld", "msp"):
            raise ConfigError(f"score must be kld or msp, got {self.score!r}")
        for name in ("heads", "smooth_features", "smooth_projections"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.bins < 2:
            raise ConfigError(f"bins must be at least 2, got {self.bins}")
        if self.max_images is not None and self.max_images < 1:
            raise ConfigError(f"max_images must be at least 1, or none for all, got {self.max_images}")
        for name in ("distance", "weight_projections", "weight_msp"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} must be at least 0, got {getattr(self, name)}")

    def fit(self, inputs: FitInputs) -> WeiPerDetector:
        """Return a detector with random heads and the histograms of the training images.

        Raises:
            ConfigError: the head is not affine.
        """
        import torch

        from oodbench.tuning import drawn

        from ._affine_head import affine_head

        weights, bias = affine_head(inputs.network, inputs.train, "weiper")
        generator = torch.Generator().manual_seed(inputs.seed)
        noise = torch.randn((self.heads, *weights.shape), generator=generator, dtype=torch.float64).to(weights.device)
        noise = torch.nn.functional.normalize(noise, dim=2) * weights.norm(dim=1, keepdim=True)
        heads = PerturbedHeads(weights=(weights + self.distance * noise).flatten(0, 1), bias=bias, n_heads=self.heads)
        spreads: tuple[Spread, ...] = ()
        if self.score == "kld":
            train = drawn(inputs.train, self.max_images, inputs.seed)
            spreads = (
                Spread.of(heads.parts(train, 0), heads.parts(train, 0), self.bins, self.smooth_features, 0.01),
                Spread.of(heads.parts(train, 1), heads.parts(train, 1), self.bins, self.smooth_projections, 0.025),
            )
        return WeiPerDetector(heads=heads, spreads=spreads, weights=(1.0, self.weight_projections), msp=self.weight_msp)


@dataclass(frozen=True, kw_only=True, eq=False)
class PerturbedHeads:
    """Heads around the trained one.

    Attributes:
        weights: W̃, float64, shape (n_heads · n_classes, n_features).
        bias: of each head, float64, shape (n_classes,).
        n_heads: r.
    """

    weights: Tensor
    bias: Tensor
    n_heads: int

    def of(self, features: Tensor) -> Tensor:
        """Return the logits of all heads, float64 of shape (n, n_heads · n_classes)."""
        return features.double() @ self.weights.T + self.bias.repeat(self.n_heads)

    def split(self, batch: Batch) -> Iterator[Batch]:
        """Yield parts of a batch whose projections fit the memory."""
        return batch.split(max(1, VALUES_AT_ONCE // len(self.weights)))

    def parts(self, batch: Batch, which: Literal[0, 1]) -> Iterator[Tensor]:
        """Yield the features (0) or the projections (1) of parts of a batch, float64."""
        for part in self.split(batch):
            yield self.of(part.features) if which else part.features.double()

    def msp(self, logits: Tensor) -> Tensor:
        """Return the largest softmax probability, averaged over the heads, shape (n,)."""
        largest: Tensor = logits.reshape(len(logits), self.n_heads, -1).softmax(dim=2).amax(dim=2)
        return largest.mean(dim=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Spread:
    """How the numbers that training images give are spread.

    Attributes:
        low: the smallest.
        high: the largest.
        density: p, the mean histogram, float64, shape (bins,).
        smooth: s, over how many bins the histograms of images are averaged.
        epsilon: ε.
    """

    low: float
    high: float
    density: Tensor
    smooth: int
    epsilon: float

    @classmethod
    def of(cls, values: Iterator[Tensor], again: Iterator[Tensor], bins: int, smooth: int, epsilon: float) -> Spread:
        """Return the spread of values, shape (n, dim), which are given in parts, and twice."""
        import torch

        low, high = torch.stack([torch.stack([part.min(), -part.max()]) for part in values]).amin(dim=0).tolist()
        density, count = torch.zeros((), dtype=torch.float64), 0
        for part in again:
            density = density.to(part) + histograms(part, low, -high, bins).sum(dim=0)
            count += len(part)
        return cls(low=low, high=-high, density=density / count, smooth=smooth, epsilon=epsilon)

    def divergence(self, values: Tensor) -> Tensor:
        """Return Σ (p − q)(log p − log q) for the values of each image, shape (n,), at least 0.

        Args:
            values: float64, shape (n, dim).
        """
        import torch

        shares = histograms(values, self.low, self.high, len(self.density))
        before = (self.smooth - 1) // 2
        padding = (before, self.smooth - 1 - before)
        shares = torch.nn.functional.pad(shares[:, None], padding, mode="replicate")
        shares = torch.nn.functional.avg_pool1d(shares, self.smooth, stride=1)[:, 0]
        p, q = (_normalised(part + self.epsilon) for part in (self.density[None], shares))
        return ((p - q) * (p.log() - q.log())).sum(dim=1)


def histograms(values: Tensor, low: float, high: float, bins: int) -> Tensor:
    """Return the share of each image's values in each of some equal bins from low to high, shape (n, bins).

    Args:
        values: float64, shape (n, dim).
        low: where the first bin begins.
        high: where the last one ends; what lies beyond is in none.
        bins: how many there are.
    """
    import torch

    # 1e-8, as in the public code: the largest value is inside, and bins have a width where all values are equal.
    places = ((values - low) / (high + 1e-8 - low) * bins).floor()
    inside = (places >= 0) & (places < bins)
    shares = torch.zeros((len(values), bins), dtype=values.dtype, device=values.device)
    shares.scatter_add_(1, places.clamp(0, bins - 1).long(), inside.to(values.dtype))
    return shares / values.shape[1]


def _normalised(density: Tensor) -> Tensor:
    return density / density.sum(dim=1, keepdim=True)


@dataclass(frozen=True, kw_only=True, eq=False)
class WeiPerDetector(PostHocDetector):
    """Divergence of the features and of their projections from those of training images.

    Attributes:
        heads: give the projections.
        spreads: of the features and of the projections; none where the softmax alone counts.
        weights: of the divergences.
        msp: λ₂.
    """

    heads: PerturbedHeads
    spreads: tuple[Spread, ...]
    weights: tuple[float, float]
    msp: float

    def score(self, batch: Batch) -> Tensor:
        """Return the score, float64 of shape (n,)."""
        import torch

        return torch.cat([self._of_part(part) for part in self.heads.split(batch)])

    def _of_part(self, batch: Batch) -> Tensor:
        logits = self.heads.of(batch.features)
        msp = self.heads.msp(logits)
        if not self.spreads:
            return msp
        terms = zip(self.spreads, self.weights, (batch.features.double(), logits), strict=True)
        return self.msp * msp - sum(weight * spread.divergence(values) for spread, weight, values in terms)
