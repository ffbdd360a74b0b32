"""MOOD: simple images leave a network early, complex ones late, and are scored where they leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from oodbench.api import FitInputs, Need, NetworkBuilder, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CheckedByObjectives
from oodbench.posthoc import PostHocDetector

if TYPE_CHECKING:
    from torch import Tensor, nn

    from oodbench.batch import Batch
    from oodbench.training.learner import Learner, Setting


@dataclass(frozen=True, kw_only=True)
class Exits:
    """Cross-entropy at several exits of one network, added up.

    The exits are the last layers at the resolutions of the benchmark's network, each pooled to 4×4 at most and followed
    by a linear layer, and the network's own head.
    Source: Lin et al., CVPR 2021, Section 4.1; survey (Salehi et al.) §6.20.

    Attributes:
        exits: how many at most, the network's own head included.
    """

    name: ClassVar[str] = "exits"
    uses_seen_ood: ClassVar[bool] = False
    starts_from: ClassVar[Objective | None] = None

    exits: int = 5

    def __post_init__(self) -> None:
        if self.exits < 2:
            raise ConfigError(f"exits must be at least 2, got {self.exits}; with one it is the energy score")

    def build(
        self, backbone: NetworkBuilder, shape: tuple[int, int, int], n_classes: int, embedding_dim: int
    ) -> nn.Module:
        """Return a classifier with exits.

        Raises:
            ConfigError: the network has no layers to put exits at.
        """
        from ._exits import MultiExit

        return MultiExit(backbone(shape, n_classes), shape, n_classes, self.exits)

    def learner(self, network: nn.Module, setting: Setting) -> Learner:
        """Return what trains all exits."""
        from ._exits import ExitsLearner

        return ExitsLearner(network, setting)

    def embed(self, outputs: Tensor) -> Tensor:
        """Return the class probabilities of the last exit."""
        return outputs.softmax(dim=1)


@dataclass(frozen=True, kw_only=True)
class MOOD(CheckedByObjectives):
    """Multi-level out-of-distribution detection.

    Score: log Σ_c exp f_c of the exit that an image leaves by, less the mean that this exit gives training images. The
    exit is I(x) = min(⌈K·L(x)⌉, K) with L the size of the image's PNG file over a largest one. The class is that of the
    last exit.
    Source: Lin et al., CVPR 2021, Eq. 2 to 7; survey (Salehi et al.) §6.20, Eq. 100 to 102. The public code takes 2700
    bytes for the largest of 32×32 images and the means of ID test images; here both are of training images. Its network
    is an MSDNet; here it is the benchmark's, with exits. All exits are computed, so that no time is saved.

    Attributes:
        exits: how many at most, the network's own head included.
        sized_images: at most this many training images, drawn from the seed, say how large PNG files are.
    """

    title: ClassVar[str] = "MOOD (exits by complexity)"
    source: ClassVar[str] = "Lin et al., CVPR 2021, Eq. 2-7"
    sees: ClassVar[frozenset[Sees]] = frozenset()
    needs: ClassVar[frozenset[Need]] = frozenset({"classes", "training_images"})

    exits: int = 5
    sized_images: int = 5000

    def __post_init__(self) -> None:
        if self.sized_images < 1:
            raise ConfigError(f"sized_images must be at least 1, got {self.sized_images}")
        super().__post_init__()

    @property
    def networks(self) -> tuple[Objective, ...]:
        """The network with exits."""
        return (Exits(exits=self.exits),)

    def fit(self, inputs: FitInputs) -> MOODDetector:
        """Measure the mean energy of each exit, and the largest PNG file."""
        import numpy as np

        from ._exits import png_sizes

        train = inputs.train
        order = np.random.default_rng(inputs.seed).permutation(len(train))[: self.sized_images]
        largest = max(int(png_sizes(_pixels(part)).max()) for part in train.at(np.sort(order)).split(1000))
        return MOODDetector(means=train.output("exits").double().logsumexp(dim=2).mean(dim=0), largest=largest)


def _pixels(batch: Batch) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = (batch.images * 255).round().byte().cpu().numpy()
    return pixels


@dataclass(frozen=True, kw_only=True, eq=False)
class MOODDetector(PostHocDetector):
    """Energies of exits that are chosen by complexity.

    Attributes:
        means: mean of log Σ_c exp f_c of training images at each exit, float64, shape (K,).
        largest: size in bytes of the PNG file that counts as 1.
    """

    means: Tensor
    largest: int

    def leaves_by(self, batch: Batch) -> Tensor:
        """Return the exit of each image, counted from 0, int64 of shape (n,)."""
        import torch

        from ._exits import png_sizes

        sizes = torch.tensor(png_sizes(_pixels(batch)), device=batch.device)
        n_exits = len(self.means)
        # ⌈K·L⌉ in whole numbers: as a quotient of floats it may be one too many.
        return (-(-sizes * n_exits // self.largest)).clamp(1, n_exits) - 1

    def score(self, batch: Batch) -> Tensor:
        """Return one score an image, float64 of shape (n,)."""
        adjusted = batch.output("exits").double().logsumexp(dim=2) - self.means
        return adjusted.gather(1, self.leaves_by(batch)[:, None]).squeeze(1)


if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
