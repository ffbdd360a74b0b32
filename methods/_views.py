"""Two random views of an image: cropped, flipped, with other colours."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

SMALLEST_CROP = 0.2
"""Share of the image's area that a crop has at least."""
JITTER = 0.4
"""How far from 1 the factors of brightness, contrast and saturation are at most."""
JITTERED = 0.8
"""Share of the views with other colours."""
GREY = 0.2
"""Share of the views without colour."""


def view(images: Tensor, flip: bool, random: torch.Generator) -> Tensor:  # noqa: FBT001  # a setting that is passed on
    """Return a random view of each image, of the same shape, in [0, 1].

    A crop of 20% to 100% of the area with an aspect ratio of 3/4 to 4/3, resized; mirrored with probability 1/2;
    brightness, contrast and saturation changed with probability 4/5; grey with probability 1/5.
    Source: Chen et al., ICML 2020 (SimCLR), as the public code of Sehwag et al., ICLR 2021, has it, but for the hue.

    Args:
        images: float32 in [0, 1], shape (n, channels, height, width).
        flip: whether views are mirrored.
        random: the only source of randomness, on the device of the images.
    """
    views = _coloured(_cropped(images, flip, random), random)
    return views.clamp(0, 1).contiguous(memory_format=torch.channels_last)


def _draw(n: int, low: float, high: float, random: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(n, generator=random, device=random.device)


def _cropped(images: Tensor, flip: bool, random: torch.Generator) -> Tensor:  # noqa: FBT001
    n = len(images)
    area, ratio = _draw(n, SMALLEST_CROP, 1.0, random), _draw(n, -1.0, 1.0, random)
    ratio = (4 / 3) ** ratio
    width, height = ((area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1))
    theta = images.new_zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = width, height
    # The grid of an image goes from −1 to 1: what the crop leaves over is where its centre may be.
    theta[:, 0, 2] = (1 - width) * _draw(n, -1.0, 1.0, random)
    theta[:, 1, 2] = (1 - height) * _draw(n, -1.0, 1.0, random)
    if flip:
        theta[:, 0, 0] *= torch.where(_draw(n, 0.0, 1.0, random) < 0.5, -1.0, 1.0)
    grid = affine_grid(theta, list(images.shape), align_corners=False)
    return grid_sample(images, grid, padding_mode="border", align_corners=False)


def _coloured(images: Tensor, random: torch.Generator) -> Tensor:
    n = len(images)
    brightness, contrast, saturation = (_draw(n, 1 - JITTER, 1 + JITTER, random)[:, None, None, None] for _ in range(3))
    changed = (brightness * images).clamp(0, 1)
    mean = changed.mean(dim=(1, 2, 3), keepdim=True)
    changed = (mean + contrast * (changed - mean)).clamp(0, 1)
    grey = changed.mean(dim=1, keepdim=True)
    changed = (grey + saturation * (changed - grey)).clamp(0, 1)
    out = torch.where(_draw(n, 0.0, 1.0, random)[:, None, None, None] < JITTERED, changed, images)
    return torch.where(_draw(n, 0.0, 1.0, random)[:, None, None, None] < GREY, out.mean(dim=1, keepdim=True), out)
