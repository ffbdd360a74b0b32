"""The output of the command line: a reader that has seen enough, and a disk that is full."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


class Unwritable(BaseException):
    """Nothing more can be written to the output.

    It is no Exception: it does not come from the work that is going on, and nothing that guards that may catch it.

    Attributes:
        closed: whether the reader, such as `head`, has closed it.
        reason: why, in the system's words.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.closed = isinstance(error, BrokenPipeError)
        self.reason = error.strerror or str(error)


class _Guarded:
    """A stream that says of its own errors that they are its own.

    Args:
        stream: what is written to.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> Any:
        try:
            return self._stream.write(text)
        except OSError as error:
            raise Unwritable(error) from error

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            raise Unwritable(error) from error


@contextmanager
def guarded_output() -> Iterator[None]:
    """Within the block, output that cannot be written raises `Unwritable`; at its end, all is written."""
    before = sys.stdout, sys.stderr
    for stream in before:
        # Where the output cannot hold an arrow or a ±, a question mark is better than no table.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    guarded = [None if stream is None else _Guarded(stream) for stream in before]
    sys.stdout, sys.stderr = guarded  # all that writes to them writes text
    try:
        yield
        for stream in guarded:
            if stream is not None:
                stream.flush()
    finally:
        sys.stdout, sys.stderr = before


def give_up_output() -> None:
    """Let what is still to be written go nowhere: at its end, Python would fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            try:
                stream.flush()
            except OSError:
                os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
