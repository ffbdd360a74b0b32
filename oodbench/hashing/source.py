"""The code of classes and functions as hashes see it: without comments, docstrings and layout."""

from __future__ import annotations

import ast
import inspect
import os
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

NOT_HASHED = {"builtins", "typing", "abc", "torch", "numpy"}
"""Their versions are part of every record instead."""


_RUN = ("__main__", "__mp_main__")


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


_HOME = Path(__file__).parents[1]
_ENGINE = (
    _HOME,
    *(_HOME / name for name in ("data", "engine", "given", "hashing", "plugins", "store", "training")),
)


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
    """Return where a module is that is named in full, or None where it is not of the package that a file is in.

    Beside a file of no package are its siblings, as for a script.
    """
    top, *inner = module.split(".")
    if not (file.parent / "__init__.py").is_file():
        return None if _is_foreign(file.parent) else file.parent.joinpath(top, *inner)
    for folder in file.parents:
        if not (folder / "__init__.py").is_file():
            return None
        if folder.name == top != __name__.partition(".")[0]:
            return folder.joinpath(*inner)
    return None


@cache
def _is_foreign(folder: Path) -> bool:
    """Return whether a folder is one where Python looks for modules that everybody imports."""
    return folder.name in ("site-packages", "dist-packages") or folder == Path(os.__file__).parent


def _without_docstrings(file: Path) -> str:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
