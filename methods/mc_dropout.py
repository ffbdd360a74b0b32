"""Monte-Carlo dropout: the mean prediction of networks from which random units have been dropped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from oodbench.api import FitInputs, Network, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CrossEntropy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from oodbench.batch import Batch
    from oodbench.training.learner import Learner, Setting


def _check_rate(rate: float) -> None:
    if not 0 <= rate < 1:
        raise ConfigError(f"rate must be at least 0 and below 1, got {rate}")


@dataclass(frozen=True, kw_only=True)
class DropoutCrossEntropy(CrossEntropy):
    """Softmax cross-entropy with dropout on the penultimate features, instead of what dropout the network has itself.

    Attributes:
        rate: share of the features that is dropped.
    """

    name: ClassVar[str] = "ce_dropout"

    rate: float = 0.5

    def __post_init__(self) -> None:
        _check_rate(self.rate)

    def learner(self, network: nn.Module, setting: Setting) -> Learner:
        """Return a learner that follows the gradient of the loss of head(dropout(features(images)))."""
        from oodbench.training.learner import LossLearner

        from ._dropout import DropoutBeforeHead

        loss = self.smoothed(setting.config.label_smoothing)
        return LossLearner(DropoutBeforeHead(network, self.rate), self, setting, loss)


@dataclass(frozen=True, kw_only=True)
class MCDropout:
    """Mean prediction of `passes` networks that dropout samples.

    Score: max_k 1/T Σ_t softmax(f_t)_k, in [1/C, 1], with f_t the logits under the t-th of T dropout masks.
    Source: Gal & Ghahramani, ICML 2016, Eq. 6, and Section 5.2 for dropout of 0.5 before the last layer and T = 100;
    survey (Salehi et al.) §9.1. The T masks are drawn once from the seed and shared by all images, as an ensemble of T
    networks would be, so that the score of an image depends on nothing else.

    Attributes:
        where: "head" drops penultimate features, of a network that is trained so and without any other dropout, and
            needs no forward passes;
            "network" uses the dropout layers of the plain cross-entropy network, with T forward passes.
        rate: share of the features that is dropped in "head"; in "network" each layer has its own.
        passes: T.
    """

    title: ClassVar[str] = "Monte-Carlo dropout"
    source: ClassVar[str] = "Gal & Ghahramani, ICML 2016, Eq. 6"
    sees: ClassVar[frozenset[Sees]] = frozenset()

    where: Literal["head", "network"] = "head"
    rate: float = 0.5
    passes: int = 100

    def __post_init__(self) -> None:
        _check_rate(self.rate)
        if self.passes < 1:
            raise ConfigError(f"passes must be at least 1, got {self.passes}")

    @property
    def networks(self) -> tuple[Objective, ...]:
        """One, trained by cross-entropy, with dropout on the features where these are dropped."""
        return (DropoutCrossEntropy(rate=self.rate) if self.where == "head" else CrossEntropy(),)

    def fit(self, inputs: FitInputs) -> HeadDropoutDetector | NetworkDropoutDetector:
        """Draw the masks."""
        from ._dropout import dropout_layers, masks

        if self.where == "head":
            n_features = inputs.train.at(slice(1)).features.shape[1]
            return HeadDropoutDetector(
                network=inputs.network, masks=masks((self.passes, n_features), self.rate, inputs.seed)
            )
        if not dropout_layers(inputs.network):
            raise ConfigError(
                "mc_dropout.where=network needs a network with active dropout layers, and this one has none; "
                "use where=head"
            )
        return NetworkDropoutDetector(network=inputs.network, passes=self.passes, seed=inputs.seed)


def _max_mean_softmax(passes: Iterator[Tensor], n_passes: int) -> Tensor:
    """Return the largest mean probability, float64 of shape (n,), from the logits of each pass."""
    import torch

    total = sum((logits.double().softmax(dim=1) for logits in passes), start=torch.zeros(()))
    return (total / n_passes).amax(dim=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadDropoutDetector:
    """Dropout on the stored features, before the last layer.

    Attributes:
        network: trained with dropout on its features.
        masks: float32, shape (passes, n_features): 0 for a dropped feature, 1 / (1 − rate) for a kept one.
    """

    network: Network
    masks: Tensor

    def score(self, batch: Batch) -> Tensor:
        """Return the largest mean probability, float64 of shape (n,)."""
        features, masks = batch.features, self.masks.to(batch.device)
        return _max_mean_softmax((self.network.head(features * mask) for mask in masks), len(masks))

    def classify(self, batch: Batch) -> Tensor:
        """Return the index of the largest logit without dropout, shape (n,)."""
        return batch.logits.argmax(dim=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class NetworkDropoutDetector:
    """Dropout in the layers that the network has for it.

    Attributes:
        network: with dropout layers.
        passes: how often it runs.
        seed: of the masks.
    """

    network: Network
    passes: int
    seed: int

    def score(self, batch: Batch) -> Tensor:
        """Return the largest mean probability, float64 of shape (n,)."""
        import torch

        return torch.cat(list(batch.in_passes(self._score)))

    def _score(self, batch: Batch) -> Tensor:
        import torch

        from ._dropout import with_dropout

        images = batch.images
        with torch.no_grad(), with_dropout(self.network, self.seed):
            return _max_mean_softmax((self.network(images) for _ in range(self.passes)), self.passes)

    def classify(self, batch: Batch) -> Tensor:
        """Return the index of the largest logit without dropout, shape (n,)."""
        return batch.logits.argmax(dim=1)
