"""The abnormality module: a small network tells ID images from distorted ones by what a classifier makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from oodbench.api import FitInputs, Need, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CheckedByObjectives, LossObjective

from .autoencoder import check_sizes

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from oodbench.api import NetworkBuilder
    from oodbench.batch import Batch
    from oodbench.training.learner import Learner, Setting


@dataclass(frozen=True, kw_only=True)
class ClassifyAndReconstruct(LossObjective):
    """Cross-entropy of a classifier, and the error of pictures that a decoder makes from its features.

    Loss: 0.9 · cross-entropy + 0.1 · mean squared error, as in the public code.
    Source: Hendrycks & Gimpel, ICLR 2017, Section 4.

    Attributes:
        width: of the decoder, see `Reconstruction`.
    """

    name: ClassVar[str] = "ce_reconstruction"
    uses_seen_ood: ClassVar[bool] = False
    needs: ClassVar[frozenset[Need]] = frozenset({"classes"})

    width: int = 32

    def __post_init__(self) -> None:
        check_sizes(width=self.width)

    def build(
        self, backbone: NetworkBuilder, shape: tuple[int, int, int], n_classes: int, embedding_dim: int
    ) -> nn.Module:
        """Return the benchmark's network with a decoder and an abnormality module above it."""
        from ._abnormality import ReconstructingClassifier

        return ReconstructingClassifier(backbone(shape, n_classes), shape, n_classes, self.width)

    def loss(self, outputs: Mapping[str, Tensor], labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return the loss of a batch; a scalar."""
        from torch.nn.functional import cross_entropy

        return 0.9 * cross_entropy(outputs["logits"], labels) + 0.1 * outputs["error"].mean()

    def embed(self, outputs: Tensor) -> Tensor:
        """Return class probabilities."""
        return outputs.softmax(dim=1)


@dataclass(frozen=True, kw_only=True)
class TellDistorted(ClassifyAndReconstruct):
    """Logistic regression of ID images against distorted ones; only the abnormality module learns.

    A third of each batch remains as it is. Of the rest, half gets Gaussian noise with a standard deviation in [0.9,
    1.2]; a quarter is blurred with one of [4.5, 5] pixels of 28; a quarter is turned by 90 or 270 degrees.
    Source: Hendrycks & Gimpel, ICLR 2017, Section 4, and the public code, which gives digits 0, unchanged by a turn,
    noise instead: `turn=False` gives noise instead to all.

    Attributes:
        turn: whether turned images count as distorted.
    """

    name: ClassVar[str] = "abnormality_module"

    turn: bool = True

    @property
    def starts_from(self) -> Objective:
        """The classifier with its decoder."""
        return ClassifyAndReconstruct(width=self.width)

    def loss(self, outputs: Mapping[str, Tensor], labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean logistic loss of `normality`, for labels 1 (as it is) and 0 (distorted); a scalar."""
        from torch.nn.functional import binary_cross_entropy_with_logits

        return binary_cross_entropy_with_logits(outputs["normality"], labels.float())

    def learner(self, network: nn.Module, setting: Setting) -> Learner:
        """Return a learner of the abnormality module alone."""
        from ._abnormality import DistortionLearner

        return DistortionLearner(network, self, setting)


@dataclass(frozen=True, kw_only=True)
class AbnormalityModule(CheckedByObjectives):
    """Logit of being an undistorted ID image, by a network on logits, features and squared residuals of a picture.

    Source: Hendrycks & Gimpel, ICLR 2017, Section 4; the baseline of "Skip the question you don't know" (Chen et al.).
    Hidden layers of 512 and 128 as in the public code; the code is the classifier's features.

    Attributes:
        width: of the decoder, see `Reconstruction`.
        turn: see `TellDistorted`.
    """

    title: ClassVar[str] = "Abnormality module"
    source: ClassVar[str] = "Hendrycks & Gimpel, ICLR 2017, Sec. 4"
    sees: ClassVar[frozenset[Sees]] = frozenset()
    needs: ClassVar[frozenset[Need]] = frozenset({"classes"})
    quick: ClassVar[Mapping[str, Any]] = {"width": 8}

    width: int = 32
    turn: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.turn, bool):
            raise ConfigError(f"turn must be true or false, got {self.turn!r}")
        super().__post_init__()

    @property
    def networks(self) -> tuple[Objective, ...]:
        """One classifier with a decoder and the module, which starts from one whose module knows nothing."""
        return (TellDistorted(width=self.width, turn=self.turn),)

    def fit(self, inputs: FitInputs) -> AbnormalityDetector:
        """Return a detector at once: there is nothing to fit."""
        return AbnormalityDetector()


@dataclass(frozen=True, kw_only=True)
class AbnormalityDetector:
    """What the module says; the classifier classifies."""

    def score(self, batch: Batch) -> Tensor:
        """Return the module's logit, float64 of shape (n,); higher = more in-distribution."""
        return batch.output("normality").double()

    def classify(self, batch: Batch) -> Tensor:
        """Return the index of the largest logit, shape (n,)."""
        return batch.logits.argmax(dim=1)
