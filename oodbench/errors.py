"""Every error a user can see: one sentence that says what is wrong, where, and what to do next."""

import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

TRACEBACK = "OODBENCH_TRACEBACK"
"""Environment variable that makes the command line show where an error came from."""


class OodbenchError(Exception):
    """Root of all errors that oodbench raises on purpose; the command line prints it and exits with 2."""


class ConfigError(OodbenchError):
    """A setting, option or hyper-parameter has a value that it cannot have."""


class NeedsTrainingImages(ConfigError):
    """A method needs the images that a network was trained on, and a user's own model came without them."""


class UnknownName(ConfigError):
    """No plugin, hyper-parameter or recipe has this name."""


class PluginError(OodbenchError):
    """A plugin cannot be imported, has the wrong shape, or takes a name that is taken."""


class DataError(OodbenchError):
    """Image data is damaged, empty or does not fit what a benchmark asks for."""


class MissingData(DataError):
    """Image data is not where it is looked for."""


class MetricError(OodbenchError, ValueError):
    """Scores that no metric can be computed from: empty, NaN, infinite or of the wrong shape."""


class ScoreError(OodbenchError):
    """A method returned scores or classes that do not fit the images it was given."""


class StoreError(OodbenchError):
    """A record or artifact cannot be read or written."""


class TrainingError(OodbenchError):
    """A training went wrong, for example because its loss is no longer finite."""


class DeviceError(OodbenchError):
    """The device that was asked for is not there."""


def described(error: BaseException) -> str:
    """Return what went wrong in code that is not ours, and where."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(last.filename).name}, line {last.lineno}, in {last.name})"


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, or its name where it says nothing."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


@contextmanager
def reported_as(kind: type[OodbenchError], what: str) -> Iterator[None]:
    """Turn whatever goes wrong inside, but for our own errors, into one of ours: the code may be a plugin's.

    Args:
        kind: of the error.
        what: failed, such as "my_score".
    """
    try:
        yield
    except OodbenchError:
        raise
    except Exception as error:
        raise kind(f"{what} failed with {described(error)}; {TRACEBACK}=1 shows the whole traceback") from error


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown name: its nearest neighbours, or the whole choice."""
    known = list(known)
    near = get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    if near:
        return f". Did you mean {' or '.join(map(repr, near))}?"
    return f"; there is: {', '.join(known)}." if known else "; there is none."
