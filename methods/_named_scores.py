"""A detector whose score is one of the network's named outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from oodbench.batch import Batch


@dataclass(frozen=True, kw_only=True)
class NamedScore:
    """Scores images by what their network already says of them; it tells no classes apart.

    Attributes:
        output: name of an output of shape (n,).
        higher_is_id: whether it is higher for ID images; else its sign is flipped.
    """

    output: str
    higher_is_id: bool = True

    def score(self, batch: Batch) -> Tensor:
        """Return the output, or minus the output, float64 of shape (n,); higher = more in-distribution."""
        values = batch.output(self.output).double()
        return values if self.higher_is_id else -values

    def classify(self, batch: Batch) -> None:
        """Return None: there are no classes."""
