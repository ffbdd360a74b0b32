"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def results_dir(command: F) -> F:
    """Add `--results-dir`."""
    return click.option(
        "--results-dir",
        type=click.Path(path_type=Path),
        default=Path("results"),
        show_default=True,
        help="Folder of the result records.",
    )(command)


def data_dir(command: F) -> F:
    """Add `--data-dir`."""
    return click.option(
        "--data-dir",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="OODBENCH_DATA",
        show_envvar=True,
        help="Folder where images are looked for.  [default: data]",
    )(command)


def benchmarks(text: str) -> Callable[[F], F]:
    """Add `--in`, which can be repeated."""
    return click.option("--in", "benchmarks", multiple=True, metavar="NAME", help=text)


def methods(text: str) -> Callable[[F], F]:
    """Add `--method`, which can be repeated."""
    return click.option("--method", "methods", multiple=True, metavar="NAME", help=text)
