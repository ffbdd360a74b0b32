"""How many bytes of decoded pixels a run may keep."""

from __future__ import annotations


class PixelLimit:
    """What is left of the room for pixels; the sets of a run take their share one after another.

    Args:
        size: in bytes.
    """

    def __init__(self, size: int) -> None:
        self.size, self.taken = size, 0

    def has_room(self, n_bytes: int) -> bool:
        """Return whether so many bytes are left."""
        return self.taken + n_bytes <= self.size

    def takes(self, n_bytes: int) -> bool:
        """Take so many bytes where they are left, and return whether they were."""
        if not self.has_room(n_bytes):
            return False
        self.counts(n_bytes)
        return True

    def counts(self, n_bytes: int) -> None:
        """Count pixels that are kept already."""
        self.taken += n_bytes
