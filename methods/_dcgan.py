"""Generator and discriminator of a small DCGAN: 32×32 inside, resampled for images of other sizes."""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

SIDE = 32
"""Height and width of the images that the layers are made for."""


class Generator(nn.Module):
    """Latent noise to images in [0, 1].

    Source: Radford et al., ICLR 2016, in the sizes of the public code of CC-AG (Lee et al., ICLR 2018).

    Args:
        shape: channels, height and width of the images.
        width: number of filters of the last hidden layer, over 2.
        latent: size of the noise.
    """

    def __init__(self, shape: tuple[int, int, int], width: int = 64, latent: int = 100) -> None:
        super().__init__()
        channels, *self.size = shape
        self.latent = latent
        self.layers = nn.Sequential(
            nn.ConvTranspose2d(latent, 8 * width, 4, 1, 0, bias=False),
            nn.BatchNorm2d(8 * width),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(8 * width, 4 * width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(4 * width),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(4 * width, 2 * width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(2 * width, channels, 4, 2, 1, bias=False),
            nn.Sigmoid(),
        )
        self.apply(_initialise)

    def forward(self, noise: Tensor) -> Tensor:
        """Return images, shape (n, channels, height, width), from standard normal noise, shape (n, latent)."""
        return _resampled(self.layers(noise[:, :, None, None]), self.size)

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        """Return `count` images from fresh noise."""
        out: Tensor = self(torch.randn(count, self.latent, generator=random, device=random.device))
        return out


class Discriminator(nn.Module):
    """Images to the logit of being real.

    Source: as `Generator`.

    Args:
        shape: channels, height and width of the images.
        width: number of filters of the first layer, over 2.
    """

    def __init__(self, shape: tuple[int, int, int], width: int = 64) -> None:
        super().__init__()
        channels = shape[0]
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 2 * width, 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(2 * width, 4 * width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(4 * width),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(4 * width, 8 * width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(8 * width),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(8 * width, 1, 4, 1, 0, bias=False),
            nn.Flatten(0),
        )
        self.apply(_initialise)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape (n,), of images, shape (n, channels, height, width)."""
        out: Tensor = self.layers(_resampled(images, [SIDE, SIDE]))
        return out


def _resampled(images: Tensor, size: list[int]) -> Tensor:
    if list(images.shape[2:]) == size:
        return images
    # Not in bfloat16, which processors have no such filter for.
    return interpolate(images.float(), size, mode="bilinear", antialias=True)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
