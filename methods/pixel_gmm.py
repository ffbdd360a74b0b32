"""A mixture of Gaussians on single pixels: what low-level statistics alone detect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from oodbench.api import FitInputs, NetworkBuilder, Objective, Sees
from oodbench.objectives import CheckedByObjectives

from ._named_scores import NamedScore
from .autoencoder import check_sizes

if TYPE_CHECKING:
    from torch import nn

    from oodbench.training.learner import Learner, Setting


@dataclass(frozen=True, kw_only=True)
class PixelLikelihood:
    """Likelihood of the pixels of each channel under a mixture of Gaussians of its own; labels are not read.

    It is not a network: expectation-maximisation on the histogram of the pixels seen so far, twice a batch.

    Attributes:
        components: of each mixture.
    """

    name: ClassVar[str] = "pixel_gmm"
    uses_seen_ood: ClassVar[bool] = False
    unlabelled: ClassVar[bool] = True

    components: int = 3

    def __post_init__(self) -> None:
        check_sizes(components=self.components)

    def build(
        self, backbone: NetworkBuilder, shape: tuple[int, int, int], n_classes: int, embedding_dim: int
    ) -> nn.Module:
        """Return a mixture for each channel; the backbone has no part in it."""
        from ._pixel_mixture import PixelMixture

        return PixelMixture(shape[0], self.components)

    def learner(self, network: nn.Module, setting: Setting) -> Learner:
        """Return what counts pixels and maximises their likelihood."""
        from ._pixel_mixture import MixtureLearner

        return MixtureLearner(network)


@dataclass(frozen=True, kw_only=True)
class PixelGMM(CheckedByObjectives):
    """Likelihood of an image's pixels, each by itself, under a mixture of three Gaussians for each channel.

    Score: the mean over pixels of log₂ P(v), in bits per dimension, with P(v) the mass of the mixture in the bin of the
    8-bit value v (dequantisation is built in). No network: a method that does not beat it detects low-level statistics.
    Source: Ahmed & Courville, AAAI 2020; survey (Salehi et al.) §9.1, Table 2.

    Attributes:
        components: Gaussians of each mixture.
    """

    title: ClassVar[str] = "Mixture of Gaussians on pixels"
    source: ClassVar[str] = "Ahmed & Courville, AAAI 2020"
    sees: ClassVar[frozenset[Sees]] = frozenset()
    quick: ClassVar[Mapping[str, Any]] = {}

    components: int = 3

    @property
    def networks(self) -> tuple[Objective, ...]:
        """One mixture a channel."""
        return (PixelLikelihood(components=self.components),)

    def fit(self, inputs: FitInputs) -> NamedScore:
        """Return a detector at once: there is nothing to fit."""
        return NamedScore(output="log_likelihood")
