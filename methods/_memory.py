"""An auto-encoder whose codes are addresses of a memory."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, relu

from oodbench.networks.autoencoder import squared_error

LEAST = 1e-12
"""What keeps quotients and logs finite, as in the public code."""


class Memory(nn.Module):
    """Learnt prototypes of codes.

    Args:
        items: how many.
        code_dim: size of each.
        shrinkage: λ; smaller weights become 0.
    """

    def __init__(self, items: int, code_dim: int, shrinkage: float) -> None:
        super().__init__()
        self.shrinkage = shrinkage
        bound = 1 / math.sqrt(code_dim)
        self.items = nn.Parameter(torch.empty(items, code_dim).uniform_(-bound, bound))

    def weights(self, codes: Tensor) -> Tensor:
        """Return ŵ, shape (n, items), of codes, shape (n, code_dim): at least 0, with a sum of 1, or all 0.

        Source: Gong et al., ICCV 2019, Eq. 4 to 7.
        """
        cosines = normalize(codes, dim=1) @ normalize(self.items, dim=1).T
        weights = cosines.softmax(dim=1)
        above = weights - self.shrinkage
        # Either the weight as it was or 0, with a gradient on both sides.
        shrunk = relu(above) * weights / (above.abs() + LEAST)
        return normalize(shrunk, p=1, dim=1)


class MemoryAutoencoder(nn.Module):
    """An encoder, a memory and a decoder.

    Args:
        encoder: images to codes.
        memory: codes to weights of its items.
        decoder: codes that are put together from items to logits of pixels.
    """

    def __init__(self, encoder: nn.Module, memory: Memory, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.memory, self.decoder = encoder, memory, decoder

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return `error`, the mean squared error, and `entropy`, in nats, of each image, shape (n,), and `code`."""
        code = self.encoder(images).float()
        weights = self.memory.weights(code)
        made = torch.sigmoid(self.decoder(weights @ self.memory.items).float())
        entropy = -(weights * (weights + LEAST).log()).sum(dim=1)
        return {"error": squared_error(made, images), "entropy": entropy, "code": code}

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Return what is kept of each image: see `forward`."""
        return self(images)  # type: ignore[no-any-return]
