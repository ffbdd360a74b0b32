"""Random changes of training images: a batch at once on its device, other ones for each image, from one generator."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, conv2d, grid_sample

from oodbench.errors import ConfigError

from .config import Augmentation

Change = Callable[[Tensor, torch.Generator], Tensor]
"""Takes and returns float32 in [0, 1], shape (n, channels, height, width), and draws from a generator on their device.
"""

CROP = 1 / 8
"""By how much of their side "crop" shifts images at most: 4 pixels of 32, as is usual on CIFAR."""
JITTER = 0.4
"""How far from 1 the factors of "jitter" are at most."""
CUTOUT = 1 / 2
"""Side of the square of "cutout", as a share of the image's: 16 of 32 pixels, as DeVries & Taylor take on CIFAR-10."""
RANDAUGMENT_OPERATIONS = 2
RANDAUGMENT_MAGNITUDE = 9 / 30
"""N and M of RandAugment, M as a share of the largest: torchvision's defaults."""


def require_fit(names: Sequence[Augmentation], shape: tuple[int, int, int]) -> None:
    """Refuse changes that cannot be made to images of a shape (channels, height, width).

    Raises:
        ConfigError: quarter turns of images that are not square.
    """
    _, height, width = shape
    if "rotate90" in names and height != width:
        raise ConfigError(f"augment=rotate90 needs square images, and these are {height}×{width}; leave it out")


def augmented(images: Tensor, names: Sequence[Augmentation], random: torch.Generator) -> Tensor:
    """Return images that are changed at random, each in its own way.

    Args:
        images: float32 in [0, 1], shape (n, channels, height, width); they are left as they are.
        names: the changes, in their order.
        random: the only source of randomness, on the device of the images.

    Returns:
        Float32 in [0, 1] of the same shape, in the memory order that convolutions are fast in.
    """
    for name in names:
        images = CHANGES[name](images, random)
    return images.contiguous(memory_format=torch.channels_last)


def crop(images: Tensor, random: torch.Generator) -> Tensor:
    """Shift by up to an eighth of the side; what comes in from beyond the border is its mirror image."""
    n, _, height, width = images.shape
    rows, columns = _shifted(height, n, random), _shifted(width, n, random)
    moved = images.gather(2, rows[:, None, :, None].expand_as(images))
    return moved.gather(3, columns[:, None, None, :].expand_as(images))


def _shifted(side: int, n: int, random: torch.Generator) -> Tensor:
    """Return for each image which of its rows stand where, shape (n, side)."""
    reach = min(max(1, round(CROP * side)), side - 1)
    shift = torch.randint(-reach, reach + 1, (n, 1), generator=random, device=random.device)
    index = (torch.arange(side, device=random.device) + shift).abs()
    return side - 1 - (side - 1 - index).abs()


def flip(images: Tensor, random: torch.Generator) -> Tensor:
    """Exchange left and right in every second image."""
    return torch.where(_drawn(images, random) < 0.5, images.flip(3), images)


def rotate90(images: Tensor, random: torch.Generator) -> Tensor:
    """Turn by none to three quarters of a circle."""
    n = len(images)
    turns = torch.randint(4, (n,), generator=random, device=random.device)
    turned = torch.stack([images.rot90(k, (2, 3)) for k in range(4)])
    return turned[turns, torch.arange(n, device=random.device)]


def jitter(images: Tensor, random: torch.Generator) -> Tensor:
    """Change brightness, then contrast, then the strength of colours, each by a factor in [0.6, 1.4]."""
    brightness, contrast, colour = (1 + JITTER * (2 * _drawn(images, random) - 1) for _ in range(3))
    images = _brightened(images, brightness)
    images = _contrasted(images, contrast)
    return _coloured(images, colour)


def cutout(images: Tensor, random: torch.Generator) -> Tensor:
    """Paint a square of half the side in the image's mean colour; it may stick out of the image.

    Source: DeVries & Taylor, arXiv 1708.04552, where images are normalised and the square is 0, the data set's mean.
    """
    n, _, height, width = images.shape
    inside = _inside(height, n, random)[:, None, :, None] & _inside(width, n, random)[:, None, None, :]
    return torch.where(inside, images.mean(dim=(2, 3), keepdim=True), images)


def _inside(side: int, n: int, random: torch.Generator) -> Tensor:
    """Return which rows of each image a square covers, shape (n, side)."""
    length = max(1, round(CUTOUT * side))
    centre = torch.randint(side, (n, 1), generator=random, device=random.device)
    distance = torch.arange(side, device=random.device) - (centre - length // 2)
    return (distance >= 0) & (distance < length)


def randaugment(images: Tensor, random: torch.Generator) -> Tensor:
    """Do two operations of fourteen to each image, one after the other, at three tenths of their strength.

    Source: Cubuk et al., NeurIPS 2020, with the operations and strengths of torchvision. Deviations: images are moved
    with interpolation, and their border is mirrored where torchvision's is black, for black corners would tell
    training images from others.
    """
    for _ in range(RANDAUGMENT_OPERATIONS):
        images = _one_operation(images, random)
    return images


def _one_operation(images: Tensor, random: torch.Generator) -> Tensor:
    n, m = len(images), RANDAUGMENT_MAGNITUDE
    chosen = torch.randint(len(_MOVES) + len(_COLOURS) + 1, (n,), generator=random, device=random.device)
    sign = 2.0 * torch.randint(2, (n,), generator=random, device=random.device) - 1
    still = torch.eye(2, 3, device=random.device)
    theta = still.repeat(n, 1, 1)
    for number, move in enumerate(_MOVES):
        theta = torch.where((chosen == number)[:, None, None], still + move(sign * m), theta)
    grid = affine_grid(theta, list(images.shape), align_corners=False)
    moved = grid_sample(images, grid, padding_mode="reflection", align_corners=False).clamp(0, 1)
    out = torch.where((chosen < len(_MOVES))[:, None, None, None], moved, images)
    for number, change in enumerate(_COLOURS, start=len(_MOVES)):
        out = torch.where((chosen == number)[:, None, None, None], change(images, sign[:, None, None, None] * m), out)
    # The last number is the operation that changes nothing.
    return out


def _sheared(amount: Tensor, row: int) -> Tensor:
    change = torch.zeros(len(amount), 2, 3, device=amount.device)
    change[:, row, 1 - row] = 0.3 * amount
    return change


def _translated(amount: Tensor, row: int) -> Tensor:
    change = torch.zeros(len(amount), 2, 3, device=amount.device)
    # The grid of an image goes from −1 to 1.
    change[:, row, 2] = 2 * 150 / 331 * amount
    return change


def _rotated(amount: Tensor) -> Tensor:
    angle = math.radians(30) * amount
    change = torch.zeros(len(amount), 2, 3, device=amount.device)
    change[:, 0, 0] = change[:, 1, 1] = angle.cos() - 1
    change[:, 0, 1], change[:, 1, 0] = -angle.sin(), angle.sin()
    return change


_MOVES: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda amount: _sheared(amount, 0),
    lambda amount: _sheared(amount, 1),
    lambda amount: _translated(amount, 0),
    lambda amount: _translated(amount, 1),
    _rotated,
)
"""What each adds to the affine map that changes nothing, shape (n, 2, 3), for signed magnitudes of shape (n,)."""


def _blended(images: Tensor, others: Tensor, factor: Tensor) -> Tensor:
    return (factor * images + (1 - factor) * others).clamp(0, 1)


def _brightened(images: Tensor, factor: Tensor) -> Tensor:
    return (factor * images).clamp(0, 1)


def _contrasted(images: Tensor, factor: Tensor) -> Tensor:
    return _blended(images, _grey(images).mean(dim=(1, 2, 3), keepdim=True), factor)


def _coloured(images: Tensor, factor: Tensor) -> Tensor:
    return _blended(images, _grey(images), factor)


def _grey(images: Tensor) -> Tensor:
    if images.shape[1] != 3:
        return images.mean(dim=1, keepdim=True)
    weights = torch.tensor([0.299, 0.587, 0.114], device=images.device)
    return (images * weights[:, None, None]).sum(dim=1, keepdim=True)


def _sharpened(images: Tensor, factor: Tensor) -> Tensor:
    n, channels, height, width = images.shape
    if min(height, width) < 3:
        return images
    kernel = torch.ones(3, 3, device=images.device)
    kernel[1, 1] = 5
    blurred = images.clone()
    planes = images.reshape(n * channels, 1, height, width)
    smooth = conv2d(planes, (kernel / kernel.sum())[None, None])
    blurred[:, :, 1:-1, 1:-1] = smooth.view(n, channels, height - 2, width - 2)
    return _blended(images, blurred, factor)


def _posterised(images: Tensor, bits: int) -> Tensor:
    step = float(2 ** (8 - bits))
    return (images * 255).div(step).floor() * step / 255


def _stretched(images: Tensor) -> Tensor:
    low, high = images.amin(dim=(2, 3), keepdim=True), images.amax(dim=(2, 3), keepdim=True)
    return torch.where(high > low, (images - low) / (high - low).clamp(min=1e-6), images).clamp(0, 1)


def _equalised(images: Tensor) -> Tensor:
    """Return images whose values are spread as evenly as Pillow's `equalize` spreads them, channel by channel."""
    n, channels, height, width = images.shape
    values = (images * 255).round().long().reshape(n * channels, height * width)
    # Counts of whole numbers: the same on every device, in whatever order they are added.
    counts = torch.zeros(n * channels, 256, dtype=torch.int64, device=images.device)
    counts.scatter_add_(1, values, torch.ones_like(values))
    last = counts.gather(1, values.amax(dim=1, keepdim=True))
    step = (height * width - last) // 255
    below = counts.cumsum(dim=1) - counts
    table = ((below + step // 2) // step.clamp(min=1)).clamp(0, 255)
    spread = table.gather(1, values).float().div(255).view_as(images)
    return torch.where((step > 0).view(n, channels, 1, 1), spread, images)


_COLOURS: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    lambda images, amount: _brightened(images, 1 + 0.9 * amount),
    lambda images, amount: _coloured(images, 1 + 0.9 * amount),
    lambda images, amount: _contrasted(images, 1 + 0.9 * amount),
    lambda images, amount: _sharpened(images, 1 + 0.9 * amount),
    lambda images, _: _posterised(images, 8 - round(4 * RANDAUGMENT_MAGNITUDE)),
    lambda images, amount: torch.where(images >= 1 - amount.abs(), 1 - images, images),
    lambda images, _: _stretched(images),
    lambda images, _: _equalised(images),
)
"""Changes of the values, by a signed magnitude of shape (n, 1, 1, 1) where they have a strength."""


def _drawn(images: Tensor, random: torch.Generator) -> Tensor:
    """Return a number in [0, 1) for each image, shape (n, 1, 1, 1)."""
    return torch.rand(len(images), 1, 1, 1, generator=random, device=random.device)


CHANGES: Mapping[Augmentation, Change] = {
    "crop": crop,
    "flip": flip,
    "rotate90": rotate90,
    "jitter": jitter,
    "randaugment": randaugment,
    "cutout": cutout,
}
"""By the names that `TrainConfig.augment` knows."""
