"""Mixtures of Gaussians on 8-bit pixels, learnt from their histogram."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.special import log_ndtr

from oodbench.training.learner import Learner

LEVELS = 256
LEAST_VARIANCE = 1 / 12
"""Of an even distribution within one bin, which all values of a bin are spread over."""
ITERATIONS = 2
"""Rounds of expectation-maximisation after each batch."""


class PixelMixture(nn.Module):
    """A mixture of Gaussians on the pixels of each channel, in units of 8-bit values; it has no trained weights.

    Args:
        channels: of the images.
        components: of each mixture; they start evenly spread over all values.
    """

    counts: Tensor
    weights: Tensor
    means: Tensor
    variances: Tensor

    def __init__(self, channels: int, components: int) -> None:
        super().__init__()
        spread = LEVELS / components
        means = spread * (torch.arange(components, dtype=torch.float64) + 0.5)
        self.register_buffer("counts", torch.zeros(channels, LEVELS, dtype=torch.float64))
        self.register_buffer("weights", torch.full((channels, components), 1 / components, dtype=torch.float64))
        self.register_buffer("means", means.repeat(channels, 1))
        self.register_buffer("variances", torch.full((channels, components), spread**2, dtype=torch.float64))

    def count(self, images: Tensor) -> None:
        """Add the pixels of images to the histogram of their channel."""
        levels = _levels(images).transpose(0, 1).flatten(1)
        self.counts += torch.stack([torch.bincount(channel, minlength=LEVELS) for channel in levels])

    def improve(self) -> None:
        """Do one round of expectation-maximisation on the histogram; pixels lie in the middle of their bins."""
        values = torch.arange(LEVELS, dtype=torch.float64, device=self.counts.device) + 0.5
        distance = values - self.means[..., None]
        logs = self.weights.log()[..., None] - 0.5 * (
            distance.square() / self.variances[..., None] + self.variances.log()[..., None]
        )
        shares = logs.softmax(dim=1) * self.counts[:, None]
        total = shares.sum(dim=2)
        # A component that has lost all its pixels stays where it is, with next to no weight.
        some = total.clamp(min=1e-9)
        means = (shares * values).sum(dim=2) / some
        squares = (shares * (values - means[..., None]).square()).sum(dim=2) / some
        alive = total > 1e-6
        self.means.copy_(torch.where(alive, means, self.means))
        self.variances.copy_(torch.where(alive, squares + LEAST_VARIANCE, self.variances))
        self.weights.copy_(some / some.sum(dim=1, keepdim=True))

    def bits(self) -> Tensor:
        """Return log₂ P(v) of each channel and value, float64 of shape (channels, 256); each channel's P adds up to 1.

        The first and the last bin take the tails.
        """
        edges = torch.arange(1, LEVELS, dtype=torch.float64, device=self.means.device)
        scaled = (edges - self.means[..., None]) / self.variances.sqrt()[..., None]
        infinite = torch.full_like(scaled[..., :1], math.inf)
        lower, upper = torch.cat([-infinite, scaled], dim=2), torch.cat([scaled, infinite], dim=2)
        # In the right half both edges are mirrored, so that the logs of small tails are subtracted, not of ones.
        lower, upper = torch.where(lower > 0, -upper, lower), torch.where(lower > 0, -lower, upper)
        below, above = log_ndtr(lower), log_ndtr(upper)
        masses = above + torch.log(-torch.expm1(below - above))
        bits: Tensor = (self.weights.log()[..., None] + masses).logsumexp(dim=1) / math.log(2)
        return bits

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Return `log_likelihood`, in bits per dimension, float32 of shape (n,)."""
        channel = torch.arange(len(self.means), device=images.device)[:, None, None]
        return {"log_likelihood": self.bits()[channel, _levels(images)].flatten(1).mean(dim=1).float()}

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return `outputs`."""
        return self.outputs(images)


def _levels(images: Tensor) -> Tensor:
    return (images * (LEVELS - 1)).round().long().clamp(0, LEVELS - 1)


class MixtureLearner(Learner):
    """Counts the pixels of each batch, and fits the mixtures to all that were counted.

    Args:
        network: a `PixelMixture`.
    """

    def __init__(self, network: nn.Module) -> None:
        assert isinstance(network, PixelMixture)  # what the objective builds
        self._network = network

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Improve the mixtures; minus the likelihood of all pixels is reported, in bits per dimension."""
        self._network.count(images)
        for _ in range(ITERATIONS):
            self._network.improve()
        counts = self._network.counts
        return -(counts * self._network.bits()).sum().div(counts.sum()).float()

    def parts(self) -> Mapping[str, Any]:
        """Return the mixtures."""
        return {"network": self._network}
