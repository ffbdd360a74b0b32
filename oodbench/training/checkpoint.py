"""A training that is killed resumes where it was: its whole state in one file, whole or absent."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from oodbench.progress import SILENT, Reporter
from oodbench.store.atomic import write_atomic

_CHECKSUM = hashlib.sha256().digest_size


@dataclass(frozen=True)
class Checkpoint:
    """The file that holds the state of one training, after its SHA-256.

    Attributes:
        path: of the file; it names everything that the training depends on but the device.
        report: told when the file cannot be used.
    """

    path: Path
    report: Reporter = SILENT

    def save(self, state: dict[str, Any]) -> None:
        """Write tensors, numbers and nested dictionaries of these."""
        buffer = io.BytesIO()
        torch.save(state, buffer)
        content = buffer.getvalue()
        write_atomic(self.path, hashlib.sha256(content).digest() + content)

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """Return the state that was saved last, or None where there is none.

        Raises:
            Exception: the file is damaged, or of something else.
        """
        try:
            with self.path.open("rb") as file:
                checksum, content = file.read(_CHECKSUM), file.read()
        except FileNotFoundError:
            return None
        if hashlib.sha256(content).digest() != checksum:
            raise ValueError("it is damaged")
        state: dict[str, Any] = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
        return state

    def set_aside(self, error: Exception) -> None:
        """Rename the file, since the training cannot resume from it, and say why."""
        aside = self.path.replace(self.path.with_suffix(".unusable"))
        reason = str(error).partition("\n")[0] or type(error).__name__
        self.report.message(f"training anew: cannot resume from the checkpoint ({reason}); it is kept as {aside}")

    def remove(self) -> None:
        """Remove the file: the training is finished."""
        self.path.unlink(missing_ok=True)
