"""A classifier that also says by how many quarter turns an image was rotated."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from oodbench.training.learner import Setting

from ._heads import OnBody, feature_size
from ._own_loss import OwnLossLearner

if TYPE_CHECKING:
    from oodbench.api import Network

TURNS = 4


def turned(images: Tensor) -> Tensor:
    """Return images turned by 0, 1, 2 and 3 quarters of a circle, shape (4n, ...): first all unturned, and so on."""
    return torch.cat([images.rot90(turns, (2, 3)) for turns in range(TURNS)])


class RotationNet(OnBody):
    """A classifier with a second linear head on its features, with one output for each quarter turn.

    Args:
        backbone: the classifier.
        shape: channels, height and width of the images, which are square.
    """

    def __init__(self, backbone: nn.Module, shape: tuple[int, int, int]) -> None:
        super().__init__(backbone)
        self.turns = nn.Linear(feature_size(backbone, shape), TURNS)

    def head(self, features: Tensor) -> Tensor:
        """Return the logits of the classes, shape (n, C)."""
        return cast("Network", self.backbone).head(features)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return logits of the classes, shape (n, C), and of the quarter turns, shape (n, 4)."""
        features = self.features(images)
        return {"logits": self.head(features), "turns": self.turns(features)}

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Return features, logits, and "rotation": log p(r | image turned r times) for each r, shape (n, 4)."""
        n = len(images)
        features = self.features(turned(images))
        log_p = self.turns(features).float().log_softmax(dim=1).reshape(TURNS, n, TURNS)
        return {
            "features": features[:n],
            "logits": self.head(features[:n]),
            "rotation": log_p.diagonal(dim1=0, dim2=2),
        }


class RotationLearner(OwnLossLearner):
    """Cross-entropy of the classes on unturned images, and of the quarter turns on all four turns of each.

    Args:
        network: a `RotationNet`.
        weight: of the rotation loss.
        setting: of the training.
    """

    def __init__(self, network: nn.Module, weight: float, setting: Setting) -> None:
        super().__init__(network, setting)
        self._weight = weight

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of a batch, which goes through the network with its turned images."""
        return rotation_loss(self.outputs(turned(images)), labels, self._weight)


def rotation_loss(outputs: dict[str, Tensor], labels: Tensor, weight: float) -> Tensor:
    """Return the loss of n images in the order of `turned`, a scalar.

    Args:
        outputs: "logits" of shape (4n, C) and "turns" of shape (4n, 4).
        labels: int64, shape (n,).
        weight: of the rotation loss.
    """
    n = len(labels)
    turns = torch.arange(TURNS, device=labels.device).repeat_interleave(n)
    return cross_entropy(outputs["logits"][:n], labels) + weight * cross_entropy(outputs["turns"], turns)
