"""Logits that are a dividend, one a class, over a divisor, one an image."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ._heads import OnBody, feature_size


class Similarities(nn.Module):
    """How alike features and each of C weight vectors are.

    Args:
        n_features: size of the features.
        n_classes: C.
        kind: "inner" for w_k·z + b_k, "euclidean" for −‖z − w_k‖², "cosine" for w_k·z / (‖w_k‖ ‖z‖).
    """

    def __init__(self, n_features: int, n_classes: int, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.weight = nn.Parameter(torch.empty(n_classes, n_features))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        self.bias = nn.Parameter(torch.zeros(n_classes)) if kind == "inner" else None

    def forward(self, features: Tensor) -> Tensor:
        """Return the similarities, shape (n, C), of features, shape (n, n_features)."""
        if self.kind == "cosine":
            return normalize(features, dim=1) @ normalize(self.weight, dim=1).T
        if self.kind == "euclidean":
            # ‖z‖² − 2 w·z + ‖w‖² needs no array of shape (n, C, n_features).
            squares = features.square().sum(dim=1, keepdim=True) + self.weight.square().sum(dim=1)
            return 2 * features @ self.weight.T - squares
        assert self.bias is not None
        return features @ self.weight.T + self.bias


class DividedLogits(OnBody):
    """The body of a classifier with the logits h_k / g.

    Args:
        backbone: whose features are taken; its own head is not used.
        shape: channels, height and width of the images.
        n_classes: number of ID classes.
        similarity: of features and classes, h.
    """

    def __init__(self, backbone: nn.Module, shape: tuple[int, int, int], n_classes: int, similarity: str) -> None:
        super().__init__(backbone)
        n_features = feature_size(backbone, shape)
        self.h = Similarities(n_features, n_classes, similarity)
        self.g = nn.Sequential(nn.Linear(n_features, 1), nn.BatchNorm1d(1), nn.Sigmoid())

    def head(self, features: Tensor) -> Tensor:
        """Return h / g, shape (n, C)."""
        quotient: Tensor = self.h(features) / self.g(features)
        return quotient

    def forward(self, images: Tensor) -> Tensor:
        """Return h / g, shape (n, C)."""
        return self.head(self.features(images))

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Return features, logits, h of shape (n, C) and g of shape (n,)."""
        features = self.features(images)
        h, g = self.h(features), self.g(features)
        return {"features": features, "logits": h / g, "h": h, "g": g.squeeze(1)}
