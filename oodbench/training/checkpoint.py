"""A training that is killed goes on where it was: its whole state in one file, whole or absent."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from oodbench.atomic import write_atomic


@dataclass(frozen=True)
class Checkpoint:
    """The file that holds the state of one training.

    Attributes:
        path: of the file; it names everything that the training depends on.
    """

    path: Path

    def save(self, state: dict[str, Any]) -> None:
        """Write tensors, numbers and nested dictionaries of these."""
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_atomic(self.path, buffer.getvalue())

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """Return the state that was saved last, or None where there is none or it is damaged."""
        try:
            state: dict[str, Any] = torch.load(self.path, map_location=device, weights_only=True)
        # A damaged file raises anything from zipfile errors to KeyError; the training then starts anew.
        except Exception:  # noqa: BLE001
            return None
        return state

    def remove(self) -> None:
        """Remove the file: the training is finished."""
        self.path.unlink(missing_ok=True)
