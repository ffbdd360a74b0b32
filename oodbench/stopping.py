"""What happens at Ctrl-C, and when a system asks a program to end: a word, and whatever is whole stays.

Nothing else is imported here, so that it holds from the first moments on.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False

if TYPE_CHECKING:
    from types import FrameType, TracebackType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """A signal asked the program to end; all that stands open is left in order on the way out.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def stop_at_once() -> None:
    """From now on, signals end the program with a word: nothing was begun yet, or it is ending already."""
    _install(_end)


class StoppingInOrder:
    """Within its block, the first signal raises `Stopped`, and another one ends the program at once."""

    def __enter__(self) -> None:
        self._before = [(number, signal.getsignal(number)) for number in SIGNALS]
        _install(_raise)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before:
            if handler is not None:
                signal.signal(number, handler)


def _install(handler: object) -> None:
    for number in SIGNALS:
        # What was started to outlive its terminal (nohup), or in the background, goes on ignoring it.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)  # type: ignore[arg-type]  # of the two below


def _end(number: int, _: FrameType | None) -> None:
    os.write(2, b"Stopped.\n")
    os._exit(128 + number)


def _raise(number: int, _: FrameType | None) -> None:
    stop_at_once()
    raise Stopped(number)


def is_worker() -> bool:
    """Return whether this process works for another one, which decides when to stop."""
    processes = sys.modules.get("multiprocessing.process")
    return processes is not None and processes.parent_process() is not None
