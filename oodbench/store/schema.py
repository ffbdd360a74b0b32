"""What was read from a file, held against the fields of a dataclass: one check for all that is stored."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, TypeVar

T = TypeVar("T")

DEEPEST = 20
"""How many lists and mappings may lie in each other."""

LARGEST = 2**63
"""No whole number that is stored is as large."""


class Malformed(ValueError):
    """What was read is not what was to be read; the message says where."""


def parsed(content: bytes) -> Any:
    """Return what a JSON text says.

    Raises:
        Malformed: it is no JSON, names an entry twice, holds numbers that no result has (NaN, infinity, more than 64
            bits), or is nested too deeply.
    """
    try:
        return json.loads(
            content.decode("utf-8"),
            parse_constant=_no_constant,
            parse_int=_whole,
            parse_float=_finite,
            object_pairs_hook=_each_once,
        )
    except RecursionError:
        raise Malformed("it is nested too deeply") from None
    except UnicodeDecodeError:
        raise Malformed("it is no UTF-8") from None
    except ValueError as error:
        raise Malformed(str(error)) from None


def _no_constant(text: str) -> float:
    raise Malformed(f"{text} is no number that a result has")


def _whole(text: str) -> int:
    # Python reads no more digits than that of its own accord, and not fast.
    if len(text) > 20 or not -LARGEST <= int(text) < LARGEST:
        raise Malformed(f"{text[:20]}… is no number that a result has")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _no_constant(text[:20])


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) < len(pairs):
        raise Malformed("an entry is named twice")
    return entries


def checked(kind: Any, value: Any, where: str = "it", depth: int = 0) -> Any:  # noqa: PLR0911  # one a kind of type
    """Return a value as a type wants it, all the way down: lists as tuples, mappings as dataclasses.

    Args:
        kind: bool, int, float, str, None, Any (whatever JSON holds), Literal, unions, tuples, mappings by strings, or
            a dataclass of fields of these types, whose entries without a field are passed over.
        value: as `parsed` or pickle gives it.
        where: it was found, for messages.
        depth: how many others it lies in.

    Raises:
        Malformed: it does not fit.
    """
    if depth > DEEPEST:
        raise Malformed(f"{where[:40]}… is nested too deeply")
    origin, of = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return _anything(value, where, depth)
    if dataclasses.is_dataclass(kind):
        return _fields(typing.cast("type", kind), value, where, depth)
    if origin is typing.Union or isinstance(kind, types.UnionType):
        return _one_of(of, value, where, depth)
    if origin is Literal:
        known = any(type(value) is type(choice) and value == choice for choice in of)
        return _fits(value, known, f"one of {', '.join(map(str, of))}", where)
    if origin is tuple:
        return _sequence(of, value, where, depth)
    if origin in (Mapping, dict):
        entries: Mapping[Any, Any] = _fits(value, isinstance(value, Mapping), "a mapping", where)
        return {
            checked(str, name, f"a name in {where}"): checked(of[1], entry, _in(where, str(name)[:40]), depth + 1)
            for name, entry in entries.items()
        }
    return _plain(kind, value, where)


def _plain(kind: Any, value: Any, where: str) -> Any:
    if kind is None or kind is type(None):
        return _fits(value, value is None, "null", where)
    if kind is str:
        return _fits(value, isinstance(value, str) and _is_text(value), "a text", where)
    if kind is bool:
        return _fits(value, isinstance(value, bool), "true or false", where)
    is_whole = isinstance(value, int) and not isinstance(value, bool) and -LARGEST <= value < LARGEST
    if kind is int:
        return _fits(value, is_whole, "a whole number", where)
    return _fits(value, is_whole or (isinstance(value, float) and math.isfinite(value)), "a finite number", where)


def _fits(value: Any, whether: bool, wanted: str, where: str) -> Any:  # noqa: FBT001  # says what value is
    if not whether:
        raise Malformed(f"{where} must be {wanted}, got {_short(value)}")
    return value


def _short(value: Any) -> str:
    try:
        text = repr(value)
    # Of things that were pickled.
    except Exception:  # noqa: BLE001
        text = type(value).__name__
    return text if len(text) <= 40 else f"{text[:40]}…"


def _is_text(value: str) -> bool:
    return not any("\ud800" <= sign <= "\udfff" for sign in value)


def _anything(value: Any, where: str, depth: int) -> Any:
    if isinstance(value, Mapping):
        return checked(Mapping[str, Any], value, where, depth)
    if isinstance(value, list | tuple):
        return [checked(Any, entry, f"{where}[{i}]", depth + 1) for i, entry in enumerate(value)]
    for kind in (str, bool, int, float):
        if isinstance(value, kind):
            return _plain(kind, value, where)
    return _plain(None, value, where)


def _one_of(kinds: tuple[Any, ...], value: Any, where: str, depth: int) -> Any:
    if value is None and type(None) in kinds:
        return None
    *others, last = [kind for kind in kinds if kind is not type(None)]
    for kind in others:
        try:
            return checked(kind, value, where, depth)
        except Malformed:
            continue
    return checked(last, value, where, depth)


def _sequence(of: tuple[Any, ...], value: Any, where: str, depth: int) -> tuple[Any, ...]:
    entries = _fits(value, isinstance(value, list | tuple), "a list", where)
    kinds = [of[0]] * len(entries) if of[-1] is Ellipsis else list(of)
    if len(entries) != len(kinds):
        raise Malformed(f"{where} must have {len(kinds)} entries, got {len(entries)}")
    return tuple(
        checked(kind, entry, f"{where}[{i}]", depth + 1)
        for i, (kind, entry) in enumerate(zip(kinds, entries, strict=True))
    )


def _fields(kind: type[T], value: Any, where: str, depth: int) -> T:
    entries = _fits(value, isinstance(value, Mapping), "a mapping", where)
    found = {}
    hints = _hints(typing.cast("Any", kind))
    for field in dataclasses.fields(typing.cast("Any", kind)):
        name = field.name
        if name in entries:
            found[name] = checked(hints[name], entries[name], _in(where, name), depth + 1)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise Malformed(f"{where} lacks {name!r}")
    return kind(**found)


def _in(where: str, name: str) -> str:
    return name if where == "it" else f"{where}.{name}"


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)
