"""Checks that methods and data sets share: both are frozen dataclasses whose fields are their settings."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

from oodbench.errors import OodbenchError
from oodbench.settings import reconfigure

from .contract import require


def made(subject: Any) -> Any:
    """Return an instance: the subject itself, or the one that a class makes with its defaults."""
    return subject() if isinstance(subject, type) else subject


def check_is_described(subject: Any) -> None:
    """A title and a source are there, for listings and tables."""
    for name in ("title", "source"):
        text = getattr(subject, name, "")
        require(isinstance(text, str) and text, f"set the class attribute {name!r} to a non-empty text")


def check_settings_are_a_frozen_value(subject: Any) -> None:
    """Equal settings are equal things, nothing can change them, and they can be sent to another process."""
    config = made(subject)
    require(dataclasses.is_dataclass(config), "make it a dataclass: @dataclass(frozen=True, kw_only=True)")
    frozen = type(config).__dataclass_params__.frozen
    require(frozen, "make the dataclass frozen: @dataclass(frozen=True, kw_only=True)")
    same = dataclasses.replace(config)
    try:
        require(config == same and hash(config) == hash(same), "equal settings must be equal: leave out eq=False")
    except TypeError as error:
        require(holds=False, message=f"{error}: write tuples instead of lists, so that settings can be hashed")
    try:
        again = pickle.loads(pickle.dumps(config))  # noqa: S301  # it was made one line before
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        require(holds=False, message=f"it must be picklable ({error}): define it at the top of a module")
    require(again == config, "it must be equal to itself after pickling")


def check_settings_can_be_set_as_text(subject: Any) -> None:
    """Each setting can be given on the command line, and `repr` shows it."""
    config = made(subject)
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if not field.init or value == ():
            continue
        text = _text(value)
        message = f"the setting {field.name} cannot be given as {text!r}; annotate it with bool, int, float, str, "
        message += "Literal, a tuple of these, or a union with None"
        try:
            again = reconfigure(config, {field.name: text}, of=field.name)
        except OodbenchError as error:
            require(holds=False, message=f"{message} ({error})")
        require(again == config, message)
        shown = f"{field.name}={value!r}" in repr(config)
        require(shown, f"repr() must show the setting {field.name}: leave out repr=False")


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_text, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


VALUE_CHECKS = (check_is_described, check_settings_are_a_frozen_value, check_settings_can_be_set_as_text)
