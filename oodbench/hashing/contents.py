"""What objects hold and what code does that lies in no file of its own: hashed down to the last tensor.

A classifier of a user's own keeps what it computes with in attributes of any kind, and what was typed into a notebook
reads whatever else was typed there. Both count here, wherever they refer to.
"""

from __future__ import annotations

import dis
import inspect
from collections.abc import Iterator, Mapping
from functools import cached_property, singledispatchmethod
from io import BytesIO
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any
from zipfile import ZipFile

import numpy as np
import torch
from torch import Tensor, nn

from .installed import is_installed
from .source import compiled, source_of
from .values import array_digest, digest

_WORDS = (type(None), bool, int, float, complex, str, bytes, range, slice, type(...), type(NotImplemented))
_TORCH_WORDS = (torch.dtype, torch.device, torch.layout, torch.memory_format)

_DESCRIPTORS = (property, classmethod, staticmethod, cached_property)

_READS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")

_DEPTH = 100
"""Of what lies deeper only the class counts: it may be a chain without end."""


def content_digest(*things: object) -> str:
    """Return a hash of values, objects, classes and functions with everything that they hold and read.

    Tensors and arrays count with every byte, containers with their elements, objects with their class and state,
    networks with all attributes and hooks. Code counts with its file; where it has none, as in a notebook, or was made
    by other code, it counts as compiled, with its defaults, what it closes over and the globals that it reads, and
    so on from there. What is installed from elsewhere counts by name. The same things made by the same code have one
    digest in every process. Of objects that neither show their state nor can be pickled only the class counts.
    """
    return _Walk().of(things)


class _Walk:
    """Goes through everything that can be reached, once."""

    def __init__(self) -> None:
        self._above: dict[int, int] = {}
        self._done: dict[int, str] = {}
        # An id says nothing once its object is gone.
        self._kept: list[object] = []

    def of(self, value: object) -> str:
        if type(value) in _WORDS or isinstance(value, _TORCH_WORDS):
            return digest([type(value).__name__, repr(value)])
        place = id(value)
        if place in self._above:
            return digest(["inside", self._above[place]])
        if place not in self._done:
            self._done[place] = self._into(value, place)
        return self._done[place]

    def _into(self, value: object, place: int) -> str:
        if len(self._above) == _DEPTH:
            return digest(_name(type(value)))
        self._kept.append(value)
        self._above[place] = len(self._above)
        parts = [_name(type(value)), self._parts(value)]
        del self._above[place]
        return digest(parts)

    def _all(self, values: Any) -> list[str]:
        return [self.of(value) for value in values]

    @singledispatchmethod
    def _parts(self, value: Any) -> Any:
        """Return what tells a value from others of its type, in a form that `digest` takes."""
        return [self.of(type(value)), self.of(_state(value))]

    @_parts.register(tuple)
    @_parts.register(list)
    def _(self, value: Any) -> Any:
        return self._all(value)

    @_parts.register(set)
    @_parts.register(frozenset)
    def _(self, value: Any) -> Any:
        return sorted(self._all(value))

    @_parts.register(Mapping)
    def _(self, value: Any) -> Any:
        return sorted([self.of(key), self.of(entry)] for key, entry in value.items())

    @_parts.register
    def _(self, value: Tensor) -> Any:
        return [str(value.dtype), list(value.shape), None if value.is_meta else array_digest(_as_array(value))]

    @_parts.register
    def _(self, value: np.ndarray) -> Any:
        return [list(value.shape), self.of(value.tolist())] if value.dtype.hasobject else array_digest(value)

    @_parts.register
    def _(self, value: nn.Module) -> Any:
        # What torch.compile puts around a module knows what was compiled so far.
        if "_orig_mod" in (inner := dict(value.named_children())):
            return self.of(inner["_orig_mod"])
        # Hooks are filed by numbers that count up in each process.
        state = {
            name: list(entry.values()) if "_hooks" in name and isinstance(entry, Mapping) else entry
            for name, entry in vars(value).items()
        }
        return [self.of(type(value)), self.of(state), [name for name, _ in value.named_children()]]

    @_parts.register
    def _(self, value: torch.fx.GraphModule) -> Any:
        # Its class is made anew for each, and its graph knows where it was traced.
        return [value.code, self.of(dict(value.named_parameters())), self.of(dict(value.named_buffers()))]

    @_parts.register
    def _(self, value: torch.jit.ScriptModule) -> Any:
        archive = ZipFile(BytesIO(value.save_to_buffer()))
        # The others say where it was compiled from, and when.
        names = [name for name in archive.namelist() if not name.endswith(".debug_pkl") and "/.data/" not in name]
        return [[name, self.of(archive.read(name))] for name in names]

    @_parts.register
    def _(self, value: type) -> Any:
        if is_installed(value.__module__):
            return _name(value)
        if source := source_of(value):
            return [value.__qualname__, source]
        members = {name: entry for name, entry in vars(value).items() if not _is_dunder(name) or _is_code(entry)}
        return [value.__qualname__, self._all(value.__mro__[1:]), self.of(members)]

    @_parts.register
    def _(self, value: FunctionType) -> Any:
        closed_over = [_in_cell(cell) for cell in value.__closure__ or ()]
        holds = (value.__defaults__, value.__kwdefaults__, vars(value), closed_over)
        if is_installed(value.__module__):
            return [_name(value), self._all(holds)]
        read = source_of(value) or self.of(_globals_read(value))
        return [compiled(value.__code__), self._all(holds), read]

    @_parts.register
    def _(self, value: MethodType) -> Any:
        return self._all((value.__func__, value.__self__))

    @_parts.register
    def _(self, value: BuiltinFunctionType) -> Any:
        of = value.__self__
        return [_name(value), None if isinstance(of, ModuleType) else self.of(of)]

    @_parts.register
    def _(self, value: ModuleType) -> Any:
        return [value.__name__, "" if is_installed(value.__name__) else source_of(value)]

    @_parts.register
    def _(self, value: CodeType) -> Any:
        return compiled(value)

    @_parts.register(property)
    @_parts.register(classmethod)
    @_parts.register(staticmethod)
    @_parts.register(cached_property)
    def _(self, value: Any) -> Any:
        return [self.of(getattr(value, name, None)) for name in ("fget", "fset", "fdel", "func", "__func__")]


def _state(value: object) -> Any:
    """Return what an object consists of, as pickle would take it apart, or its attributes where it cannot."""
    try:
        parts = value.__reduce_ex__(4)
    # Foreign code: whatever it raises, it does not come apart.
    except Exception:  # noqa: BLE001
        return getattr(value, "__dict__", None)
    if isinstance(parts, str):
        # A name tells nothing of the function behind functools.cache.
        return [parts, getattr(value, "__wrapped__", None)]
    return [list(part) if isinstance(part, Iterator) else part for part in parts]


def _as_array(tensor: Tensor) -> np.ndarray[Any, Any]:
    tensor = tensor.detach().cpu()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    tensor = tensor.to_dense().resolve_conj().resolve_neg()
    try:
        return tensor.numpy()
    except TypeError:
        # NumPy has no bfloat16; float32 holds all of its values.
        return tensor.float().numpy()


def _in_cell(cell: CellType) -> object:
    try:
        return cell.cell_contents
    # Nothing has been bound to the name yet.
    except ValueError:
        return None


def _globals_read(function: FunctionType) -> dict[str, object]:
    known = function.__globals__
    return {name: known[name] for name in _names_read(function.__code__) if name in known}


def _names_read(code: CodeType) -> set[str]:
    names = {step.argval for step in dis.get_instructions(code) if step.opname in _READS}
    return names.union(*(_names_read(entry) for entry in code.co_consts if inspect.iscode(entry)))


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _is_code(member: object) -> bool:
    return callable(member) or isinstance(member, _DESCRIPTORS)


def _name(thing: Any) -> str:
    return f"{getattr(thing, '__module__', None)}.{thing.__qualname__}"
