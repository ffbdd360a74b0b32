"""A convolutional variational auto-encoder, and how likely it finds each image."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from oodbench.errors import ConfigError

PixelModel = Literal["logistic", "bernoulli"]
"""How likely a pixel is, given what the decoder says of it."""
LOG_SCALES = (-7.0, 3.0)
"""Bounds of the log of a logistic's scale, in units of half the range of a pixel; the lower one is PixelCNN++'s."""
LOG_VARIANCES = (-10.0, 10.0)
"""Bounds of the log-variances of a posterior."""


def discretised_logistic(pixels: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Return the log-probability of 8-bit pixels, in nats: the mass of a logistic distribution in each pixel's bin.

    The first and the last bin take the tails, so that the 256 probabilities add up to 1.
    Source: Salimans et al., ICLR 2017, Eq. 2, with one component.

    Args:
        pixels: multiples of 1/255 in [0, 1].
        mean: of the distribution, where pixels lie in [−1, 1].
        log_scale: log of its scale, the same.
    """
    centred, inverse_scale = 2 * pixels - 1 - mean, torch.exp(-log_scale)
    upper, lower = (inverse_scale * (centred + side / 255) for side in (1, -1))
    # σ(a) − σ(b) = σ(a)·σ(−b)·(1 − exp(b − a)), which stays exact far away from the mean.
    inside = logsigmoid(upper) + logsigmoid(-lower) + torch.log(-torch.expm1(-inverse_scale * 2 / 255))
    outside = torch.where(pixels < 0.5 / 255, logsigmoid(upper), inside)
    return torch.where(pixels > 1 - 0.5 / 255, logsigmoid(-lower), outside)


class VAE(nn.Module):
    """An encoder that gives a Gaussian posterior of the code, and a decoder that gives a distribution of each pixel.

    Args:
        encoder: images to mean and log-variance of the code, shape (n, 2 · latent).
        decoder: codes to parameters of the pixels: for "logistic" twice as many channels as the image has, means and
            log-scales; for "bernoulli" as many, logits.
        latent: size of the code, with a standard normal prior.
        pixels: "logistic", the discretised logistic, is a distribution of 8-bit images; "bernoulli", x·log p + (1 −
            x)·log(1 − p), is one of black and white images only, and is not normalised where pixels are grey.
        draws: codes that an image's bound is averaged over in evaluation: always the same standard normal noise, so
            that the bound of an image depends on nothing else.
        noised: share of the pixels that random ones take the place of in training.

    Raises:
        ConfigError: there is no such distribution of pixels.
    """

    noise: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        latent: int,
        *,
        pixels: PixelModel = "logistic",
        draws: int = 8,
        noised: float = 0.0,
    ) -> None:
        super().__init__()
        if pixels not in get_args(PixelModel):
            raise ConfigError(f"pixels must be one of {', '.join(get_args(PixelModel))}, got {pixels!r}")
        self.encoder, self.decoder, self.pixels, self.noised = encoder, decoder, pixels, noised
        noise = torch.randn(draws, latent, generator=torch.Generator().manual_seed(0))
        self.register_buffer("noise", noise, persistent=False)

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of each image's code, each of shape (n, latent)."""
        mean, log_variance = self.encoder(images).to(images.dtype).chunk(2, dim=1)
        return mean, log_variance.clamp(*LOG_VARIANCES)

    def log_likelihood(self, images: Tensor, codes: Tensor) -> Tensor:
        """Return log p(x | z) in nats, shape (n,), of images and codes, shape (n, latent)."""
        parameters = self.decoder(codes)
        # Half-precision passes end here.
        parameters = parameters.to(images.dtype)
        if self.pixels == "bernoulli":
            logs = -binary_cross_entropy_with_logits(parameters, images, reduction="none")
        else:
            mean, log_scale = parameters.chunk(2, dim=1)
            logs = discretised_logistic(images, torch.tanh(mean), log_scale.clamp(*LOG_SCALES))
        return logs.flatten(1).sum(dim=1)

    def bound(self, images: Tensor, mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
        """Return the evidence lower bound, E_q[log p(x | z)] − KL(q ‖ p), in bits per dimension, shape (n,).

        The expectation is a mean over draws, the divergence is exact.
        Source: Kingma & Welling, ICLR 2014, Eq. 10.

        Args:
            images: multiples of 1/255 in [0, 1], shape (n, channels, height, width).
            mean: of the posterior of each image, shape (n, latent).
            log_variance: the same.
            noise: standard normal, shape (draws, 1 or n, latent).
        """
        codes = mean + torch.exp(0.5 * log_variance) * noise
        likelihoods = [self.log_likelihood(images, code) for code in codes]
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)
        return (torch.stack(likelihoods).mean(dim=0) - divergence) / (math.log(2) * images[0].numel())

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return `log_likelihood`, the bound in bits per dimension, shape (n,), and `code`, the posterior's mean.

        In training it is the bound from one fresh draw an image, of noised images where `noised` says so.
        """
        noise = self.noise[:, None]
        if self.training:
            images = with_random_pixels(images, self.noised)
        mean, log_variance = self.posterior(images)
        if self.training:
            noise = torch.randn_like(mean)[None]
        return {"log_likelihood": self.bound(images, mean, log_variance, noise), "code": mean}

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Return what is kept of each image: see `forward`."""
        return self(images)  # type: ignore[no-any-return]


def with_random_pixels(images: Tensor, share: float) -> Tensor:
    """Return images some of whose pixels, each channel by itself, are replaced by ones drawn evenly from all 256.

    Source: Ren et al., NeurIPS 2019, Section 3, where `share` is the mutation rate μ.

    Args:
        images: in [0, 1].
        share: of the pixels that are replaced; 0 returns the images as they are.
    """
    if share == 0:
        return images
    replaced = torch.rand_like(images) < share
    return torch.where(replaced, torch.randint_like(images, 256) / 255, images)
