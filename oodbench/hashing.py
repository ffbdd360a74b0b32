"""One hash for everything: settings, files, arrays and code are named by what they hold.

Artifacts are never looked up by a name or by an object's identity, which say nothing about content.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import inspect
import json
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def plain(value: object) -> Any:
    """Return `value` as JSON can hold it: dataclasses as mappings, tuples as lists.

    Raises:
        TypeError: the value has no such form (a tensor, a function, an open file).
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
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


def code_digest(*things: object) -> str:
    """Return a hash of the code of classes, functions or instances, so that edited code never meets old results.

    Each thing counts with the whole file of its class and of its base classes, and a plugin's file with the modules of
    its own package that it imports; comments, docstrings and layout do not count.
    What lies in no file, as in a notebook, or was made by a function counts with everything that it holds and reads
    (`oodbench.contents`); so does what an instance holds besides settings, such as a metric's function. Settings and
    weights of networks have hashes of their own.
    """
    owners = (thing if isinstance(thing, type) or inspect.isroutine(thing) else type(thing) for thing in things)
    parts = {part for owner in owners for part in (owner.__mro__ if isinstance(owner, type) else (owner,))}
    codes = {_code(part) for part in parts if part.__module__.split(".")[0] not in NOT_HASHED}
    return digest(sorted(codes.union(_content(thing) for thing in things if _holds_more(thing))))


NOT_HASHED = {"builtins", "typing", "abc", "torch", "numpy"}
"""Their versions are part of every record instead."""

_RUN = ("__main__", "__mp_main__")


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


def source_of(part: Any) -> str | None:
    """Return the code of the file that a class, function or module is in, as hashes see it.

    None where it has no file that can be read, where more may have been typed after the file was run, and for what a
    function made: it depends on more than the file.
    """
    if getattr(part, "__module__", None) in _RUN or "<locals>" in getattr(part, "__qualname__", ""):
        return None
    try:
        return _file_code(inspect.getsourcefile(part) or "")
    except (TypeError, OSError):
        return None


def compiled(code: CodeType) -> list[Any]:
    """Return what a compiled function does, without where it was typed and where it lies in the memory."""
    constants = [compiled(entry) if inspect.iscode(entry) else _constant(entry) for entry in code.co_consts]
    return [code.co_code.hex(), code.co_names, code.co_varnames, code.co_freevars, constants]


def _constant(entry: object) -> str:
    # The order of a set differs from process to process.
    return repr(sorted(map(repr, entry))) if isinstance(entry, frozenset) else repr(entry)


@cache
def _file_code(file: str) -> str:
    return "".join(_without_docstrings(part) for part in sorted(_with_siblings(Path(file))))


_ENGINE = (Path(__file__).parent, Path(__file__).parent / "training")


def _with_siblings(file: Path, found: frozenset[Path] = frozenset()) -> frozenset[Path]:
    """Return a file with the modules of its package that it imports, and those that these import.

    What the engine's own files import does not count: the plan names the parts that a result depends on.
    """
    found |= {file}
    if file.parent in _ENGINE:
        return found
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        for module in _imported(node, file):
            for sibling in (module.with_suffix(".py"), module / "__init__.py"):
                if sibling.is_file() and sibling not in found:
                    found = _with_siblings(sibling, found)
    return found


def _imported(node: ast.AST, file: Path) -> list[Path]:
    """Return where the modules of a file's own package are that a statement may import, without their suffix."""
    if isinstance(node, ast.Import):
        return [place for alias in node.names if (place := _in_package(alias.name, file))]
    if not isinstance(node, ast.ImportFrom):
        return []
    name = node.module or ""
    module = file.parents[node.level - 1].joinpath(*name.split(".")) if node.level else _in_package(name, file)
    # A name that is imported may be a module itself.
    return [module, *(module / alias.name for alias in node.names)] if module else []


def _in_package(module: str, file: Path) -> Path | None:
    """Return where a module is that is named in full, or None where it is not of the package that a file is in."""
    top, *inner = module.split(".")
    for folder in file.parents:
        if not (folder / "__init__.py").is_file():
            return None
        if folder.name == top != __name__.partition(".")[0]:
            return folder.joinpath(*inner)
    return None


def _without_docstrings(file: Path) -> str:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
