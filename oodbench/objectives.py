"""What networks are trained for: bases for objectives and their methods, and the plain classifier that most share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from .api import Need, NetworkBuilder, Objective
    from .training.learner import Learner, Setting


def copy_matching(network: nn.Module, start: nn.Module) -> None:
    """Copy every tensor of a module whose name and shape agree with one of another's.

    Args:
        network: is changed.
        start: stays as it is.
    """
    own = network.state_dict()
    taken = {
        name: tensor for name, tensor in start.state_dict().items() if name in own and own[name].shape == tensor.shape
    }
    network.load_state_dict({**own, **taken})


class _Built:
    """What objectives have in common that build one module and train it from scratch."""

    needs: ClassVar[frozenset[Need]] = frozenset()

    @property
    def starts_from(self) -> Objective | None:
        """Another objective whose trained network this one begins with, or None."""
        return None

    def begin(self, network: nn.Module, start: nn.Module) -> None:
        """Take over the weights of the network that this one starts from: all whose names and shapes agree."""
        copy_matching(network, start)

    def build(
        self, backbone: NetworkBuilder, shape: tuple[int, int, int], n_classes: int, embedding_dim: int
    ) -> nn.Module:
        """Return a network of the benchmark's architecture with an output for each class."""
        return backbone(shape, n_classes)


class LossObjective(_Built, ABC):
    """Base of objectives that are one loss of the network's outputs; a subclass says which."""

    @abstractmethod
    def loss(self, outputs: Any, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return the loss of a batch, a scalar.

        Args:
            outputs: what the module returns for the images: a float32 tensor of shape (n, n_outputs) from a classifier,
                or tensors by name.
            labels: int64, shape (n,); −1 for seen OOD images, which stand last.
            generator: the only source of randomness to use, on the device of `outputs`.
        """

    def n_ood_images(self, batch_size: int, step: int) -> int:
        """Return how many images of the batch of this step (counted from 0) are seen OOD images: none."""
        return 0

    def learner(self, network: nn.Module, setting: Setting) -> Learner:
        """Return a learner that follows the gradient of the loss."""
        from .training.learner import LossLearner

        return LossLearner(network, self, setting)


class SeenOodObjective(_Built, ABC):
    """Base of objectives with a loss of ID images and of seen OOD images together; a subclass says which.

    Both go through the network in one pass, so that batch normalisation sees one mixture of them, in training as in
    its running statistics.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"seen_ood"})
    uses_seen_ood: ClassVar[bool] = True

    ood_ratio: float = 1.0
    """Seen OOD images for each ID image of a batch, in addition to these."""

    @abstractmethod
    def loss_with_ood(self, outputs_id: Any, labels: Tensor, outputs_ood: Any, generator: torch.Generator) -> Tensor:
        """Return the loss of a batch, a scalar.

        Args:
            outputs_id: what the module returns for the ID images: a float32 tensor of shape (n, n_outputs) from a
                classifier, or tensors by name.
            labels: of the ID images, int64, shape (n,).
            outputs_ood: the same for the seen OOD images, m in number.
            generator: the only source of randomness to use, on the device of the outputs.
        """

    def learner(self, network: nn.Module, setting: Setting) -> Learner:
        """Return a learner that shows the network both kinds of images in one pass."""
        from .training.learner import SeenOodLearner

        return SeenOodLearner(network, self, setting)


@dataclass(frozen=True, kw_only=True)
class CrossEntropy(LossObjective):
    """Softmax cross-entropy on the labelled ID training images."""

    name: ClassVar[str] = "ce"
    uses_seen_ood: ClassVar[bool] = False
    needs: ClassVar[frozenset[Need]] = frozenset({"classes"})

    def loss(self, outputs: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean cross-entropy of logits, shape (n, n_classes), and labels, shape (n,); a scalar."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(outputs, labels)

    def learner(self, network: nn.Module, setting: Setting) -> Learner:
        """Return a learner that follows the gradient of the loss, with smoothed labels where the setting says so."""
        from .training.learner import LossLearner

        return LossLearner(network, self, setting, self.smoothed(setting.config.label_smoothing))

    def smoothed(self, share: float) -> Callable[[Any, Tensor, torch.Generator], Tensor]:
        """Return the loss with a share of each label spread evenly over all classes.

        Source: Szegedy et al., CVPR 2016, Section 7.
        """
        if share == 0:
            return self.loss

        def loss(outputs: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
            spread = -outputs.log_softmax(dim=1).mean()
            return (1 - share) * self.loss(outputs, labels, generator) + share * spread

        return loss

    def embed(self, outputs: Tensor) -> Tensor:
        """Return class probabilities: the bounded simplex that Masana et al. draw in Figure 1."""
        return outputs.softmax(dim=1)


class CheckedByObjectives(ABC):
    """Base of methods whose objectives check the hyper-parameters that they are given.

    A wrong one is refused where a method is made, not in the middle of a run.
    """

    def __post_init__(self) -> None:
        _ = self.networks

    @property
    @abstractmethod
    def networks(self) -> tuple[Objective, ...]:
        """The objectives, with these hyper-parameters."""
