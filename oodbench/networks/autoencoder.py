"""A convolutional auto-encoder for images of any size from 8×8 up, and its two halves."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from oodbench.errors import ConfigError

SMALLEST = 8
"""Height and width of the smallest images that a decoder is made for."""
CODED_SIDE = 4
"""Images are halved while the shorter side of what comes out has at least this many pixels."""
MOST_HALVINGS = 5
WIDEST = 8
"""Layers have at most this many times the filters of the first one."""


def sizes(shape: tuple[int, int, int]) -> list[tuple[int, int]]:
    """Return height and width of the maps between the layers, from the image to the smallest.

    Args:
        shape: channels, height and width of the images.

    Raises:
        ConfigError: the images are too small.

    >>> sizes((1, 28, 28)), sizes((3, 9, 40))
    ([(28, 28), (14, 14), (7, 7), (4, 4)], [(9, 40), (5, 20)])
    """
    _, height, width = shape
    if min(height, width) < SMALLEST:
        raise ConfigError(
            f"decoders make images of at least {SMALLEST}×{SMALLEST} pixels, and these are {height}×{width}; "
            "let the benchmark convert its images to a larger size"
        )
    between = [(height, width)]
    while len(between) <= MOST_HALVINGS and math.ceil(min(between[-1]) / 2) >= CODED_SIDE:
        between.append((math.ceil(between[-1][0] / 2), math.ceil(between[-1][1] / 2)))
    return between


def code_size(shape: tuple[int, int, int]) -> int:
    """Return the size of a code that is a 24th of an image: 32 for MNIST and 128 for CIFAR-10, as Deep SVDD has them.

    >>> code_size((1, 28, 28)), code_size((3, 32, 32)), code_size((1, 8, 8)), code_size((3, 224, 224))
    (32, 128, 10, 512)
    """
    return max(10, min(math.prod(shape) // 24, 512))


def _widths(width: int, count: int) -> list[int]:
    return [width * min(2**i, WIDEST) for i in range(count)]


def _layer(convolution: nn.Module, channels: int, *, bias: bool) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(channels, affine=bias), nn.LeakyReLU(0.1)]


class Encoder(nn.Module):
    """Images to codes: a 3×3 convolution, one of stride 2 for each halving, and a linear layer.

    Args:
        shape: channels, height and width of the images, at least 8×8.
        code_dim: size of the code.
        width: filters of the first layer; each halving doubles them, up to 8 times as many.
        bias: whether layers have biases and batch normalisation its scale and shift. Without them a one-class
            objective cannot be met by a constant (Ruff et al., ICML 2018, Proposition 2).

    Raises:
        ConfigError: the images are too small.
    """

    def __init__(self, shape: tuple[int, int, int], code_dim: int, width: int = 32, *, bias: bool = True) -> None:
        super().__init__()
        between = sizes(shape)
        widths = _widths(width, len(between))
        layers = _layer(nn.Conv2d(shape[0], widths[0], 3, padding=1, bias=False), widths[0], bias=bias)
        for before, after in pairwise(widths):
            layers += _layer(nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), after, bias=bias)
        height, last_width = between[-1]
        self.layers = nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(widths[-1] * height * last_width, code_dim, bias=bias)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return codes, shape (n, code_dim), of images in [0, 1]."""
        out: Tensor = self.layers(images)
        return out


class _Upsample(nn.Module):
    """Nearest neighbours, to a size that need not be twice as large."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of the size."""
        return interpolate(maps, size=self.size, mode="nearest")


class Decoder(nn.Module):
    """Codes to images: the mirror of `Encoder`, with nearest neighbours and a convolution for each halving.

    Args:
        shape: channels, height and width of the images, at least 8×8.
        code_dim: size of the code.
        width: as in `Encoder`.
        bias: as in `Encoder`.
        channels: what is made of each pixel, if not the channels of `shape`.

    Raises:
        ConfigError: the images are too small.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        code_dim: int,
        width: int = 32,
        *,
        bias: bool = True,
        channels: int | None = None,
    ) -> None:
        super().__init__()
        between = sizes(shape)[::-1]
        widths = _widths(width, len(between))[::-1]
        height, first_width = between[0]
        layers: list[nn.Module] = [
            nn.Linear(code_dim, widths[0] * height * first_width, bias=bias),
            nn.Unflatten(1, (widths[0], height, first_width)),
            nn.BatchNorm2d(widths[0], affine=bias),
            nn.LeakyReLU(0.1),
        ]
        for size, before, after in zip(between[1:], widths, widths[1:], strict=False):
            layers += [_Upsample(size), *_layer(nn.Conv2d(before, after, 3, padding=1, bias=False), after, bias=bias)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], channels or shape[0], 3, padding=1, bias=bias))

    def forward(self, codes: Tensor) -> Tensor:
        """Return what is made of each pixel, shape (n, channels, height, width): any numbers, no pixels yet."""
        out: Tensor = self.layers(codes)
        return out


class Autoencoder(nn.Module):
    """An encoder and a decoder, with a sigmoid above it.

    Args:
        encoder: images to codes.
        decoder: codes to logits of pixels.
        noise: standard deviation of the Gaussian noise on the images that are encoded in training.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, noise: float = 0.0) -> None:
        super().__init__()
        self.encoder, self.decoder, self.noise = encoder, decoder, noise

    def decode(self, codes: Tensor) -> Tensor:
        """Return images in [0, 1], float32 of shape (n, channels, height, width)."""
        return torch.sigmoid(self.decoder(codes).float())

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return `code`, shape (n, code_dim), and `error`, the mean squared error of each image, shape (n,)."""
        noisy = images + self.noise * torch.randn_like(images) if self.training and self.noise else images
        code = self.encoder(noisy)
        return {"code": code, "error": squared_error(self.decode(code), images)}

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Return what is kept of each image: see `forward`."""
        return self(images)  # type: ignore[no-any-return]


def squared_error(made: Tensor, images: Tensor) -> Tensor:
    """Return the mean over all pixels of the squared difference, shape (n,), of two tensors of images.

    >>> squared_error(torch.tensor([[[[0.0, 1.0]]]]), torch.tensor([[[[0.5, 1.0]]]]))
    tensor([0.1250])
    """
    return (made - images).square().flatten(1).mean(dim=1)
