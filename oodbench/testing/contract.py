"""What a check is, how a list of them is run, and how pytest runs them one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from unittest import SkipTest

from oodbench.errors import OodbenchError, PluginError, described

Check = Callable[..., None]
"""A function of a plugin, named `check_…`, that raises a PluginError with what to change, or SkipTest with the reason
why it cannot tell."""

Status = Literal["passed", "failed", "skipped", "known exception"]

PREFIX = "check_"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a check said.

    Attributes:
        check: its name, without `check_`.
        status: a known exception is a failure that the plugin declares.
        reason: why it did not pass; "" where it did.
    """

    check: str
    status: Status
    reason: str = ""


def require(holds: object, message: str) -> None:
    """Refuse a plugin unless something holds.

    Args:
        holds: what the contract asks for.
        message: what to change.

    Raises:
        PluginError: it does not hold.
    """
    if not holds:
        raise PluginError(message)


def run_checks(plugin: object, checks: Iterable[Check], **given: Any) -> Iterator[Outcome]:
    """Run checks on a plugin, and yield what each of them says.

    Args:
        plugin: what they are about.
        checks: all those of its kind.
        given: further arguments of each check.
    """
    checks = list(checks)
    known = known_exceptions(plugin)
    if unknown := [name for name in known if name not in {_name(check) for check in checks}]:
        reason = f"there is no check {unknown[0]!r}; remove it from known_exceptions"
        yield Outcome(check="known_exceptions", status="failed", reason=reason)
    for check in checks:
        name, reason = _name(check), ""
        status: Status = "passed"
        try:
            check(plugin, **given)
        except SkipTest as skip:
            status, reason = "skipped", str(skip)
        # A plugin is foreign code: whatever goes wrong in it is what the check found.
        except Exception as error:  # noqa: BLE001
            status, reason = "failed", _reason(error)
        if name in known and status == "passed":
            status, reason = "failed", "it passes; remove it from known_exceptions"
        elif name in known and status == "failed":
            status, reason = "known exception", known[name]
        yield Outcome(check=name, status=status, reason=reason)


def _name(check: Check) -> str:
    return check.__name__.removeprefix(PREFIX)


def _reason(error: Exception) -> str:
    if isinstance(error, OodbenchError):
        return str(error)
    return described(error)


def known_exceptions(plugin: object) -> dict[str, str]:
    """Return the checks that a plugin says it cannot keep, without `check_`, and the reason for each."""
    declared: Mapping[str, str] = getattr(plugin, "known_exceptions", {})
    return {name.removeprefix(PREFIX): reason for name, reason in declared.items()}


def require_all(plugin: object, checks: Iterable[Check], **given: Any) -> tuple[Outcome, ...]:
    """Run checks on a plugin and return what they say.

    Raises:
        PluginError: some failed; the message has a line for each of them.
    """
    outcomes = tuple(run_checks(plugin, checks, **given))
    failed = [f"{outcome.check}: {outcome.reason}" for outcome in outcomes if outcome.status == "failed"]
    if failed:
        raise PluginError("\n".join((f"{title(plugin)} fails {len(failed)} of {len(outcomes)} checks", *failed)))
    return outcomes


def title(plugin: object) -> str:
    """Return what a plugin is called in messages: its class, or its own name."""
    named = plugin if isinstance(plugin, type) or hasattr(plugin, "__name__") else type(plugin)
    own = getattr(plugin, "name", None)
    return own if isinstance(own, str) and not isinstance(plugin, type) else str(getattr(named, "__name__", named))


def parametrize(plugins: Sequence[object], checks_of: Callable[[object], Iterable[Check]]) -> Any:
    """Return a pytest decorator that runs a test once for each plugin and check.

    Args:
        plugins: what to check.
        checks_of: gives the checks of a plugin's kind.
    """
    import pytest

    cases = []
    for plugin in plugins:
        known = known_exceptions(plugin)
        for check in checks_of(plugin):
            name = _name(check)
            marks = [pytest.mark.xfail(reason=known[name], strict=True)] if name in known else []
            cases.append(pytest.param(plugin, check, marks=marks, id=f"{title(plugin)}-{name}"))
    return pytest.mark.parametrize(("plugin", "check"), cases)
