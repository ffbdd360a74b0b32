"""Virtual-logit matching: the part of the features that training images do not use, as one more logit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from oodbench.api import FitInputs, Network
from oodbench.errors import ConfigError
from oodbench.posthoc import PostHocDetector, PostHocMethod

if TYPE_CHECKING:
    from torch import Tensor

    from oodbench.batch import Batch


@dataclass(frozen=True, kw_only=True)
class ViM(PostHocMethod):
    """Virtual-logit matching: logits and the residual of the features in one score.

    Score: log Σ_k exp(f_k) − α·‖R(z − o)‖, where the logits are f = Wz + b, the origin o = −W⁺b is where they vanish,
    R projects on the complement of the D principal directions of the training features seen from o, and
    α = mean max_k f_k / mean ‖R(z − o)‖ over the training images brings the two to one scale.
    Source: Wang et al., CVPR 2022, Eq. 4-7.

    The paper states the softmax probability of the virtual logit α·‖R(z − o)‖ among the real ones, which is
    1 / (1 + exp(score)) and so ranks images the same without saturating.

    Attributes:
        dimension: D, or "auto" for what the public code takes: 1000 of 2048 or more features, else 512. That code is
            for at least 768 features; here fewer have half of them as principal directions.
    """

    title: ClassVar[str] = "Virtual-logit matching (ViM)"
    source: ClassVar[str] = "Wang et al., CVPR 2022, Eq. 4-7"

    dimension: Literal["auto"] | int = "auto"

    def __post_init__(self) -> None:
        if self.dimension != "auto" and self.dimension < 1:
            raise ConfigError(f"dimension must be 'auto' or at least 1, got {self.dimension}")

    def fit(self, inputs: FitInputs) -> ViMDetector:
        """Return a detector with the origin, the residual space and α.

        Raises:
            ConfigError: the training features have no residual, or the head is not affine.
        """
        import torch

        train = inputs.train
        weights, bias = _affine_head(inputs.network, train)
        # Weights are float32: what is smaller than their rounding error is no direction, and its inverse would be huge.
        origin = -torch.linalg.pinv(weights, rtol=max(weights.shape) * torch.finfo(torch.float32).eps) @ bias
        centred = train.features.double() - origin
        # In ascending order of the eigenvalues.
        spread, directions = torch.linalg.eigh(centred.T @ centred)
        # Features are float32: what is smaller than their rounding error is no direction.
        rank = int((spread > torch.finfo(torch.float32).eps ** 2 * spread[-1]).sum())
        dimension = self._principal_dimension(centred.shape[1], rank)
        residual = directions[:, : centred.shape[1] - dimension]
        residual_norms = (centred @ residual).norm(dim=1)
        # Features are float32: what is smaller than their rounding error is no residual.
        if residual_norms.mean() <= torch.finfo(torch.float32).eps * centred.norm(dim=1).mean():
            raise ConfigError(
                f"vim finds no residual: {dimension} principal directions hold all training features; "
                f"give fewer: --set vim.dimension={max(1, dimension // 2)}"
            )
        alpha = train.logits.double().amax(dim=1).mean() / residual_norms.mean()
        return ViMDetector(origin=origin, residual=residual, alpha=alpha.item())

    def _principal_dimension(self, n_features: int, rank: int) -> int:
        if self.dimension != "auto":
            return min(self.dimension, n_features)
        wide = 1000 if n_features >= 2048 else 512
        chosen = wide if n_features >= 768 else n_features // 2
        # Units that are dead or in step leave no residual beside the paper's choice.
        return chosen if chosen < rank else rank // 2


def _affine_head(network: Network, train: Batch) -> tuple[Tensor, Tensor]:
    """Return weights, shape (n_classes, n_features), and bias, shape (n_classes,), of an affine head, in float64.

    They are read off its values at the origin and at the unit vectors, so that it may be of any make.

    Raises:
        ConfigError: the logits of the training images are not what these give.
    """
    import torch

    features, logits = train.features, train.logits.double()
    with torch.no_grad():
        bias = network.head(torch.zeros_like(features[:1])).double()[0]
        units = torch.eye(features.shape[1], dtype=features.dtype, device=features.device)
        weights = (network.head(units).double() - bias).T
    # 1e-3: on GPUs that round factors to TF32, an affine head keeps about three digits.
    if not torch.allclose(features.double() @ weights.T + bias, logits, rtol=1e-3, atol=1e-3 * logits.std().item()):
        raise ConfigError(
            "vim needs logits that are an affine function of the features, f = Wz + b, and this network's head is not; "
            "leave vim out, or let the network's `features` return the input of its last linear layer"
        )
    return weights, bias


@dataclass(frozen=True, kw_only=True, eq=False)
class ViMDetector(PostHocDetector):
    """Energy less the virtual logit.

    Attributes:
        origin: o, float64, shape (n_features,).
        residual: orthonormal columns that span the residual space, float64, shape (n_features, n_features − D).
        alpha: α, logit units in a unit of residual norm.
    """

    origin: Tensor
    residual: Tensor
    alpha: float

    def score(self, batch: Batch) -> Tensor:
        """Return minus the free energy, less the virtual logit, float64 of shape (n,)."""
        residual_norms: Tensor = ((batch.features.double() - self.origin) @ self.residual).norm(dim=1)
        return batch.logits.double().logsumexp(dim=1) - self.alpha * residual_norms
