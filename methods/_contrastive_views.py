"""Contrastive learning of two views of each image, with or without labels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from oodbench.training.learner import Setting

from ._heads import OnBody, feature_size
from ._own_loss import OwnLossLearner
from ._views import view


class Projected(OnBody):
    """The body of a classifier with a projection head: two linear layers with a ReLU, to vectors of length 1.

    Args:
        backbone: whose features are taken; its own head is not used.
        shape: channels, height and width of the images.
        size: of the projections.
    """

    def __init__(self, backbone: nn.Module, shape: tuple[int, int, int], size: int) -> None:
        super().__init__(backbone)
        n_features = feature_size(backbone, shape)
        self.projection = nn.Sequential(nn.Linear(n_features, n_features), nn.ReLU(), nn.Linear(n_features, size))

    def head(self, features: Tensor) -> Tensor:
        """Return projections of length 1, shape (n, size)."""
        return normalize(self.projection(features), dim=1)

    def forward(self, images: Tensor) -> Tensor:
        """Return projections of length 1, shape (n, size)."""
        return self.head(self.features(images))


def contrastive_loss(projections: Tensor, classes: Tensor, temperature: float) -> Tensor:
    """Return the supervised contrastive loss over all views of a batch, a scalar.

    For each view, the mean over all other views of its class of −log of their share in the sum of exp(u·u' / τ) over
    all other views. With a class of its own for each image, the only other one is its second view: NT-Xent.
    Source: Khosla et al., NeurIPS 2020, Eq. 2, and Chen et al., ICML 2020; survey (Salehi et al.) §6.19, Eq. 97, 99.

    Args:
        projections: u of length 1, shape (n, size).
        classes: int64, shape (n,); each occurs at least twice.
        temperature: τ.
    """
    n = len(projections)
    itself = torch.eye(n, dtype=torch.bool, device=projections.device)
    log_share = (projections @ projections.T / temperature).masked_fill(itself, -torch.inf).log_softmax(dim=1)
    positive = (classes[:, None] == classes) & ~itself
    of_class = log_share.masked_fill(~positive, 0.0).sum(dim=1) / positive.sum(dim=1)
    return -of_class.mean()


class ViewsLearner(OwnLossLearner):
    """Learns from two random views of each image, which go through the network together.

    Args:
        network: gives projections.
        temperature: of the loss.
        supervised: whether images of one class are views of the same thing.
        flip: whether views are mirrored.
        setting: of the training.
    """

    def __init__(
        self, network: nn.Module, temperature: float, *, supervised: bool, flip: bool, setting: Setting
    ) -> None:
        super().__init__(network, setting)
        self._temperature, self._supervised, self._flip = temperature, supervised, flip

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of a batch."""
        random = self._setting.random
        views = torch.cat([view(images, self._flip, random) for _ in range(2)])
        classes = labels if self._supervised else torch.arange(len(images), device=images.device)
        return contrastive_loss(self.outputs(views), classes.repeat(2), self._temperature)
