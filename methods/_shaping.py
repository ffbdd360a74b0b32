"""Methods that change the features before the head: what they have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from oodbench.api import FitInputs
from oodbench.errors import ConfigError
from oodbench.posthoc import LogitMethod, PostHocDetector, PostHocMethod

if TYPE_CHECKING:
    from torch import Tensor

    from oodbench.batch import Batch

LogitScore = Literal["energy", "msp", "max_logit", "entropy", "gen", "doctor"]
"""How the logits that come out are scored: by the method of this name, with its defaults."""

IMAGES_AT_ONCE = 4096
"""How many images are looked at together."""
LARGEST_RATIO = 60.0
"""Larger exponents are cut to this one, so that float32 logits stay finite: exp(60) is 1e26."""


def logit_method(score: LogitScore) -> LogitMethod:
    """Return the method that scores logits as a word says.

    Raises:
        ConfigError: there is no such word.
    """
    from .doctor import Doctor
    from .energy import Energy
    from .entropy import Entropy
    from .gen import GEN
    from .max_logit import MaxLogit
    from .msp import MSP

    methods: dict[str, type[LogitMethod]] = {
        "energy": Energy,
        "msp": MSP,
        "max_logit": MaxLogit,
        "entropy": Entropy,
        "gen": GEN,
        "doctor": Doctor,
    }
    if score not in methods:
        raise ConfigError(f"score must be one of {', '.join(methods)}, got {score!r}")
    return methods[score]()


@dataclass(frozen=True, kw_only=True)
class ShapingMethod(PostHocMethod):
    """Base of methods that score the logits of changed features; a subclass says how they are changed.

    Images are classified by their unchanged logits, so that the accuracy is that of the network.

    Attributes:
        score: how the logits are scored: energy, msp, max_logit, entropy, gen or doctor.
    """

    score: LogitScore = "energy"

    def __post_init__(self) -> None:
        logit_method(self.score)

    @abstractmethod
    def shaped_head(self, inputs: FitInputs) -> Callable[[Tensor], Tensor]:
        """Return what gives logits, shape (n, n_classes), from features, shape (n, n_features), and changes them."""

    def fit(self, inputs: FitInputs) -> ShapedDetector:
        """Return a detector with a head that changes features."""
        return ShapedDetector(head=self.shaped_head(inputs), method=logit_method(self.score))


@dataclass(frozen=True, kw_only=True, eq=False)
class ShapedDetector(PostHocDetector):
    """Scores the logits of changed features.

    Attributes:
        head: gives logits, shape (n, n_classes), from the network's features, shape (n, n_features).
        method: scores these logits.
    """

    head: Callable[[Tensor], Tensor]
    method: LogitMethod

    def score(self, batch: Batch) -> Tensor:
        """Return the score of the logits, shape (n,)."""
        import torch

        parts = batch.split(IMAGES_AT_ONCE)
        with torch.no_grad():
            return torch.cat([self.method.score_logits(self.head(part.features)) for part in parts])


def check_percentile(percentile: float, *, name: str = "percentile") -> None:
    """Make sure that a percentile leaves something.

    Raises:
        ConfigError: it is not from 0 to below 100.
    """
    if not 0 <= percentile < 100:
        raise ConfigError(f"{name} must be at least 0 and below 100, got {percentile}")


def n_kept(n_features: int, percentile: float) -> int:
    """Return how many of an image's features are above a percentile of them, at least 1."""
    return max(1, n_features - round(n_features * percentile / 100))


def share_of_the_largest(features: Tensor, kept: Tensor) -> Tensor:
    """Return the sum of an image's features over that of its largest, float64 of shape (n, 1), from 1 up.

    Negative features count as 0, so that no sum vanishes or changes sign. Where all are 0, this is 1. It is at most
    `LARGEST_RATIO`.

    Args:
        features: shape (n, n_features).
        kept: how many are the largest, int64, shape (n,) or ().
    """
    largest_first = features.double().clamp(min=0).sort(dim=1, descending=True).values.cumsum(dim=1)
    total = largest_first[:, -1:]
    largest = largest_first.gather(1, (kept - 1).expand(len(features))[:, None])
    ratio: Tensor = (total / largest).nan_to_num(nan=1.0).clamp(min=1.0, max=LARGEST_RATIO)
    return ratio
