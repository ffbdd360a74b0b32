"""The directions that training features hardly use, seen from where all logits vanish."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from oodbench.api import Network
from oodbench.batch import Batch
from oodbench.errors import ConfigError

from ._affine_head import affine_head
from ._moments import covariance_of, parts_of


@dataclass(frozen=True, kw_only=True, eq=False)
class ResidualSpace:
    """The complement of the principal space of training features.

    Source: Wang et al., CVPR 2022, Section 4.

    Attributes:
        origin: o = −W⁺b, where the logits f = Wz + b vanish; float64, shape (n_features,).
        directions: R, orthonormal columns, float64, shape (n_features, n_features − D).
        mean_norm: mean of ‖R(z − o)‖ over the training images.
    """

    origin: Tensor
    directions: Tensor
    mean_norm: float

    @classmethod
    def of(cls, network: Network, train: Batch, dimension: Literal["auto"] | int, method: str) -> ResidualSpace:
        """Return the space that is left by the D principal directions of the training features.

        Args:
            network: a classifier with an affine head.
            train: training images.
            dimension: D, or "auto", see `principal_dimension`.
            method: who asks, for messages.

        Raises:
            ConfigError: the training features have no residual, or the head is not affine.
        """
        weights, bias = affine_head(network, train, method)
        # Weights are float32: what is smaller than their rounding error is no direction, and its inverse would be huge.
        origin = -torch.linalg.pinv(weights, rtol=max(weights.shape) * torch.finfo(torch.float32).eps) @ bias
        # In ascending order of the eigenvalues.
        spread, directions = torch.linalg.eigh(covariance_of(train, origin))
        # Features are float32: what is smaller than their rounding error is no direction.
        rank = int((spread > torch.finfo(torch.float32).eps ** 2 * spread[-1]).sum())
        kept = principal_dimension(dimension, len(origin), rank)
        residual = directions[:, : len(origin) - kept]
        norms = torch.zeros(2, dtype=torch.float64, device=origin.device)
        for part in parts_of(train):
            centred = part.features.double() - origin
            norms += torch.stack([(centred @ residual).norm(dim=1).sum(), centred.norm(dim=1).sum()])
        # Features are float32: what is smaller than their rounding error is no residual.
        if norms[0] <= torch.finfo(torch.float32).eps * norms[1]:
            raise ConfigError(
                f"{method} finds no residual: {kept} principal directions hold all training features; "
                f"give fewer: --set {method}.dimension={max(1, kept // 2)}"
            )
        return cls(origin=origin, directions=residual, mean_norm=norms[0].item() / len(train))

    def norms(self, features: Tensor) -> Tensor:
        """Return ‖R(z − o)‖, float64 of shape (n,), from features, shape (n, n_features)."""
        norms: Tensor = ((features.double() - self.origin) @ self.directions).norm(dim=1)
        return norms


def principal_dimension(dimension: Literal["auto"] | int, n_features: int, rank: int) -> int:
    """Return the number of principal directions D.

    Args:
        dimension: what was asked for; "auto" for what the public code takes: 1000 of 2048 or more features, else 512.
            That code is for at least 768 features; here fewer have half of them as principal directions.
        n_features: number of features.
        rank: how many directions the training features have at all.
    """
    if dimension != "auto":
        return min(dimension, n_features)
    wide = 1000 if n_features >= 2048 else 512
    chosen = wide if n_features >= 768 else n_features // 2
    # Units that are dead or in step leave no residual beside the paper's choice.
    return chosen if chosen < rank else rank // 2
