"""What methods see of inner layers, from the same one pass that gives logits and features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn


class Reading(Protocol):
    """Something small that a method wants to know of a network's inner layers, a row an image.

    A frozen dataclass: equal readings are computed once, for all methods that ask for them, and kept as the outputs of
    the network are. A method names its readings in `reads`, and asks for one by `batch.output(reading.name)`.
    """

    def __hash__(self) -> int: ...

    @property
    def name(self) -> str:
        """A name that no other output of the network has; it must say all settings."""

    def layers(self, network: nn.Module, shape: tuple[int, int, int]) -> Sequence[str]:
        """Return which modules are watched, by their names in `network.named_modules()`.

        Args:
            network: in evaluation mode.
            shape: of the images: channels, height, width.

        Raises:
            ConfigError: the network has no such layers.
        """

    def of(self, maps: Mapping[str, Tensor]) -> Tensor:
        """Return what is kept of a batch, shape (n, …), from the outputs of the watched modules, by their names."""
