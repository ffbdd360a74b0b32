"""A classifier with further exits in the middle of its body, and how complex images are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, cross_entropy

from oodbench.errors import ConfigError
from oodbench.training.learner import Setting

from ._heads import OnBody
from ._hooks import hooked
from ._own_loss import OwnLossLearner

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from oodbench.api import Network

POOLED = 4
"""Side that feature maps are pooled to at most before an exit's linear layer."""


def exit_layers(network: nn.Module, shape: tuple[int, int, int]) -> dict[str, tuple[int, int]]:
    """Return the layers that may have an exit: the last at each spatial resolution, in the order that they run.

    Modules that run more than once in a pass, such as one ReLU for all layers, are passed over.

    Args:
        network: fits `oodbench.api.Network`; it is left as it was.
        shape: channels, height and width of its images.

    Returns:
        Names with the number of channels and the smaller side of their feature maps, which is more than 1.
    """
    ran: list[tuple[str, tuple[int, ...]]] = []

    def see(name: str, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4:
            ran.append((name, tuple(output.shape)))

    was_training = network.training
    # In evaluation mode, so that nothing is drawn and no running mean is moved.
    network.eval()
    with torch.no_grad(), hooked(network, [name for name, _ in network.named_modules() if name], see):
        cast("Network", network).features(torch.zeros(1, *shape))
    network.train(was_training)
    times = Counter(name for name, _ in ran)
    last: dict[tuple[int, ...], tuple[str, tuple[int, int]]] = {}
    for name, (_, channels, height, width) in ((name, size) for name, size in ran if times[name] == 1):
        if min(height, width) > 1:
            last[height, width] = name, (channels, min(height, width))
    return dict(last.values())


def evenly(names: Sequence[str], count: int) -> tuple[str, ...]:
    """Return `count` of some names, evenly spread, the last one included; all where there are no more."""
    if count >= len(names):
        return tuple(names)
    return tuple(names[round((i + 1) * len(names) / count) - 1] for i in range(count))


class MultiExit(OnBody):
    """A classifier with an exit after some layers of its body: pooling and a linear layer; its own head is the last.

    Args:
        backbone: the classifier.
        shape: channels, height and width of the images.
        n_classes: number of ID classes.
        exits: how many at most, its own head included.
    """

    def __init__(self, backbone: nn.Module, shape: tuple[int, int, int], n_classes: int, exits: int) -> None:
        super().__init__(backbone)
        layers = exit_layers(backbone, shape)
        if not layers:
            raise ConfigError(
                "mood needs a network with convolutions to put exits between, and this one has none for images of "
                f"{shape[1]}×{shape[2]}; choose another network or larger images"
            )
        self.layers = evenly(list(layers), exits - 1)
        sizes = [(channels, min(POOLED, side)) for channels, side in (layers[name] for name in self.layers)]
        self._sides = [side for _, side in sizes]
        self.exits = nn.ModuleList(nn.Linear(channels * side * side, n_classes) for channels, side in sizes)

    def head(self, features: Tensor) -> Tensor:
        """Return the logits of the last exit, shape (n, C)."""
        return cast("Network", self.backbone).head(features)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return features, "logits" of the last exit, and those of all "exits", shape (n, K, C), the last one last."""
        found: dict[str, Tensor] = {}

        def see(name: str, output: Tensor) -> None:
            # At once, and a copy: a later module may work in place on the same memory.
            number = self.layers.index(name)
            pooled = adaptive_avg_pool2d(output + 0, self._sides[number]).flatten(1)
            found[name] = self.exits[number](pooled)

        with hooked(self.backbone, self.layers, see):
            features = self.features(images)
        logits = self.head(features)
        return {
            "features": features,
            "logits": logits,
            "exits": torch.stack([*(found[name] for name in self.layers), logits], dim=1),
        }

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Return features, "logits" and "exits"."""
        return self.forward(images)


class ExitsLearner(OwnLossLearner):
    """Trains all exits together.

    Args:
        network: a `MultiExit`.
        setting: of the training.
    """

    def __init__(self, network: nn.Module, setting: Setting) -> None:
        super().__init__(network, setting)

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of a batch."""
        return exits_loss(self.outputs(images)["exits"], labels)


def exits_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the sum over exits of their mean cross-entropy, of logits, shape (n, K, C), and labels; a scalar."""
    return torch.stack([cross_entropy(exit_logits, labels) for exit_logits in logits.unbind(dim=1)]).sum()


def png_sizes(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return how many bytes the PNG file of each image has, int64 of shape (n,), compressed as well as PNG can.

    Images with other than one or three channels have them below each other.

    Args:
        images: uint8, shape (n, channels, height, width).
    """
    import io

    import numpy as np
    from PIL import Image

    sizes = []
    for image in images:
        pixels = image.transpose(1, 2, 0) if len(image) == 3 else image.reshape(-1, image.shape[2])
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG", compress_level=9)
        sizes.append(file.tell())
    return np.array(sizes, dtype=np.int64)
