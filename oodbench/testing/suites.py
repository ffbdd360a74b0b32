"""The contract of a suite: each of its members keeps that of a benchmark."""

from __future__ import annotations

from functools import partial, wraps
from pathlib import Path

from oodbench.errors import PluginError
from oodbench.suite import Suite

from .benchmarks import BENCHMARK_CHECKS
from .contract import Check, require


def check_is_described_as_a_suite(suite: Suite, data_dir: Path | None = None) -> None:
    """It has a title and a source, and members with names of their own."""
    require(bool(suite.title) and bool(suite.source), "set 'title' and 'source' to one line each")
    require(len(suite.members) > 1, "a suite averages several benchmarks; register a single one as a benchmark")


def _of_members(check: Check) -> Check:
    """Return a check of benchmarks as one of all members of a suite."""

    @wraps(check)
    def of_members(suite: Suite, data_dir: Path | None = None) -> None:
        for member in suite.members:
            try:
                partial(check, data_dir=data_dir)(member)
            except PluginError as error:
                raise PluginError(f"{member.name}: {error}") from error

    return of_members


SUITE_CHECKS: tuple[Check, ...] = (check_is_described_as_a_suite, *map(_of_members, BENCHMARK_CHECKS))
