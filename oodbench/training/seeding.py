"""Same seed, same numbers on the same device."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed PyTorch's global generators (initial weights, dropout) for a block; afterwards they are as before.

    On a GPU, convolutions are computed in ways whose sums come out the same each time.
    """
    before = torch.backends.cudnn.deterministic
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        torch.backends.cudnn.deterministic = True
        try:
            yield
        finally:
            torch.backends.cudnn.deterministic = before


def generator(seed: int, device: torch.device) -> torch.Generator:
    """Return a generator of its own on a device, for batches and pairs."""
    return torch.Generator(device).manual_seed(seed)
