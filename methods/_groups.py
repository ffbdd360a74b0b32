"""Classes in groups, each with an output for "others"."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from oodbench.errors import ConfigError
from oodbench.training.learner import Setting

from ._heads import OnBody
from ._own_loss import OwnLossLearner

if TYPE_CHECKING:
    from oodbench.api import Network

UNKNOWN = -1


def read_groups(text: str) -> tuple[tuple[int, ...], ...]:
    """Return groups of class indices from text such as "0 1 2 | 3 4".

    Raises:
        ConfigError: a word is no class index, a group is empty, or a class is named twice.
    """
    try:
        groups = tuple(tuple(int(word) for word in part.split()) for part in text.split("|"))
    except ValueError:
        groups = ()
    classes = [k for group in groups for k in group]
    if not all(groups) or not groups or len(set(classes)) < len(classes) or min(classes) < 0:
        raise ConfigError(
            f"groups must be kmeans, random, or class indices such as '0 1 2 | 3 4' with each class once, got {text!r}"
        )
    return groups


def given_groups(groups: tuple[tuple[int, ...], ...], n_classes: int) -> Tensor:
    """Return the group of each class, int64 of shape (C,).

    Raises:
        ConfigError: the groups do not hold exactly the classes 0 to C − 1.
    """
    of = {k: number for number, group in enumerate(groups) for k in group}
    if sorted(of) != list(range(n_classes)):
        missing = sorted(set(range(n_classes)) - set(of)) or sorted(set(of) - set(range(n_classes)))
        raise ConfigError(
            f"mos.groups must name each of the classes 0 to {n_classes - 1} once, and class {missing[0]} "
            f"{'is in none of them' if missing[0] < n_classes else 'does not exist'}"
        )
    return torch.tensor([of[k] for k in range(n_classes)])


def random_groups(n_classes: int, n_groups: int) -> Tensor:
    """Return the group of each class, int64 of shape (C,), drawn from PyTorch's generator; of nearly equal sizes."""
    groups = torch.empty(n_classes, dtype=torch.int64)
    groups[torch.randperm(n_classes)] = torch.arange(n_classes) % n_groups
    return groups


def kmeans_groups(class_means: Tensor, n_groups: int, seed: int) -> Tensor:
    """Return the group of each class, int64 of shape (C,): k-means of class means of features, shape (C, dim).

    Groups are numbered by their first class. Where class means coincide, there may be fewer groups.
    """
    from sklearn.cluster import KMeans

    means = class_means.double().cpu().numpy()
    found = KMeans(n_groups, n_init=10, random_state=seed).fit(means).labels_.tolist()
    numbers = {old: new for new, old in enumerate(dict.fromkeys(found))}
    return torch.tensor([numbers[old] for old in found])


class GroupedClasses(OnBody):
    """A classifier with a softmax in each group of classes, which also holds "others".

    Args:
        backbone: with C + K outputs: the classes, then the "others" of each group.
        groups: the group of each class, int64 of shape (C,); −1 where they are found later.
        n_groups: K.
    """

    groups: Tensor

    def __init__(self, backbone: nn.Module, groups: Tensor, n_groups: int) -> None:
        super().__init__(backbone)
        self.n_groups = n_groups
        self.register_buffer("groups", groups)

    def head(self, features: Tensor) -> Tensor:
        """Return the logits of classes and "others", shape (n, C + K)."""
        return cast("Network", self.backbone).head(features)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return "logits", the log-probability of each class in its group, (n, C), and "others" of each, (n, K)."""
        return self._named(self.features(images))

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Return the same with "features"."""
        features = self.features(images)
        return {"features": features, **self._named(features)}

    def _named(self, features: Tensor) -> dict[str, Tensor]:
        both = self.head(features).float()
        logits, others = both[:, : len(self.groups)], both[:, len(self.groups) :]
        member = self.groups[:, None] == torch.arange(self.n_groups, device=self.groups.device)
        in_group = logits[:, :, None].masked_fill(~member, -torch.inf)
        # logsumexp of each group's classes and its "others", shape (n, K).
        total = torch.logaddexp(_finite_logsumexp(in_group), others)
        return {"logits": logits - total[:, self.groups], "others": others - total}


def _finite_logsumexp(values: Tensor) -> Tensor:
    """Return the logsumexp over the second dimension; of a group without classes it is −1e30: no gradient is NaN."""
    largest = values.detach().amax(dim=1, keepdim=True).clamp(min=-1e30)
    return (values - largest).exp().sum(dim=1).clamp(min=1e-30).log() + largest.squeeze(1)


def group_loss(outputs: dict[str, Tensor], labels: Tensor, groups: Tensor) -> Tensor:
    """Return the group softmax loss, a scalar: in its own group an image is of its class, in all others of "others".

    Source: Huang & Li, CVPR 2021, Eq. 3; survey (Salehi et al.) §6.21, Eq. 104.

    Args:
        outputs: of `GroupedClasses`.
        labels: int64, shape (n,).
        groups: the group of each class, shape (C,).
    """
    own = outputs["logits"].gather(1, labels[:, None]).squeeze(1)
    elsewhere = outputs["others"].sum(dim=1) - outputs["others"].gather(1, groups[labels][:, None]).squeeze(1)
    return -(own + elsewhere).mean()


class GroupLearner(OwnLossLearner):
    """Trains with the group softmax loss; groups that are not known yet are found first, by k-means of class means.

    The means are of the features that the network begins with, over the first batches, until each class has been seen
    and at most for an epoch; nothing is learnt before.

    Args:
        network: a `GroupedClasses`.
        setting: of the training.
    """

    def __init__(self, network: GroupedClasses, setting: Setting) -> None:
        super().__init__(network, setting)
        self._grouped, self._steps_looked = network, 0
        self._sums: Tensor | None = None
        self._counts = torch.zeros(setting.n_classes, device=setting.device)

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Do one step, or look at one batch."""
        if (self._grouped.groups == UNKNOWN).any() and not self._found(images, labels):
            with torch.no_grad():
                logits = self._grouped.head(self._grouped.features(images))[:, : self._setting.n_classes]
            return cross_entropy(logits.float(), labels)
        return super().step(images, labels)

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the group softmax loss of a batch."""
        return group_loss(self.outputs(images), labels, self._grouped.groups)

    @torch.no_grad()
    def _found(self, images: Tensor, labels: Tensor) -> bool:
        """Look at a batch, and set the groups once every class has been seen."""
        # In evaluation mode, so that nothing is drawn and no running mean is moved.
        self._grouped.eval()
        features = self._grouped.features(images).float()
        self._grouped.train()
        if self._sums is None:
            self._sums = features.new_zeros(len(self._counts), features.shape[1])
        self._sums.index_add_(0, labels, features)
        self._counts += torch.bincount(labels, minlength=len(self._counts))
        self._steps_looked += 1
        if (self._counts == 0).any() and self._steps_looked < self._setting.steps_per_epoch:
            return False
        # A class that is so rare that a whole epoch did not show it stands at the mean of all.
        means = self._sums / self._counts.clamp(min=1)[:, None]
        means[self._counts == 0] = self._sums.sum(dim=0) / self._counts.sum()
        seed = int(torch.randint(2**31 - 1, (), generator=self._setting.random, device=self._setting.device))
        self._grouped.groups.copy_(kmeans_groups(means, self._grouped.n_groups, seed))
        return True
