"""Likelihood regret: how much a VAE's bound gains where the posterior is fitted to a single image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from oodbench.api import FitInputs, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CheckedByObjectives

from .autoencoder import check_sizes
from .vae import EvidenceBound

if TYPE_CHECKING:
    from torch import Tensor

    from oodbench.batch import Batch
    from oodbench.networks.vae import VAE


@dataclass(frozen=True, kw_only=True)
class LikelihoodRegret(CheckedByObjectives):
    """Gain in the evidence lower bound from the best posterior of each image, the decoder as it is.

    Score: −[max_τ L(x; θ, τ) − L(x; θ, τ(x))], in bits per dimension (dequantised, see `vae`), with τ(x) mean and
    log-variance that the encoder gives, from which Adam starts. The draws of noise are the same for all images: step t
    uses the t-th, in turn, and the two bounds all of them.
    Source: Xiao et al., NeurIPS 2020, Eq. 5 to 7; survey (Salehi et al.) §6.16, Eq. 90 to 92. τ itself is optimised;
    the public code optimises a copy of the encoder, for one image at a time, and takes bounds with importance weights.

    Attributes:
        steps: of Adam for each image.
        learning_rate: of Adam.
        latent, width, pixels, draws: of the objective, see `EvidenceBound`; the network is the one of `vae`.
    """

    title: ClassVar[str] = "Likelihood regret of a VAE"
    source: ClassVar[str] = "Xiao et al., NeurIPS 2020, Eq. 7"
    sees: ClassVar[frozenset[Sees]] = frozenset()
    quick: ClassVar[Mapping[str, Any]] = {"width": 8, "draws": 2, "steps": 10}

    steps: int = 50
    learning_rate: float = 0.05
    latent: int | None = None
    width: int = 32
    pixels: Literal["logistic", "bernoulli"] = "logistic"
    draws: int = 8

    def __post_init__(self) -> None:
        check_sizes(steps=self.steps)
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate must be positive, got {self.learning_rate}")
        super().__post_init__()

    @property
    def networks(self) -> tuple[Objective, ...]:
        """One VAE."""
        return (EvidenceBound(latent=self.latent, width=self.width, pixels=self.pixels, draws=self.draws),)

    def fit(self, inputs: FitInputs) -> RegretDetector:
        """Return a detector at once: posteriors are fitted to the images that are scored."""
        import copy

        from oodbench.networks.vae import VAE

        network: object = inputs.network
        assert isinstance(network, VAE)  # what the objective builds
        # A regret is a small difference of bounds, which float32 would round.
        exact = copy.deepcopy(network).double()
        return RegretDetector(network=network, exact=exact, steps=self.steps, learning_rate=self.learning_rate)


@dataclass(frozen=True, kw_only=True, eq=False)
class RegretDetector:
    """Fits posteriors to images.

    Attributes:
        network: the VAE.
        exact: the same in float64, for the two bounds.
        steps: of Adam.
        learning_rate: of Adam.
    """

    network: VAE
    exact: VAE
    steps: int
    learning_rate: float

    def score(self, batch: Batch) -> Tensor:
        """Return minus the regret in bits per dimension, float64 of shape (n,); higher = more in-distribution."""
        import torch

        return -torch.cat(list(batch.in_passes(lambda part: self._regret(part.images))))

    def _regret(self, images: Tensor) -> Tensor:
        import torch

        network, noise = self.network, self.network.noise[:, None]
        with torch.no_grad():
            mean, log_variance = network.posterior(images)
        with torch.enable_grad():
            tau = mean.clone().requires_grad_(), log_variance.clone().requires_grad_()
            optimizer = torch.optim.Adam(tau, lr=self.learning_rate)
            for step in range(self.steps):
                optimizer.zero_grad(set_to_none=True)
                drawn = noise[step % len(noise)][None]
                # Each image has a posterior of its own, so that the gradient of the sum is that of each bound.
                loss = -network.bound(images, *tau, drawn).sum()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        return self._bound(images, *tau) - self._bound(images, mean, log_variance)

    def _bound(self, images: Tensor, *tau: Tensor) -> Tensor:
        import torch

        mean, log_variance = (part.detach().double() for part in tau)
        with torch.no_grad():
            return self.exact.bound(images.double(), mean, log_variance, self.exact.noise[:, None])

    def classify(self, batch: Batch) -> None:
        """Return None: there are no classes."""
