"""The weights of a linear last layer, whatever it is made of."""

from __future__ import annotations

import torch
from torch import Tensor

from oodbench.api import Network
from oodbench.batch import Batch
from oodbench.errors import ConfigError

from ._moments import parts_of


def affine_head(network: Network, train: Batch, method: str) -> tuple[Tensor, Tensor]:
    """Return weights, shape (n_classes, n_features), and bias, shape (n_classes,), of an affine head, in float64.

    They are read off its values at the origin and at the unit vectors, so that it may be of any make.

    Args:
        network: gives logits from features.
        train: images on which the logits are compared.
        method: who asks, for messages.

    Raises:
        ConfigError: the logits of the training images are not what these give.
    """
    first = train.at(slice(1)).features
    with torch.no_grad():
        bias = network.head(torch.zeros_like(first)).double()[0]
        units = torch.eye(first.shape[1], dtype=first.dtype, device=first.device)
        weights = (network.head(units).double() - bias).T
    if not _gives_logits(weights, bias, train):
        raise ConfigError(
            f"{method} needs logits that are an affine function of the features, f = Wz + b, and this network's head "
            f"is not; leave {method} out, or let the network's `features` return the input of its last linear layer"
        )
    return weights, bias


def _gives_logits(weights: Tensor, bias: Tensor, train: Batch) -> bool:
    worst, moments = [], []
    for part in parts_of(train):
        logits = part.logits.double()
        # 1e-3: on GPUs that round factors to TF32, an affine head keeps about three digits.
        gap = (part.features.double() @ weights.T + bias - logits).abs() - 1e-3 * logits.abs()
        worst.append(gap.amax())
        moments.append(torch.stack([logits.sum(), logits.square().sum()]))
    mean, square = torch.stack(moments).sum(dim=0) / (len(train) * len(bias))
    spread = (square - mean.square()).clamp(min=0).sqrt()
    return bool(torch.stack(worst).amax() <= 1e-3 * spread)
