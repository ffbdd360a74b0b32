"""Distance of the class probabilities to those that are typical of a class."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from oodbench.api import FitInputs, Need, Sees
from oodbench.errors import ConfigError
from oodbench.posthoc import PostHocDetector, PostHocMethod

if TYPE_CHECKING:
    from torch import Tensor

    from oodbench.batch import Batch

IMAGES_AT_ONCE = 2**14
"""Of how many images the probabilities are held at once: 128 MiB in float64 for 1,000 classes."""


@dataclass(frozen=True, kw_only=True)
class KLM(PostHocMethod):
    """KL matching: how far the probabilities of an image are from the typical ones of any class.

    Score: −min_k KL(p ‖ d_k), with p = softmax(f) and d_k the mean of p over the fitted images that the network takes
    for class k; their labels are not read.
    Source: Hendrycks et al., ICML 2022 (KL matching).

    The paper, OpenOOD and pytorch-ood fit to held-out ID images, the benchmark of ViM to training images. Classes that
    the network predicts for none of them are left out, as in pytorch-ood; OpenOOD gives such a class the typical
    probability 1 of itself, from which every image is infinitely far, unless rounding has made its own p exactly 1.

    Attributes:
        fit_to: "validation" for held-out ID images, "train" for training images.
    """

    title: ClassVar[str] = "KL matching"
    source: ClassVar[str] = "Hendrycks et al., ICML 2022"
    # Held-out images are training images as well.
    needs: ClassVar[frozenset[Need]] = frozenset({"classes", "training_images"})

    fit_to: Literal["validation", "train"] = "validation"

    @property
    def sees(self) -> frozenset[Sees]:  # type: ignore[override]  # a constant of the base
        """Held-out ID images; nothing where training images are taken."""
        return frozenset({"id_validation"}) if self.fit_to == "validation" else frozenset()

    def fit(self, inputs: FitInputs) -> KLMDetector:
        """Return a detector with the typical probabilities.

        Raises:
            ConfigError: they are of held-out images, and there are none.
        """
        fitted = inputs.train if self.fit_to == "train" else inputs.validation
        if fitted is None:
            raise ConfigError(
                "klm needs held-out ID images to see what probabilities are typical, and this benchmark holds none "
                "out; take training images: --set klm.fit_to=train"
            )
        return KLMDetector(log_typical=_log_typical(fitted))


def _log_typical(fitted: Batch) -> Tensor:
    """Return log d_k of the predicted classes, float64 of shape (n_predicted, n_classes)."""
    import math

    import torch

    from ._probabilities import log_probabilities

    # In logarithms: d_k is never 0, however sure the network is.
    sums: dict[int, Tensor] = {}
    counts: Counter[int] = Counter()
    for part in fitted.split(IMAGES_AT_ONCE):
        log_p, _ = log_probabilities(part.logits)
        predicted = part.logits.argmax(dim=1)
        for k in sorted(set(predicted.tolist())):
            total = log_p[predicted == k].logsumexp(dim=0)
            sums[k] = torch.logaddexp(sums[k], total) if k in sums else total
            counts[k] += int((predicted == k).sum())
    return torch.stack([sums[k] - math.log(counts[k]) for k in sorted(sums)])


@dataclass(frozen=True, kw_only=True, eq=False)
class KLMDetector(PostHocDetector):
    """Divergence from the nearest typical probabilities.

    Attributes:
        log_typical: log d_k, float64, shape (n_predicted, n_classes).
    """

    log_typical: Tensor

    def score(self, batch: Batch) -> Tensor:
        """Return minus the smallest divergence, float64 of shape (n,), at most 0 up to rounding."""
        from ._probabilities import log_probabilities

        log_p, _ = log_probabilities(batch.logits)
        p = log_p.exp()
        divergences: Tensor = (p * log_p).sum(dim=1, keepdim=True) - p @ self.log_typical.T
        return -divergences.amin(dim=1)
