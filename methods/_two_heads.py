"""A classifier with a second head on the same features."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from ._heads import OnBody, feature_size

if TYPE_CHECKING:
    from oodbench.api import Network


class TwoHeads(OnBody):
    """A classifier with a second linear head.

    Args:
        backbone: the classifier.
        shape: channels, height and width of the images.
        n_classes: number of ID classes.
    """

    def __init__(self, backbone: nn.Module, shape: tuple[int, int, int], n_classes: int) -> None:
        super().__init__(backbone)
        self.head_2 = nn.Linear(feature_size(backbone, shape), n_classes)

    def head(self, features: Tensor) -> Tensor:
        """Return the logits of the first head, shape (n, C)."""
        return cast("Network", self.backbone).head(features)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return features, "logits" and "logits_2"."""
        features = self.features(images)
        return {"features": features, "logits": self.head(features), "logits_2": self.head_2(features)}

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Return features, "logits" and "logits_2"."""
        return self.forward(images)
