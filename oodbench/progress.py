"""How long work tells what it is doing: three calls that a terminal, a notebook or nobody listens to."""

import time
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


class Pace:
    """Tells how far long work is, how fast it goes, and how long it will take: a bar, and a line a minute.

    Args:
        report: who is told.
        task: what is done, such as "decoding photos".
        total: how many images there are.
        done: how many were done in an earlier start.
    """

    def __init__(self, report: Reporter, task: str, total: int, done: int = 0) -> None:
        self._report, self._task, self._total, self._done = report, task, total, done
        self._new, self._started = 0, time.monotonic()
        self._said = self._started
        if done:
            report.message(f"{task}: going on after {done:,} of {total:,} images")

    def went_on(self, count: int) -> None:
        """Tell that so many more images are done."""
        self._done += count
        self._new += count
        now = time.monotonic()
        pace = self._new / max(now - self._started, 1e-9)
        self._report.progress(f"{self._task}, {pace:,.0f} images a second", self._done, self._total)
        if now - self._said >= SECONDS_BETWEEN_LINES and self._done < self._total:
            left = in_time((self._total - self._done) / pace)
            self._report.message(
                f"{self._task}: {self._done:,} of {self._total:,} images, {pace:,.1f} a second, {left} left"
            )
            self._said = now
        elif self._done == self._total and now - self._started >= SECONDS_BETWEEN_LINES:
            taken = in_time(now - self._started)
            self._report.message(f"{self._task}: {self._total:,} images, {taken}, {pace:,.1f} a second")


SECONDS_BETWEEN_LINES = 60.0
"""How often a line says how far long work is."""


def in_time(seconds: float) -> str:
    """Return a length of time as people say it.

    >>> in_time(42.4), in_time(90), in_time(7260)
    ('42 s', '2 min', '2 h 1 min')
    """
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


SILENT = Silent()
WARNINGS = Warnings()
