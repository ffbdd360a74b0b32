"""The contrastive objective of metric learning, with and without seen OOD images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from oodbench.errors import ConfigError
from oodbench.objectives import CrossEntropy, LossObjective

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from oodbench.api import NetworkBuilder, Objective


@dataclass(frozen=True, kw_only=True)
class Contrastive(LossObjective):
    """Pulls images of one class together and pushes all others at least a margin apart.

    For a pair at Euclidean distance D, with y = 0 for one class and y = 1 otherwise:
    L = ½(1−y)·D² + ½·y·max(0, m−D)². Pairs are formed in the loss layer, from one forward pass of the batch. A
    seen OOD image (label −1) is only ever paired with an ID image, so that z of Eq. 2 is never 0.
    Source: Masana et al., BMVC 2018, Eq. 1 and 2.

    Attributes:
        margin: m.
        same_share: share of the pairs that are of one class; those with OOD images take the place of others.
        ood_batches: share of the batches that hold seen OOD images; 0 never uses any.
        ood_share: share of the images of such a batch that are seen OOD images.
        squared: Eq. 1 as printed; False takes D and max(0, m−D) without squares, as the paper's public code does.
        pairs: "sampled" forms half as many pairs as the batch has images, as the paper's public code does;
            "all" uses every valid pair of the batch, with same-class pairs weighing `same_share` in all.
        embedding_dim: size of the embedding, or None for what the benchmark prescribes.
        start: "scratch", or "ce" for the weights of the benchmark's cross-entropy classifier, as far as they fit: all
            but those of the last layer where the embedding has another size than the classes. Not in the paper: from a
            classifier, a deep network embeds well in a small part of the time.
    """

    name: ClassVar[str] = "contrastive"

    margin: float = 10.0
    same_share: float = 0.25
    ood_batches: float = 0.0
    ood_share: float = 0.25
    squared: bool = True
    pairs: Literal["sampled", "all"] = "sampled"
    embedding_dim: int | None = None
    start: Literal["scratch", "ce"] = "scratch"

    def __post_init__(self) -> None:
        if not self.margin > 0:
            raise ConfigError(f"margin must be positive, got {self.margin}")
        for name in ("same_share", "ood_batches"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        if not 0.0 <= self.ood_share <= 0.5:
            raise ConfigError(
                f"ood_share must be in [0, 0.5], since each OOD image needs an ID partner: {self.ood_share}"
            )
        if self.embedding_dim is not None and self.embedding_dim < 1:
            raise ConfigError(f"embedding_dim must be at least 1, got {self.embedding_dim}")

    @property
    def uses_seen_ood(self) -> bool:
        """Whether any batch holds seen OOD images."""
        return self.ood_batches > 0 and self.ood_share > 0

    def build(
        self, backbone: NetworkBuilder, shape: tuple[int, int, int], n_classes: int, embedding_dim: int
    ) -> nn.Module:
        """Return a network whose output is the embedding."""
        return backbone(shape, self.embedding_dim or embedding_dim)

    def n_ood_images(self, batch_size: int, step: int) -> int:
        """Return how many images of this step's batch are seen OOD images; such batches are evenly spread."""
        is_ood_batch = math.floor((step + 1) * self.ood_batches) > math.floor(step * self.ood_batches)
        return int(batch_size * self.ood_share) if is_ood_batch else 0

    @property
    def starts_from(self) -> Objective | None:
        """The classifier whose weights it begins with, or None."""
        return CrossEntropy() if self.start == "ce" else None

    def loss(self, outputs: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return the contrastive loss of embeddings, shape (n, dim), with labels, shape (n,), −1 for OOD; a scalar."""
        if self.pairs == "all":
            return self._loss_of_all_pairs(outputs, labels)
        left, right, weight = self.sample_pairs(labels, generator)
        y = (labels[left] != labels[right]).float()
        squared_distance = (outputs[left] - outputs[right]).square().sum(dim=1)
        losses = self.pair_loss(squared_distance, y) * weight
        return losses.sum() / weight.sum().clamp(min=1)

    def pair_loss(self, squared_distance: Tensor, y: Tensor) -> Tensor:
        """Return Eq. 1 for each pair.

        Args:
            squared_distance: D², shape (n_pairs,).
            y: 0.0 for a pair of one class, 1.0 otherwise, shape (n_pairs,).

        Returns:
            Losses, shape (n_pairs,).
        """
        # The root has no finite gradient at 0, where two images collapse onto one point.
        distance = squared_distance.clamp(min=1e-12).sqrt()
        gap = (self.margin - distance).clamp(min=0)
        if not self.squared:
            return 0.5 * (1 - y) * distance + 0.5 * y * gap
        return 0.5 * (1 - y) * squared_distance + 0.5 * y * gap.square()

    def sample_pairs(self, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw half as many pairs as there are images; each OOD image is in one of them, with an ID image.

        No image is on the left twice; one may be on the right of several pairs. The public code draws right images
        from the whole training set.

        Args:
            labels: int64, shape (n,), −1 for OOD images, which come last.
            generator: on the device of `labels`.

        Returns:
            Indices of the left and of the right images, and a weight: 0.0 where the batch has no partner of the
            wanted kind, else 1.0; each of shape (n // 2,).
        """
        import torch

        n, device = len(labels), labels.device
        # Comparing on the device and counting here would wait for it; the layout of the batch says the same.
        n_pairs = n // 2
        is_id = labels >= 0
        anchors = torch.rand(n, generator=generator, device=device).masked_fill(~is_id, -1.0).topk(n_pairs).indices
        same_class = labels[anchors, None] == labels
        # The last pairs take the OOD images, which stand at the end of the batch, as the right half's end does
        # in the public code.
        last = torch.arange(n - n_pairs, n, device=device)
        is_ood = labels[last] < 0
        same_share = self.same_share * n_pairs / (~is_ood).sum().clamp(min=1)
        want_same = torch.rand(n_pairs, generator=generator, device=device) < same_share
        allowed = torch.where(want_same[:, None], same_class, ~same_class) & is_id
        allowed.scatter_(1, anchors[:, None], value=False)
        keys = torch.rand(n_pairs, n, generator=generator, device=device).masked_fill(~allowed, -1.0)
        best, partners = keys.max(dim=1)
        return anchors, torch.where(is_ood, last, partners), ((best >= 0) | is_ood).float()

    def _loss_of_all_pairs(self, outputs: Tensor, labels: Tensor) -> Tensor:

        is_id = labels >= 0
        # Each pair once, and none of two OOD images; a matrix, since picking pairs out of it costs a GPU more.
        valid = (is_id[:, None] | is_id).triu(diagonal=1)
        alike = labels[:, None] == labels
        same, different = (alike & valid).float(), (~alike & valid).float()
        losses = self.pair_loss((outputs[:, None] - outputs).square().sum(dim=2), (~alike).float())
        mean_same = (losses * same).sum() / same.sum().clamp(min=1)
        mean_different = (losses * different).sum() / different.sum().clamp(min=1)
        return self.same_share * mean_same + (1 - self.same_share) * mean_different

    def embed(self, outputs: Tensor) -> Tensor:
        """Return the embeddings as they are."""
        return outputs
