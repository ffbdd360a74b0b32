"""Minimum others score: classes in groups, each of which may say that an image is none of its classes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from oodbench.api import FitInputs, Need, NetworkBuilder, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CheckedByObjectives, CrossEntropy
from oodbench.posthoc import PostHocDetector

if TYPE_CHECKING:
    from torch import Tensor, nn

    from oodbench.batch import Batch
    from oodbench.training.learner import Learner, Setting


@dataclass(frozen=True, kw_only=True)
class GroupSoftmax:
    """A softmax in each of K groups of classes, with an output "others" for the classes of all other groups.

    It starts from the plain cross-entropy classifier.
    Source: Huang & Li, CVPR 2021, Eq. 2 and 3; survey (Salehi et al.) §6.21, Eq. 103 and 104.

    Attributes:
        groups: "kmeans" of the class means of the features of the classifier that it starts from, "random", or class
            indices such as "0 1 2 | 3 4".
        n_groups: K for "kmeans" and "random"; None for the whole number next to the root of the number of classes,
            at least 2.
    """

    name: ClassVar[str] = "mos"
    uses_seen_ood: ClassVar[bool] = False

    groups: str = "kmeans"
    n_groups: int | None = None

    def __post_init__(self) -> None:
        if self.groups not in ("kmeans", "random"):
            from ._groups import read_groups

            given = len(read_groups(self.groups))
            if self.n_groups not in (None, given):
                raise ConfigError(f"n_groups={self.n_groups} contradicts the {given} groups given; leave it out")
        if self.n_groups is not None and self.n_groups < 1:
            raise ConfigError(f"n_groups must be at least 1, got {self.n_groups}")

    @property
    def starts_from(self) -> Objective:
        """The plain classifier."""
        return CrossEntropy()

    def build(
        self, backbone: NetworkBuilder, shape: tuple[int, int, int], n_classes: int, embedding_dim: int
    ) -> nn.Module:
        """Return a classifier with an output for each class and each group's "others".

        Raises:
            ConfigError: the groups do not fit the classes.
        """
        import torch

        from . import _groups

        if self.groups in ("kmeans", "random"):
            n_groups = self.n_groups or min(n_classes, max(2, round(math.sqrt(n_classes))))
            if n_groups > n_classes:
                raise ConfigError(f"mos.n_groups={n_groups} is more than there are classes; give at most {n_classes}")
            unknown = torch.full((n_classes,), _groups.UNKNOWN)
            groups = unknown if self.groups == "kmeans" else _groups.random_groups(n_classes, n_groups)
        else:
            given = _groups.read_groups(self.groups)
            n_groups, groups = len(given), _groups.given_groups(given, n_classes)
        return _groups.GroupedClasses(backbone(shape, n_classes + n_groups), groups, n_groups)

    def begin(self, network: nn.Module, start: nn.Module) -> None:
        """Take over the classifier; its outputs are the first ones."""
        from ._groups import GroupedClasses
        from ._heads import take_over

        assert isinstance(network, GroupedClasses)  # what `build` returns
        take_over(network.backbone, start)

    def learner(self, network: nn.Module, setting: Setting) -> Learner:
        """Return what finds the groups, where they are not known, and trains."""
        from ._groups import GroupedClasses, GroupLearner

        assert isinstance(network, GroupedClasses)  # what `build` returns
        return GroupLearner(network, setting)

    def embed(self, outputs: Tensor) -> Tensor:
        """Return the probability of each class in its group."""
        return outputs.exp()


@dataclass(frozen=True, kw_only=True)
class MOS(CheckedByObjectives):
    """Minimum others score.

    Score: −min_k p_k(others), in [−1, 0], with p_k the softmax of group k. The class is the one of the largest
    probability in its group.
    Source: Huang & Li, CVPR 2021, Eq. 2 to 4; survey (Salehi et al.) §6.21, Eq. 103 to 105. The paper has 8 groups for
    1000 classes, by taxonomy, by k-means of class means or at random, and trains the head alone, from zero; here all
    weights are trained and the outputs of classes start from the classifier's.

    Attributes:
        groups, n_groups: of the objective, see `GroupSoftmax`.
    """

    title: ClassVar[str] = "Minimum others score"
    source: ClassVar[str] = "Huang & Li, CVPR 2021, Eq. 2-4"
    sees: ClassVar[frozenset[Sees]] = frozenset()
    needs: ClassVar[frozenset[Need]] = frozenset({"classes"})

    groups: str = "kmeans"
    n_groups: int | None = None

    @property
    def networks(self) -> tuple[Objective, ...]:
        """The classifier with a softmax in each group."""
        return (GroupSoftmax(groups=self.groups, n_groups=self.n_groups),)

    def fit(self, inputs: FitInputs) -> OthersDetector:
        """Return a detector at once: there is nothing to fit."""
        return OthersDetector()


@dataclass(frozen=True, kw_only=True)
class OthersDetector(PostHocDetector):
    """Asks every group; what none knows is out-of-distribution."""

    def score(self, batch: Batch) -> Tensor:
        """Return minus the smallest probability of "others", float64 of shape (n,)."""
        return -batch.output("others").double().amin(dim=1).exp()
