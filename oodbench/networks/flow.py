"""A multi-scale flow of affine couplings: an invertible network that says how likely an image is."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from .vae import with_random_pixels

MOST_SQUEEZES = 3
SMALLEST_SQUEEZED = 8
"""Maps of fewer pixels a side are not squeezed."""
MARGIN = 0.05
"""α of the logit transform of RealNVP: what keeps 0 and 1 away from infinity."""


class ChannelAffine(nn.Module):
    """A learnt scale and shift for each channel; it starts as the identity.

    Args:
        channels: of its maps.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(channels, 1, 1))
        self.shift = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Return the maps and the log of the Jacobian's determinant, a scalar that all images share."""
        return maps * self.log_scale.exp() + self.shift, self.log_scale.sum() * maps[0, 0].numel()

    def inverse(self, maps: Tensor) -> Tensor:
        """Return what `forward` was given."""
        return (maps - self.shift) * torch.exp(-self.log_scale)


class AffineCoupling(nn.Module):
    """Scales and shifts one half of the values by what a small network says of the other half.

    y = x·exp(s) + t where the mask is 0, with s and t functions of the values where it is 1. It starts as the identity.
    Source: Dinh et al., ICLR 2017, Eq. 7 to 9.

    Args:
        channels: of its maps.
        width: filters of the small network.
        mask: 1 for values that stay as they are, 0 for those that change, broadcast to (channels, height, width).
    """

    mask: Tensor

    def __init__(self, channels: int, width: int, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask, persistent=False)
        last = nn.Conv2d(width, 2 * channels, 3, padding=1)
        self.network = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 1),
            nn.ReLU(),
            last,
        )
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.largest = nn.Parameter(torch.ones(channels, 1, 1))

    def _scale_and_shift(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        raw, shift = self.network(maps * self.mask).float().chunk(2, dim=1)
        changed = 1 - self.mask
        return self.largest * torch.tanh(raw) * changed, shift * changed

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Return the maps and the log of the Jacobian's determinant of each image, shape (n,)."""
        log_scale, shift = self._scale_and_shift(maps)
        return maps * log_scale.exp() + shift, log_scale.flatten(1).sum(dim=1)

    def inverse(self, maps: Tensor) -> Tensor:
        """Return what `forward` was given."""
        log_scale, shift = self._scale_and_shift(maps)
        return (maps - shift) * torch.exp(-log_scale)


class Scale(nn.Module):
    """Couplings of one resolution: in a chequerboard, and, where the maps are squeezed after them, by channels.

    Args:
        shape: channels, height and width of its maps.
        width: filters of the couplings' networks.
        couplings: of each kind.
        squeeze: whether 2×2 pixels become four channels, and half of the channels then leave.
    """

    def __init__(self, shape: tuple[int, int, int], width: int, couplings: int, *, squeeze: bool) -> None:
        super().__init__()
        self.squeeze = squeeze
        channels, height, columns = shape
        board = (torch.arange(height)[:, None] + torch.arange(columns)).remainder(2).float()[None]
        self.chequered = nn.ModuleList(self._steps(channels, width, couplings, board))
        self.by_channel = nn.ModuleList()
        if squeeze:
            halves = (torch.arange(4 * channels) < 2 * channels).float()[:, None, None]
            self.by_channel.extend(self._steps(4 * channels, width, couplings, halves))

    @staticmethod
    def _steps(channels: int, width: int, couplings: int, mask: Tensor) -> Iterator[nn.Module]:
        for i in range(couplings):
            yield ChannelAffine(channels)
            yield AffineCoupling(channels, width, mask if i % 2 == 0 else 1 - mask)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Return the maps, all channels, and the log of the Jacobian's determinant of each image, shape (n,)."""
        total = maps.new_zeros(len(maps))
        for step in self.chequered:
            maps, log_determinant = step(maps)
            total = total + log_determinant
        if self.squeeze:
            maps = pixel_unshuffle(maps, 2)
        for step in self.by_channel:
            maps, log_determinant = step(maps)
            total = total + log_determinant
        return maps, total

    def inverse(self, maps: Tensor) -> Tensor:
        """Return what `forward` was given."""
        for step in reversed(self.by_channel):
            maps = step.inverse(maps)  # type: ignore[operator]
        if self.squeeze:
            maps = pixel_shuffle(maps, 2)
        for step in reversed(self.chequered):
            maps = step.inverse(maps)  # type: ignore[operator]
        return maps


class Flow(nn.Module):
    """A multi-scale flow on dequantised images, with a standard normal distribution at its end.

    Pixels in [0, 1] go through a logit transform; then, as often as both sides are even and at least 8, at most three
    times: couplings in a chequerboard, a squeeze, couplings by channels, and half of the channels leave; couplings in
    a chequerboard end it.
    Source: Dinh et al., ICLR 2017, Section 3, without batch normalisation, with a learnt scale and shift of channels
    before each coupling (Kingma & Dhariwal, NeurIPS 2018, Section 3.1, without its start from data).

    Args:
        shape: channels, height and width of the images, of any size.
        width: filters of the couplings' networks.
        couplings: of each kind at each resolution.
        draws: of dequantisation noise that an image's likelihood is averaged over in evaluation: always the same
            noise, so that the likelihood of an image depends on nothing else.
        noised: share of the pixels that random ones take the place of in training.
    """

    noise: Tensor

    def __init__(
        self,
        shape: tuple[int, int, int],
        width: int = 64,
        couplings: int = 3,
        *,
        draws: int = 1,
        noised: float = 0.0,
    ) -> None:
        super().__init__()
        self.shape, self.noised = shape, noised
        self.scales = nn.ModuleList()
        channels, height, columns = shape
        while len(self.scales) < MOST_SQUEEZES and _can_be_squeezed(height, columns):
            self.scales.append(Scale((channels, height, columns), width, couplings, squeeze=True))
            channels, height, columns = 2 * channels, height // 2, columns // 2
        self.scales.append(Scale((channels, height, columns), width, couplings, squeeze=False))
        noise = torch.rand(draws, *shape, generator=torch.Generator().manual_seed(0))
        self.register_buffer("noise", noise, persistent=False)

    def transform(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the latent of continuous images and the log of the Jacobian's determinant.

        Args:
            images: numbers in [0, 1], shape (n, channels, height, width).

        Returns:
            Latents, shape (n, channels · height · width), and logs, shape (n,).
        """
        inner = MARGIN + (1 - 2 * MARGIN) * images
        maps = torch.logit(inner)
        # The derivative of the logit is 1 / (y·(1 − y)).
        slopes = math.log(1 - 2 * MARGIN) - inner.log() - torch.log1p(-inner)
        total, left = slopes.flatten(1).sum(dim=1), []
        for scale in self.scales:
            maps, log_determinant = scale(maps)
            total = total + log_determinant
            if scale.squeeze:
                gone, maps = maps.chunk(2, dim=1)
                left.append(gone.flatten(1))
        return torch.cat([*left, maps.flatten(1)], dim=1), total

    def inverse(self, latents: Tensor) -> Tensor:
        """Return the images that `transform` was given, shape (n, channels, height, width)."""
        shapes, (channels, height, columns) = [], self.shape
        for _ in range(len(self.scales) - 1):
            channels, height, columns = 2 * channels, height // 2, columns // 2
            shapes.append((channels, height, columns))
        parts = torch.split(latents, [math.prod(shape) for shape in (*shapes, (channels, height, columns))], dim=1)
        maps = parts[-1].reshape(-1, channels, height, columns)
        maps = self.scales[-1].inverse(maps)  # type: ignore[operator]
        for scale, part, shape in zip(self.scales[-2::-1], parts[-2::-1], shapes[::-1], strict=True):
            maps = torch.cat([part.reshape(-1, *shape), maps], dim=1)
            maps = scale.inverse(maps)  # type: ignore[operator]
        return (torch.sigmoid(maps) - MARGIN) / (1 - 2 * MARGIN)

    def log_density(self, images: Tensor) -> Tensor:
        """Return the log of the density of continuous images, in nats, shape (n,).

        The density is one of numbers from −α/(1−2α) to 1 + α/(1−2α), with α = 0.05 of the logit transform.
        """
        latents, log_determinant = self.transform(images)
        normal = -0.5 * (latents.square() + math.log(2 * math.pi))
        return normal.sum(dim=1) + log_determinant

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return `log_likelihood` of 8-bit images, in bits per dimension, shape (n,).

        Pixels 0 … 255 become (pixel + u) / 256 with u uniform in [0, 1) (dequantisation), so that the density times
        256 ** −dimensions bounds the probability of the image from below, in expectation (Theis et al., ICLR 2016,
        Section 3.1). In training u is drawn afresh, and images are noised where `noised` says so.

        Args:
            images: multiples of 1/255 in [0, 1], shape (n, channels, height, width).
        """
        if self.training:
            images = with_random_pixels(images, self.noised)
            return {"log_likelihood": self.bits_per_dimension(images, torch.rand_like(images))}
        draws = torch.stack([self.bits_per_dimension(images, noise) for noise in self.noise])
        # The mean of probabilities, not of their logs; bits of an image, not of a dimension, are what adds up.
        nats = math.log(2) * images[0].numel()
        return {"log_likelihood": (torch.logsumexp(draws * nats, dim=0) - math.log(len(draws))) / nats}

    def bits_per_dimension(self, images: Tensor, noise: Tensor) -> Tensor:
        """Return the log-likelihood of 8-bit images dequantised by given noise in [0, 1), shape (n,)."""
        dimensions = images[0].numel()
        density = self.log_density((255 * images + noise) / 256)
        return density / (dimensions * math.log(2)) - 8

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Return what is kept of each image: see `forward`."""
        return self(images)  # type: ignore[no-any-return]


def _can_be_squeezed(*sides: int) -> bool:
    return all(side % 2 == 0 and side >= SMALLEST_SQUEEZED for side in sides)
