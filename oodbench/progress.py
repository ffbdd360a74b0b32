"""How long work tells what it is doing: three calls that a terminal, a notebook or nobody listens to."""

import warnings
from typing import Protocol


class Reporter(Protocol):
    """Listens to a run."""

    def message(self, text: str) -> None:
        """A line that is worth keeping."""

    def warning(self, text: str) -> None:
        """A line that readers of the results must know: something was left out, or is not what it seems."""

    def progress(self, task: str, done: int, total: int) -> None:
        """Some work has got this far; `done == total` ends it."""

    def cells(self, done: int, total: int) -> None:
        """This many cells of the whole run are finished."""


class Silent:
    """Listens to nothing."""

    def message(self, text: str) -> None:
        """Ignore a line."""

    def warning(self, text: str) -> None:
        """Ignore a warning."""

    def progress(self, task: str, done: int, total: int) -> None:
        """Ignore progress."""

    def cells(self, done: int, total: int) -> None:
        """Ignore finished cells."""


class Warnings(Silent):
    """Listens to nothing but warnings, and passes them on as Python's: rows do not say what they were made of."""

    def warning(self, text: str) -> None:
        """Warn."""
        warnings.warn(text, stacklevel=2)


SILENT = Silent()
WARNINGS = Warnings()
