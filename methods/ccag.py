"""CC-AG: a classifier that is trained to be undecided about outliers from an adversarial generator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from oodbench.api import Need, NetworkBuilder, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CheckedByObjectives, CrossEntropy

from .msp import MSP

if TYPE_CHECKING:
    from torch import Tensor, nn

    from oodbench.training.learner import Learner, Setting


@dataclass(frozen=True, kw_only=True)
class ConfidentClassifier:
    """Cross-entropy on ID images and β·KL(U ‖ p) on outliers, with U the uniform distribution.

    Source: Lee et al., ICLR 2018, Eq. 1 (seen outliers) and the joint confidence loss (generated outliers).

    Attributes:
        outliers: "generated" by a GAN that is trained jointly, or "seen" OOD training images, as many as ID images.
        beta: β.
        pull_away: weight of the pull-away term on generated images.
        width: filters of the last hidden layer of the generator and of the first of the discriminator, over 2.
        gan_learning_rate: peak learning rate of the two; that of the paper.
        start: "scratch", or "ce" for the weights of the benchmark's cross-entropy classifier. Not in the paper: from
            there, it takes a small part of the time.
    """

    name: ClassVar[str] = "ccag"
    needs: ClassVar[frozenset[Need]] = frozenset({"classes"})

    outliers: Literal["generated", "seen"] = "generated"
    beta: float = 1.0
    pull_away: float = 0.0
    width: int = 64
    gan_learning_rate: float = 2e-4
    start: Literal["scratch", "ce"] = "scratch"

    def __post_init__(self) -> None:
        for name in ("beta", "pull_away"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.width < 1:
            raise ConfigError(f"width must be at least 1, got {self.width}")
        if not 0 < self.gan_learning_rate <= 1:
            raise ConfigError(f"gan_learning_rate must be positive and at most 1, got {self.gan_learning_rate}")

    @property
    def uses_seen_ood(self) -> bool:
        """Whether seen OOD images are the outliers."""
        return self.outliers == "seen"

    @property
    def starts_from(self) -> Objective | None:
        """The classifier whose weights it begins with, or None."""
        return CrossEntropy() if self.start == "ce" else None

    def build(
        self, backbone: NetworkBuilder, shape: tuple[int, int, int], n_classes: int, embedding_dim: int
    ) -> nn.Module:
        """Return a classifier; generator and discriminator are left behind after training."""
        return backbone(shape, n_classes)

    def learner(self, network: nn.Module, setting: Setting) -> Learner:
        """Return what trains the classifier: alone with seen outliers, or with a generator and a discriminator."""
        from ._confidence_learners import GeneratedOutlierLearner, SeenOutlierLearner
        from ._dcgan import Discriminator, Generator

        if self.outliers == "seen":
            return SeenOutlierLearner(network, self.beta, setting)
        gan = Generator(setting.shape, self.width), Discriminator(setting.shape, self.width)
        return GeneratedOutlierLearner(network, *gan, self.beta, self.pull_away, self.gan_learning_rate, setting)

    def embed(self, outputs: Tensor) -> Tensor:
        """Return class probabilities."""
        return outputs.softmax(dim=1)


@dataclass(frozen=True, kw_only=True)
class CCAG(CheckedByObjectives, MSP):
    """Confident classifier with adversarial generator; the score is the maximum softmax probability.

    Score: max_k softmax(f)_k, in [1/C, 1].
    Source: Lee et al., ICLR 2018, Eq. 1 and joint loss; survey (Salehi et al.) §6.5, Eq. 67. The pull-away term of the
    paper is not in its public code and is off by default. The paper's β is 1 with SVHN as in-distribution and 0.1
    with CIFAR-10. The generator makes 32×32 images; for other sizes they are resampled.

    Attributes:
        outliers: "generated" is the method; "seen" trains on the benchmark's seen OOD images instead, which is what
            the paper's own Table 1, and the CC-AG column of Masana et al.'s Table 1, report.
        beta: weight of the divergence.
        pull_away: weight of the pull-away term.
        width: filters of generator and discriminator, over 2.
        gan_learning_rate: peak learning rate of the two, which Adam trains.
        start: "scratch", or "ce" to begin as the cross-entropy classifier, which the paper does not.
        seen: which of the benchmark's seen OOD images are the "seen" outliers; None for the benchmark's first.
    """

    title: ClassVar[str] = "Confident classifier with adversarial generator"
    source: ClassVar[str] = "Lee et al., ICLR 2018, Eq. 1 and 4"
    # With the paper's generator the checks of the contract would take minutes.
    quick: ClassVar[Mapping[str, object]] = {"width": 4}

    outliers: Literal["generated", "seen"] = "generated"
    beta: float = 1.0
    pull_away: float = 0.0
    width: int = 64
    gan_learning_rate: float = 2e-4
    start: Literal["scratch", "ce"] = "scratch"
    seen: str | None = None

    @property
    def networks(self) -> tuple[Objective, ...]:
        """The confident classifier with these hyper-parameters."""
        return (
            ConfidentClassifier(
                outliers=self.outliers,
                beta=self.beta,
                pull_away=self.pull_away,
                width=self.width,
                gan_learning_rate=self.gan_learning_rate,
                start=self.start,
            ),
        )

    @property
    def sees(self) -> frozenset[Sees]:  # type: ignore[override]  # a class attribute where it depends on nothing
        """Seen OOD images, if they are the outliers."""
        return frozenset[Sees]({"seen_ood"}) if self.outliers == "seen" else frozenset()
