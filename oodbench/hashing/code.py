"""A hash of the code that a result depends on, so that edited code never meets old results."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

from .source import NOT_HASHED, source_of
from .values import digest, plain


def code_digest(*things: object) -> str:
    """Return a hash of the code of classes, functions or instances, so that edited code never meets old results.

    Each thing counts with the whole file of its class and of its base classes, and a plugin's file with the modules of
    its own package that it imports; comments, docstrings and layout do not count.
    What lies in no file, as in a notebook, or was made by a function counts with everything that it holds and reads
    (`oodbench.hashing.contents`); so does what an instance holds besides settings, such as a metric's function.
    Settings and weights of networks have hashes of their own.
    """
    owners = (thing if isinstance(thing, type) or inspect.isroutine(thing) else type(thing) for thing in things)
    parts = {part for owner in owners for part in (owner.__mro__ if isinstance(owner, type) else (owner,))}
    codes = {_code(part) for part in parts if part.__module__.split(".")[0] not in NOT_HASHED}
    return digest(sorted(codes.union(_content(thing) for thing in things if _holds_more(thing))))


def _code(part: Any) -> str:
    return source_of(part) or _content(part)


def _content(thing: object) -> str:
    # It imports PyTorch, which listings of plugins do without.
    from .contents import content_digest

    return content_digest(thing)


def _holds_more(thing: object) -> bool:
    """Return whether an instance holds anything besides settings and weights."""
    if isinstance(thing, partial):
        return True
    if isinstance(thing, type) or inspect.isroutine(thing) or hasattr(thing, "state_dict"):
        return False
    try:
        plain(thing)
    except TypeError:
        return bool(getattr(thing, "__dict__", None))
    return False
