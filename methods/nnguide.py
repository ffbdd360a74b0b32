"""Energy guided by the nearest training images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from oodbench.api import FitInputs
from oodbench.errors import ConfigError
from oodbench.posthoc import PostHocDetector, PostHocMethod

if TYPE_CHECKING:
    from torch import Tensor

    from oodbench.batch import Batch

SIMILARITIES_AT_ONCE = 2**25
"""How many similarities are held in memory, 128 MiB in float32."""


@dataclass(frozen=True, kw_only=True)
class NNGuide(PostHocMethod):
    """Nearest neighbour guidance: the energy counts where the training images of high energy are near.

    Score: E(z)·(1/k Σ_i E(t_i)·t'_iᵀz'), with E(z) = log Σ_k exp(f_k), z' = z / ‖z‖ the penultimate features on the
    unit sphere, and the sum over the k images of a bank of training images t with the largest E(t)·t'ᵀz'.
    Source: Park et al., ICCV 2023; the public code.

    pytorch-ood has the defaults of the public code, k = 10 of all training images. OpenOOD takes k = 100 of a hundredth
    of them, the first of a shuffled loader; here they are drawn from the seed: k=100, share=0.01. The paper draws a
    hundredth for ImageNet too. The bank holds the features of share·N images in float32.

    Attributes:
        k: how many neighbours guide.
        share: of the training images in the bank, in (0, 1].
    """

    title: ClassVar[str] = "Nearest neighbour guidance (NNGuide)"
    source: ClassVar[str] = "Park et al., ICCV 2023"

    k: int = 10
    share: float = 1.0

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ConfigError(f"k must be at least 1, got {self.k}")
        if not 0 < self.share <= 1:
            raise ConfigError(f"share must be above 0 and at most 1, got {self.share}")

    def fit(self, inputs: FitInputs) -> NNGuideDetector:
        """Return a detector with the bank.

        Raises:
            ConfigError: it has fewer than k images.
        """
        import numpy as np
        import torch

        from ._neighbours import features_of

        train = inputs.train
        size = max(1, round(self.share * len(train)))
        if size < self.k:
            raise ConfigError(
                f"nnguide cannot find {self.k} neighbours in a bank of {size} training images; "
                f"give fewer, --set nnguide.k={size}, or a larger share"
            )
        if size < len(train):
            drawn = np.random.default_rng(inputs.seed).choice(len(train), size, replace=False)
            train = train.at(np.sort(drawn))
        bank = features_of(train)
        energies = torch.cat([part.logits.double().logsumexp(dim=1) for part in train.split(2**14)])
        # In place: there may be room for the features once, and not twice.
        for part, energy in zip(torch.split(bank, 2**14), torch.split(energies.float(), 2**14), strict=True):
            torch.nn.functional.normalize(part, out=part).mul_(energy[:, None])
        return NNGuideDetector(k=self.k, bank=bank)


@dataclass(frozen=True, kw_only=True, eq=False)
class NNGuideDetector(PostHocDetector):
    """Energy times guidance.

    Attributes:
        k: how many neighbours guide.
        bank: E(t)·t' of the images in the bank, float32, shape (n_bank, n_features).
    """

    k: int
    bank: Tensor

    def score(self, batch: Batch) -> Tensor:
        """Return the guided energy, float64 of shape (n,)."""
        import torch

        parts = batch.split(max(1, SIMILARITIES_AT_ONCE // len(self.bank)))
        return torch.cat([self._guidance(part.features) * part.logits.double().logsumexp(dim=1) for part in parts])

    def _guidance(self, features: Tensor) -> Tensor:
        import torch

        similarities = torch.nn.functional.normalize(features) @ self.bank.T
        return similarities.topk(self.k, dim=1).values.double().mean(dim=1)
