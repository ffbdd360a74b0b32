"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from oodbench.options import Option, Places, options_of

F = TypeVar("F", bound=Callable[..., Any])

FILES = "oodbench.plugin_files"
"""Where click's context keeps the files of `--plugin`."""


def of(kind: type, *names: str) -> Callable[[F], F]:
    """Add options of a group as `oodbench.options` describes them.

    Args:
        kind: the group.
        names: of some of its options; none for all.
    """

    def add(command: F) -> F:
        for name, (value, option) in reversed(options_of(kind).items()):
            if not option.only_python and (not names or name in names):
                command = _added(name, value, option)(command)
        return command

    return add


def _added(name: str, value: Any, option: Option) -> Callable[[F], F]:
    kinds = {kind for kind in get_args(value) or (value,) if kind is not type(None)}
    settings: dict[str, Any] = {"help": option.about, "metavar": option.metavar}
    if option.without:
        settings["help"] += f"  [default: {option.without}]"
    if option.variable:
        settings |= {"envvar": option.variable, "show_envvar": True}
    if kinds == {bool}:
        settings["is_flag"] = True
        del settings["metavar"]
    elif Path in kinds:
        settings["type"] = click.Path(path_type=Path, file_okay=option.is_file or name == "results_dir")
    elif kinds == {int}:
        settings["type"] = int
    elif option.default == ():
        settings["multiple"] = True
    # 0 equals False, and is a default all the same.
    if option.default is not False and option.default not in (None, ()):
        settings |= {"default": option.default, "show_default": True}
    flag = option.flag or "--" + name.replace("_", "-")
    return click.option(flag, name, **settings)


results_dir = of(Places, "results_dir")
data_dir = of(Places, "data_dir")
cache_dir = of(Places, "cache_dir")
device = of(Places, "device")


def benchmarks(text: str) -> Callable[[F], F]:
    """Add `--in`, which can be repeated."""
    return click.option("--in", "benchmarks", multiple=True, metavar="NAME", help=text)


def plugin(command: F) -> F:
    """Add `--plugin`, which can be repeated; a file that cannot be used ends the command."""
    return _plugin(command, _add_and_load)


def plugin_to_list(command: F) -> F:
    """Add `--plugin`, which can be repeated; a file that cannot be used is listed among what cannot be used."""
    return _plugin(command, _add)


def _plugin(command: F, callback: Callable[..., None]) -> F:
    return click.option(
        "--plugin",
        multiple=True,
        metavar="FILE",
        type=click.Path(path_type=Path),
        callback=callback,
        expose_value=False,
        help="Take what this Python file brings as well, as OODBENCH_PLUGINS does; can be repeated.",
    )(command)


def _add(context: click.Context, _: click.Parameter, files: tuple[Path, ...]) -> None:
    from oodbench.plugins import registry

    context.meta[FILES] = files
    for file in files:
        registry.add_file(file)


def _add_and_load(context: click.Context, _: click.Parameter, files: tuple[Path, ...]) -> None:
    from oodbench.plugins import registry

    _add(context, _, files)
    for file in files:
        registry.in_file(file)


def methods(text: str) -> Callable[[F], F]:
    """Add `--method`, which can be repeated."""
    return click.option("--method", "methods", multiple=True, metavar="NAME", help=text)
