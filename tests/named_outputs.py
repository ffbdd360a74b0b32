"""Batches of named outputs that are given by hand, for tests of scores."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch


@dataclass
class NamedBatch:
    """A batch of named outputs alone, of one network or of several."""

    named: dict = field(default_factory=dict)
    others: tuple = ()
    images: torch.Tensor | None = None
    device = torch.device("cpu")

    def output(self, name):
        return torch.tensor(self.named[name], dtype=torch.float32)

    def in_passes(self, compute):
        for part in self.images.split(50):
            yield compute(NamedBatch(images=part))

    @property
    def members(self):
        return (self, *(NamedBatch(named) for named in self.others))
