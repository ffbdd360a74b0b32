"""Likelihood ratio: what a density knows of an image beyond what one of noised images knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from oodbench.api import FitInputs, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CheckedByObjectives

from .flow import FlowLikelihood
from .vae import EvidenceBound

if TYPE_CHECKING:
    from torch import Tensor

    from oodbench.batch import Batch


@dataclass(frozen=True, kw_only=True)
class LikelihoodRatio(CheckedByObjectives):
    """Likelihood of an image under a density of ID images, over that under one of noised ID images.

    Score: log₂ p(x) − log₂ p₀(x), in bits per dimension (dequantised, see the density's own method). p₀ is trained on
    images in which a share μ of the pixels is replaced by ones drawn evenly from all 256: it keeps the background, and
    loses what is particular to the images.
    Source: Ren et al., NeurIPS 2019, Eq. 3; survey (Salehi et al.) §6.11, Eq. 76. The paper has PixelCNN++ where this
    has a flow or a VAE, and an L2 penalty of the background's weights, which a recipe can set.

    Attributes:
        density: "flow" or "vae"; the network of p is the one that method uses as well.
        noised: μ; the paper chose among 0.1, 0.2 and 0.3 on OOD images, and 0.2 is not chosen at all.
        width: filters of the networks.
    """

    title: ClassVar[str] = "Likelihood ratio to noised images"
    source: ClassVar[str] = "Ren et al., NeurIPS 2019, Eq. 3"
    sees: ClassVar[frozenset[Sees]] = frozenset()
    quick: ClassVar[Mapping[str, Any]] = {"width": 8}

    density: Literal["flow", "vae"] = "flow"
    noised: float = 0.2
    width: int = 32

    def __post_init__(self) -> None:
        if not 0 < self.noised < 1:
            raise ConfigError(f"noised must be above 0 and below 1, got {self.noised}")
        super().__post_init__()

    @property
    def networks(self) -> tuple[Objective, ...]:
        """A density of images as they are, and one of noised images."""
        kind = FlowLikelihood if self.density == "flow" else EvidenceBound
        return kind(width=self.width), kind(width=self.width, noised=self.noised)

    def fit(self, inputs: FitInputs) -> RatioDetector:
        """Return a detector at once: there is nothing to fit."""
        return RatioDetector()


@dataclass(frozen=True, kw_only=True)
class RatioDetector:
    """The difference of what two networks say."""

    def score(self, batch: Batch) -> Tensor:
        """Return the log of the ratio in bits per dimension, float64 of shape (n,); higher = more in-distribution."""
        inlier, background = batch.members
        return inlier.output("log_likelihood").double() - background.output("log_likelihood").double()

    def classify(self, batch: Batch) -> None:
        """Return None: there are no classes."""
