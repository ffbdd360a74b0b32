"""One hash for everything: settings, files, arrays and code are named by what they hold.

Artifacts are never looked up by a name or by an object's identity, which say nothing about content.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def plain(value: object) -> Any:
    """Return `value` as JSON can hold it: dataclasses as mappings, tuples as lists.

    A field with the metadata {"plain": False} is left out: another one says what it holds.

    Raises:
        TypeError: the value has no such form (a tensor, a function, an open file).
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = (field for field in dataclasses.fields(value) if field.metadata.get("plain", True))
        return {field.name: plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [plain(entry) for entry in value]
    if isinstance(value, frozenset | set):
        return sorted(plain(entry) for entry in value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no canonical form: {value!r}")


def digest(value: object) -> str:
    """Return the SHA-256 (64 hexadecimal digits) of a value's canonical JSON form.

    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    text = json.dumps(plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 (64 hexadecimal digits) of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def array_digest(*arrays: np.ndarray[Any, Any] | None) -> str:
    """Return the SHA-256 (64 hexadecimal digits) of arrays: type, shape and every byte."""
    import numpy as np

    hasher = hashlib.sha256()
    for array in arrays:
        if array is None:
            hasher.update(b"none")
            continue
        hasher.update(f"{array.dtype.str}{array.shape}".encode())
        # In pieces: a memory-mapped set larger than the memory is hashed as well.
        rows = np.atleast_1d(array)
        step = max(1, (64 << 20) // max(1, rows[:1].nbytes))
        for start in range(0, len(rows), step):
            hasher.update(np.ascontiguousarray(rows[start : start + step]).data)
    return hasher.hexdigest()
