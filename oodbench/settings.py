"""Settings given as text or values, checked against the fields of a frozen dataclass."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeVar

from .errors import ConfigError, UnknownName, did_you_mean

T = TypeVar("T")


def configure(kind: type[T], settings: Mapping[str, object], *, of: str) -> T:
    """Return `kind(**settings)` with each value brought to the type of its field.

    Args:
        kind: a dataclass whose fields are annotated with bool, int, float, str, Literal, tuples of these, or
            unions with None.
        settings: values, or their text as typed on a command line.
        of: what the settings belong to, for messages.

    Raises:
        UnknownName: no such field; the message names the nearest ones.
        ConfigError: a value does not fit its field, or the class refuses it.
    """
    fields = _coerced(kind, settings, of)
    return _guarded(lambda: kind(**fields), of)


def reconfigure(config: T, settings: Mapping[str, object], *, of: str) -> T:
    """Return a copy of a frozen dataclass instance with some fields set anew, as `configure` does.

    Raises:
        UnknownName: no such field.
        ConfigError: a value does not fit its field, or the class refuses it.
    """
    changes = _coerced(type(config), settings, of)
    return _guarded(lambda: typing.cast("T", dataclasses.replace(typing.cast("Any", config), **changes)), of)


def _guarded(build: Callable[[], T], of: str) -> T:
    try:
        return build()
    except ConfigError as error:
        # A class says "margin must be positive" of itself; whoever reads it wants to know whose margin.
        raise type(error)(f"{of}.{error}") from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{of}: {error}") from error


def _coerced(kind: type, settings: Mapping[str, object], of: str) -> dict[str, object]:
    types_ = typing.get_type_hints(kind)
    fields = [field.name for field in dataclasses.fields(kind) if field.init]
    for name in settings:
        if name not in fields:
            raise UnknownName(f"{of} has no setting {name!r}{did_you_mean(name, fields)}")
    return {name: _coerce(value, types_[name], f"{of}.{name}") for name, value in settings.items()}


def _coerce(value: object, kind: Any, what: str) -> object:  # noqa: PLR0911  # one return a kind of field
    """Return `value` as `kind` wants it; text is read as a command line gives it."""
    origin, choices = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Union or isinstance(kind, types.UnionType):
        if type(None) in choices and value in (None, "none"):
            return None
        return _coerce_any(value, [choice for choice in choices if choice is not type(None)], what)
    if origin is Literal:
        if value not in choices:
            raise ConfigError(f"{what} must be one of {', '.join(map(str, choices))}, got {value!r}")
        return value
    if origin is tuple:
        text = "" if value == "none" else value
        items: Iterable[object] = text.split(",") if isinstance(text, str) and text else typing.cast("Any", text)
        return tuple(_coerce(item, choices[0], what) for item in items)
    if kind is bool and isinstance(value, str):
        if value.lower() not in ("true", "false"):
            raise ConfigError(f"{what} must be true or false, got {value!r}")
        return value.lower() == "true"
    if kind in (int, float):
        return _number(value, kind, what)
    if kind in (bool, str) and not isinstance(value, kind):
        raise ConfigError(f"{what} must be {kind.__name__}, got {value!r}")
    return value


def _coerce_any(value: object, choices: list[Any], what: str) -> object:
    *others, last = choices
    for choice in others:
        try:
            return _coerce(value, choice, what)
        except ConfigError:
            continue
    try:
        return _coerce(value, last, what)
    except ConfigError as error:
        words = [word for choice in others if typing.get_origin(choice) is Literal for word in typing.get_args(choice)]
        raise ConfigError(f"{error}, or {' or '.join(words)}" if words else str(error)) from None


def _number(value: object, kind: type[int | float], what: str) -> int | float:
    try:
        number = math.nan if isinstance(value, bool) else kind(typing.cast("Any", value))
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or (kind is int and not isinstance(value, str) and number != value):
        raise ConfigError(f"{what} must be {'a whole' if kind is int else 'a finite'} number, got {value!r}")
    return number


def parse_settings(texts: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return `--set` options as a mapping from owner to settings.

    Raises:
        ConfigError: a text is not of the form OWNER.NAME=VALUE.

    >>> parse_settings(["odm.margin=5", "recipe.epochs=2"])
    {'odm': {'margin': '5'}, 'recipe': {'epochs': '2'}}
    """
    parsed: dict[str, dict[str, str]] = {}
    for text in texts:
        target, equals, value = text.partition("=")
        owner, dot, name = target.strip().partition(".")
        if not (equals and dot and owner and name):
            raise ConfigError(f"--set {text!r} is not of the form NAME.SETTING=VALUE, such as odm.margin=5")
        parsed.setdefault(owner, {})[name.strip()] = value.strip()
    return parsed


def variant(method: str, changed: Mapping[str, object]) -> str:
    """Return a method's name with the hyper-parameters that are not at their defaults.

    >>> variant("odm", {"margin": 5.0})
    'odm (margin=5)'
    """
    if not changed:
        return method
    return f"{method} ({', '.join(f'{name}={short(value)}' for name, value in changed.items())})"


def short(value: object) -> str:
    """Return a value as short as it can be without being mistaken for another one."""
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def differences(one: Any, other: Any) -> dict[str, Any]:
    """Return the fields of a dataclass instance that differ from those of another of its class, in order."""
    names = [field.name for field in dataclasses.fields(one)]
    return {name: getattr(one, name) for name in names if getattr(one, name) != getattr(other, name)}
