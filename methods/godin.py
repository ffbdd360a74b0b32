"""Generalized ODIN: logits that are a quotient, and an input step that is chosen without out-of-distribution images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from oodbench.api import FitInputs, Need, NetworkBuilder, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CrossEntropy

if TYPE_CHECKING:
    from torch import Tensor, nn

    from oodbench.batch import Batch

    from ._dividend import DividedLogits

GRID = (0.0, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08)
"""What the paper tries for ε, for images in [0, 1], and no step at all."""

Similarity = Literal["inner", "euclidean", "cosine"]


@dataclass(frozen=True, kw_only=True)
class DecomposedConfidence(CrossEntropy):
    """Cross-entropy of the logits f_k = h_k(z) / g(z), with z the features.

    g = σ(BN(v·z + b)), one number an image. h_k is w_k·z + b_k ("inner", DeConf-I), −‖z − w_k‖² ("euclidean",
    DeConf-E) or the cosine of z and w_k ("cosine", DeConf-C).
    Source: Hsu et al., CVPR 2020, Eq. 4 to 7; survey (Salehi et al.) §6.12.

    Attributes:
        similarity: h.
    """

    name: ClassVar[str] = "godin"

    similarity: Similarity = "cosine"

    def build(
        self, backbone: NetworkBuilder, shape: tuple[int, int, int], n_classes: int, embedding_dim: int
    ) -> nn.Module:
        """Return the body of the benchmark's network with the two heads h and g."""
        from ._dividend import DividedLogits

        return DividedLogits(backbone(shape, 1), shape, n_classes, self.similarity)


@dataclass(frozen=True, kw_only=True)
class GODIN:
    """Generalized ODIN with decomposed confidence.

    Score: max_k h_k(x') or g(x'), with x' = x + ε·sign(∇ₓ S(x)) for the same score S. ε maximises the mean score of
    held-out ID images.
    Source: Hsu et al., CVPR 2020, Eq. 4 to 10; survey (Salehi et al.) §6.12. The paper finds h better than g, and the
    cosine best. Its SGD puts no weight decay on h; here the recipe's is on all weights. −‖z − w_k‖² is the sum over
    features as in the paper; other implementations take the mean. In a body without batch normalisation nothing keeps
    ‖z‖ apart from the class, and "euclidean" then prefers short features; "inner" is safer there.

    Attributes:
        similarity: h, see `DecomposedConfidence`.
        score: "h" or "g".
        epsilon: ε in units of the [0, 1] pixel range, or "auto" to choose it from the paper's grid.
        tune_images: at most this many held-out ID images are looked at.
    """

    title: ClassVar[str] = "Generalized ODIN"
    source: ClassVar[str] = "Hsu et al., CVPR 2020, Eq. 4-10"
    needs: ClassVar[frozenset[Need]] = frozenset({"classes"})

    similarity: Similarity = "cosine"
    score: Literal["h", "g"] = "h"
    epsilon: Literal["auto"] | float = "auto"
    tune_images: int = 1000

    def __post_init__(self) -> None:
        if self.epsilon != "auto" and not self.epsilon >= 0:
            raise ConfigError(f"epsilon must be 'auto' or a number from 0 up, got {self.epsilon}")
        if self.tune_images < 1:
            raise ConfigError(f"tune_images must be at least 1, got {self.tune_images}")

    @property
    def networks(self) -> tuple[Objective, ...]:
        """The network with divided logits."""
        return (DecomposedConfidence(similarity=self.similarity),)

    @property
    def sees(self) -> frozenset[Sees]:
        """Held-out ID images; nothing where ε is given."""
        return frozenset({"id_validation"}) if self.epsilon == "auto" else frozenset()

    def fit(self, inputs: FitInputs) -> GODINDetector:
        """Choose ε and return the detector."""

        def detector(epsilon: float) -> GODINDetector:
            return GODINDetector(network=cast("DividedLogits", inputs.network), name=self.score, epsilon=epsilon)

        if self.epsilon != "auto":
            return detector(self.epsilon)
        if inputs.validation is None:
            raise ConfigError(
                "godin needs held-out ID images to choose epsilon, and this benchmark holds none out; "
                "give one: --set godin.epsilon=0.01"
            )
        validation = inputs.validation.at(slice(self.tune_images))
        return max(map(detector, GRID), key=lambda godin: godin.score(validation).mean().item())


@dataclass(frozen=True, kw_only=True, eq=False)
class GODINDetector:
    """Generalized ODIN with a chosen step.

    Attributes:
        network: trained, with the outputs "h" and "g".
        name: of the output that is the score.
        epsilon: the step ε, in units of the [0, 1] pixel range.
    """

    network: DividedLogits
    name: Literal["h", "g"]
    epsilon: float

    def score(self, batch: Batch) -> Tensor:
        """Return the largest h, or g, after the step, float64 of shape (n,)."""
        import torch

        if self.epsilon == 0:
            return _largest(batch.output(self.name))
        return torch.cat(list(batch.in_passes(self._after_step)))

    def _after_step(self, batch: Batch) -> Tensor:
        import torch

        with torch.enable_grad():
            images = batch.images.requires_grad_()
            confidence = self.network.outputs(images)[self.name].reshape(len(images), -1).amax(dim=1)
            (gradient,) = torch.autograd.grad(confidence.sum(), images)
        # As in ODIN, x' is not clipped to [0, 1].
        with torch.no_grad():
            return _largest(self.network.outputs(images.detach() + self.epsilon * gradient.sign())[self.name])

    def classify(self, batch: Batch) -> Tensor:
        """Return the index of the largest logit of the unchanged images, shape (n,)."""
        return batch.logits.argmax(dim=1)


def _largest(values: Tensor) -> Tensor:
    return values.double().reshape(len(values), -1).amax(dim=1)
