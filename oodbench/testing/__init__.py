"""The contract of plugins, for their authors: small named checks, each with a message that says what to change.

In a plugin's own tests:

    from oodbench.testing import parametrize_with_checks

    @parametrize_with_checks([MyScore])
    def test_contract(plugin, check):
        check(plugin)

`oodbench check NAME` runs the same checks. A check that a plugin cannot keep is declared beside it, with the reason:
`known_exceptions: ClassVar = {"same_seed_same_scores": "it samples"}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from oodbench.api import Dataset, Method
from oodbench.benchmark import Benchmark
from oodbench.errors import PluginError
from oodbench.plugins.shapes import Kind, kind_of

from .benchmarks import BENCHMARK_CHECKS
from .contract import Check, Outcome, parametrize, require_all, run_checks
from .datasets import DATASET_CHECKS
from .layouts import LAYOUT_CHECKS
from .methods import METHOD_CHECKS
from .metrics import METRIC_CHECKS
from .networks import NETWORK_CHECKS
from .suites import SUITE_CHECKS

__all__ = [
    "BENCHMARK_CHECKS",
    "CHECKS",
    "DATASET_CHECKS",
    "LAYOUT_CHECKS",
    "METHOD_CHECKS",
    "METRIC_CHECKS",
    "NETWORK_CHECKS",
    "SUITE_CHECKS",
    "Check",
    "Outcome",
    "check_benchmark",
    "check_dataset",
    "check_method",
    "parametrize_with_checks",
    "run_checks",
]

CHECKS: Mapping[Kind, Sequence[Check]] = {
    "methods": METHOD_CHECKS,
    "datasets": DATASET_CHECKS,
    "benchmarks": BENCHMARK_CHECKS,
    "suites": SUITE_CHECKS,
    "networks": NETWORK_CHECKS,
    "metrics": METRIC_CHECKS,
    "layouts": LAYOUT_CHECKS,
}


def check_method(method: type[Method] | Method) -> tuple[Outcome, ...]:
    """Run all checks on a method: a class with its defaults, or an instance.

    Raises:
        PluginError: some fail; the message has a line for each of them.
    """
    return require_all(method, METHOD_CHECKS)


def check_dataset(dataset: type[Dataset] | Dataset, data_dir: Path | None = None) -> tuple[Outcome, ...]:
    """Run all checks on a data set; those that need missing files are skipped.

    Args:
        dataset: a class with its defaults, or an instance.
        data_dir: where files are looked for; default `OODBENCH_DATA`, or `data` in the working folder.

    Raises:
        PluginError: some fail; the message has a line for each of them.
    """
    return require_all(dataset, DATASET_CHECKS, data_dir=data_dir)


def check_benchmark(benchmark: Benchmark, data_dir: Path | None = None) -> tuple[Outcome, ...]:
    """Run all checks on a benchmark; those that need missing files are skipped.

    Args:
        benchmark: what to check.
        data_dir: where files are looked for; default `OODBENCH_DATA`, or `data` in the working folder.

    Raises:
        PluginError: some fail; the message has a line for each of them.
    """
    return require_all(benchmark, BENCHMARK_CHECKS, data_dir=data_dir)


def parametrize_with_checks(plugins: Sequence[object]) -> Any:
    """Return a pytest decorator that runs a test `(plugin, check)` once for each plugin and check of its kind.

    Known exceptions are strict xfails: once the check passes, the test fails until the exception is removed.

    Args:
        plugins: methods and data sets (classes or instances), benchmarks, networks, metrics, layouts.

    Raises:
        PluginError: something is none of these.
    """
    return parametrize(plugins, lambda plugin: CHECKS[_kind(plugin)])


def _kind(plugin: object) -> Kind:
    kind = kind_of(plugin) or kind_of(type(plugin))
    if kind is None:
        raise PluginError(f"{plugin!r} is no plugin: it is neither a method nor a data set, benchmark, network, metric")
    return kind
