"""Settings as text and as values, against the fields of a frozen dataclass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from oodbench.errors import ConfigError, UnknownName
from oodbench.settings import configure, parse_settings, reconfigure


@dataclass(frozen=True, kw_only=True)
class Settings:
    count: int = 1
    share: float = 0.5
    squared: bool = True
    name: str = "a"
    pairs: Literal["sampled", "all"] = "sampled"
    limit: int | None = None
    epsilon: Literal["auto"] | float = "auto"
    steps: tuple[int, ...] = ()

    def __post_init__(self):
        if self.count < 0:
            raise ConfigError("count must not be negative")


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("count", "7", 7),
        ("share", "1e-3", 0.001),
        ("squared", "False", False),
        ("name", "b", "b"),
        ("pairs", "all", "all"),
        ("limit", "3", 3),
        ("limit", "none", None),
        ("limit", None, None),
        ("epsilon", "auto", "auto"),
        ("epsilon", "0.5", 0.5),
        ("epsilon", 0.25, 0.25),
        ("steps", "1,2", (1, 2)),
        ("steps", [3, 4], (3, 4)),
        ("steps", "none", ()),
        ("steps", "", ()),
        ("count", 4, 4),
        ("share", 2, 2.0),
    ],
)
def test_value_is_brought_to_the_type_of_its_field(field, text, value):
    result = getattr(configure(Settings, {field: text}, of="test"), field)

    assert (result, type(result)) == (value, type(value))


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [
        ("count", "1.5", "test.count must be a whole number, got '1.5'"),
        ("count", 1.5, "test.count must be a whole number, got 1.5"),
        ("count", True, "test.count must be a whole number, got True"),
        ("share", "much", "test.share must be a finite number, got 'much'"),
        ("share", "nan", "test.share must be a finite number, got 'nan'"),
        ("share", "inf", "test.share must be a finite number, got 'inf'"),
        ("squared", "maybe", "test.squared must be true or false, got 'maybe'"),
        ("pairs", "some", "test.pairs must be one of sampled, all, got 'some'"),
        ("epsilon", "x", "test.epsilon must be a finite number, got 'x', or auto"),
        ("limit", "x", "test.limit must be a whole number, got 'x'"),
        ("name", 3, "test.name must be str, got 3"),
        ("count", "-1", "test.count must not be negative"),
    ],
)
def test_value_that_does_not_fit_is_refused_in_one_sentence(field, text, message):
    with pytest.raises(ConfigError) as caught:
        configure(Settings, {field: text}, of="test")

    assert str(caught.value) == message


def test_unknown_setting_is_refused_with_its_neighbours():
    with pytest.raises(UnknownName, match="test has no setting 'shore'. Did you mean 'share'?"):
        configure(Settings, {"shore": "1"}, of="test")


def test_reconfigure_keeps_the_other_fields():
    assert reconfigure(Settings(name="b"), {"count": "2"}, of="test") == Settings(name="b", count=2)


@pytest.mark.parametrize("text", ["odm", "odm.margin", "margin=5", ".margin=5", "odm.=5", "=5"])
def test_set_option_of_another_form_is_refused(text):
    with pytest.raises(ConfigError, match=r"NAME\.SETTING=VALUE"):
        parse_settings([text])


def test_set_options_are_grouped_by_owner():
    assert parse_settings(["a.x=1", "b.y= 2 ", "a.z=p=q"]) == {"a": {"x": "1", "z": "p=q"}, "b": {"y": "2"}}
