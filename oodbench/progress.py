"""How long work tells what it is doing: three calls that a terminal, a notebook or nobody listens to."""

from typing import Protocol


class Reporter(Protocol):
    """Listens to a run."""

    def message(self, text: str) -> None:
        """A line that is worth keeping."""

    def progress(self, task: str, done: int, total: int) -> None:
        """Some work has got this far; `done == total` ends it."""

    def cells(self, done: int, total: int) -> None:
        """This many cells of the whole run are finished."""


class Silent:
    """Listens to nothing."""

    def message(self, text: str) -> None:
        """Ignore a line."""

    def progress(self, task: str, done: int, total: int) -> None:
        """Ignore progress."""

    def cells(self, done: int, total: int) -> None:
        """Ignore finished cells."""


SILENT = Silent()
