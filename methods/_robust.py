"""An auto-encoder that sets aside what it cannot draw."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from oodbench.networks.autoencoder import Autoencoder, squared_error


def shrunk(residuals: Tensor, penalty: float, *, by_image: bool) -> Tensor:
    """Return the proximal operator of a sparse penalty at residuals, shape (n, channels, height, width).

    By pixel each moves towards 0 by the penalty, and stays there; by image all pixels are scaled so that the root mean
    square moves towards 0 by the penalty.
    Source: Zhou & Paffenroth, KDD 2017, Section 4; survey (Salehi et al.) Eq. 4, and Mosci et al. for blocks.
    """
    if not by_image:
        return residuals.sign() * (residuals.abs() - penalty).clamp(min=0)
    size = residuals.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    return residuals * (1 - penalty / size.clamp(min=1e-12)).clamp(min=0)


class RobustAutoencoder(Autoencoder):
    """An auto-encoder whose error is, in training, that of images without what is set aside of them.

    Args:
        encoder: images to codes.
        decoder: codes to logits of pixels.
        by_image: whether whole images are set aside, or single pixels.
        penalty: λ, see `shrunk`.
        rounds: of finding what is set aside.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, *, by_image: bool, penalty: float, rounds: int) -> None:
        super().__init__(encoder, decoder)
        self.by_image, self.penalty, self.rounds = by_image, penalty, rounds

    @torch.no_grad()
    def set_aside(self, images: Tensor) -> Tensor:
        """Return S of some images, as the auto-encoder is now, shape (n, channels, height, width)."""
        training = self.training
        # Running means are to be those of the images that are learnt from.
        self.eval()
        aside = torch.zeros_like(images)
        for _ in range(self.rounds):
            aside = shrunk(images - self.decode(self.encoder(images - aside)), self.penalty, by_image=self.by_image)
        self.train(training)
        return aside

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return `code`, shape (n, code_dim), and `error`, the mean squared error of each image, shape (n,)."""
        low = images - self.set_aside(images) if self.training else images
        code = self.encoder(low)
        return {"code": code, "error": squared_error(self.decode(code), low)}
