"""Regret of the last layer: how much one image more could change what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from oodbench.api import FitInputs
from oodbench.posthoc import PostHocDetector, PostHocMethod

if TYPE_CHECKING:
    from torch import Tensor

    from oodbench.batch import Batch


@dataclass(frozen=True, kw_only=True)
class PNML(PostHocMethod):
    """Predictive normalised maximum likelihood (pNML) of the last layer.

    Score: −log Σ_k p_k / (p_k + (1 − p_k)·p_k^κ) / log C, in [−1, 0], with p = softmax(head(z')), z' = z / ‖z‖ the
    penultimate features on the unit sphere, κ = s / (1 + s) for s = z'ᵀ(XᵀX)⁻¹z', and X the training features on the
    sphere, a row an image. It has no hyper-parameters.
    Source: Bibas et al., NeurIPS 2021; the public code, and pytorch-ood.

    The head is asked for logits of features that are shorter than those it was trained on, as in both. The inverse is a
    pseudo-inverse: directions that no training image has do not count, as in the code of the paper's experiments. Taken
    from logarithms in float64, without the clipping of probabilities at 1e-12 of pytorch-ood.
    """

    title: ClassVar[str] = "Single-layer pNML"
    source: ClassVar[str] = "Bibas et al., NeurIPS 2021"

    def fit(self, inputs: FitInputs) -> PNMLDetector:
        """Return a detector with the second moments of the training features."""
        import torch

        from ._gaussians import whitening_of
        from ._moments import parts_of

        sphere = (torch.nn.functional.normalize(part.features.double()) for part in parts_of(inputs.train))
        moments = sum((features.T @ features for features in sphere), start=torch.zeros(()))
        return PNMLDetector(head=inputs.network.head, whitening=whitening_of(moments))


@dataclass(frozen=True, kw_only=True, eq=False)
class PNMLDetector(PostHocDetector):
    """Regret on the unit sphere.

    Attributes:
        head: gives logits, shape (n, n_classes), from features, shape (n, n_features).
        whitening: W with W Wᵀ = (XᵀX)⁻¹, float64, shape (n_features, rank).
    """

    head: Callable[[Tensor], Tensor]
    whitening: Tensor

    def score(self, batch: Batch) -> Tensor:
        """Return minus the regret, float64 of shape (n,), in [−1, 0]."""
        import math

        import torch

        from ._probabilities import log_probabilities

        sphere = torch.nn.functional.normalize(batch.features)
        log_p, log_rest = log_probabilities(self.head(sphere))
        # s / (1 + s), of which 1 − κ = 1 / (1 + s) is needed.
        steadiness = 1 / (1 + (sphere.double() @ self.whitening).square().sum(dim=1, keepdim=True))
        log_odds = steadiness * log_p - log_rest
        # Σ_k σ(log-odds), of which the 1 that the predicted class nearly has is taken apart: no digit is lost to it.
        top, predicted = log_odds.max(dim=1, keepdim=True)
        others = log_odds.scatter(1, predicted, -torch.inf).sigmoid().sum(dim=1)
        regret = (others - torch.sigmoid(-top[:, 0])).log1p()
        return -regret / math.log(log_odds.shape[1])
