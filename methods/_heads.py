"""Heads of one's own on the body of a benchmark's network."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from oodbench.api import Network


def feature_size(network: nn.Module, shape: tuple[int, int, int]) -> int:
    """Return how many features a network has.

    Args:
        network: fits `oodbench.api.Network`; it is left as it was.
        shape: channels, height and width of its images.
    """
    # In evaluation mode, so that nothing is drawn and no running mean is moved.
    was_training = network.training
    with torch.no_grad():
        size = cast("Network", network.eval()).features(torch.zeros(1, *shape)).shape[1]
    network.train(was_training)
    return size


class OnBody(nn.Module):
    """Base of networks that put something of their own on the features of the benchmark's network.

    Args:
        backbone: fits `oodbench.api.Network`.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def features(self, images: Tensor) -> Tensor:
        """Return the features of the benchmark's network, shape (n, n_features)."""
        return cast("Network", self.backbone).features(images)


class FeaturesAndLogits(OnBody):
    """A classifier that gives its features with its logits.

    Args:
        backbone: the classifier.
    """

    def head(self, features: Tensor) -> Tensor:
        """Return logits, shape (n, C)."""
        return cast("Network", self.backbone).head(features)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return "features", shape (n, n_features), and "logits", shape (n, C)."""
        features = self.features(images)
        return {"features": features, "logits": self.head(features)}


def take_over(network: nn.Module, start: nn.Module) -> None:
    """Give a network the weights of another one that have the same names and shapes.

    Where only the first dimension is larger, as in a head with more outputs, its first rows are taken over.

    Args:
        network: to change.
        start: to copy from.
    """
    known = start.state_dict()
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name not in known:
                continue
            given = known[name]
            if tensor.shape == given.shape:
                tensor.copy_(given)
            elif tensor.shape[1:] == given.shape[1:] and len(tensor) > len(given):
                tensor[: len(given)].copy_(given)
