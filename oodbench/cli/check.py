"""`oodbench check`: the contract of plugins, a line for each check."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options

if TYPE_CHECKING:
    from oodbench.plugins.plugin import Plugin
    from oodbench.testing import Outcome


@click.command("check")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@options.plugin
@options.data_dir
@click.pass_context
def command(context: click.Context, names: tuple[str, ...], data_dir: Path | None) -> None:
    """Check that methods, data sets, benchmarks and other plugins do what they must; exit with 1 where one does not.

    NAME is anything that oodbench list names, or a folder of your own images; without it, all that the files of
    --plugin bring is checked. What needs images is skipped where they are missing.

    \b
    oodbench check my-score
    oodbench check --plugin my_score.py
    """
    from oodbench.errors import ConfigError

    files: tuple[Path, ...] = context.meta.get(options.FILES, ())
    if not names and not files:
        raise ConfigError("name what to check, such as: oodbench check my-score, or a file: --plugin my_score.py")
    chosen = data_dir or _default_data_dir()
    failed = sum(_check(plugin, chosen) for plugin in _wanted(names, files, chosen))
    if failed:
        sys.exit(1)


def _default_data_dir() -> Path:
    from oodbench.folders import default_data_dir

    return default_data_dir()


def _wanted(names: tuple[str, ...], files: tuple[Path, ...], data_dir: Path) -> list[Plugin]:
    """Return what is to be checked.

    Raises:
        UnknownName: nothing of any kind has this name.
        PluginError: what has this name cannot be used.
    """
    from oodbench.plugins import registry

    if not names:
        return [plugin for file in files for plugin in registry.in_file(file)]
    return [plugin for name in names for plugin in _named(name, data_dir)]


def _named(name: str, data_dir: Path) -> list[Plugin]:
    from oodbench.errors import MissingData, UnknownName, did_you_mean
    from oodbench.folders import is_path, place
    from oodbench.plugins import registry

    found = []
    for kind in registry.KINDS:
        try:
            plugin = registry.find(kind, name)
        except UnknownName:
            continue
        plugin.load()
        found.append(plugin)
    if found:
        return found
    # By the rule of `oodbench run`: what looks like a path is one.
    own = registry.dataset(place(name)[1])
    if any(own.locate(split, data_dir).present for split in ("train", "test")):
        folder = registry.find("datasets", registry.FOLDER)
        return [dataclasses.replace(folder, name=name, fetch=lambda: own)]
    if is_path(name):
        raise MissingData(f"there are no images in {place(name)[1]}: no such folder, and no such ZIP; check the path")
    known = {known for kind in registry.KINDS for known in registry.names(kind)}
    raise UnknownName(f"nothing has the name {name!r}{did_you_mean(name, sorted(known))} See: oodbench list")


def _check(plugin: Plugin, data_dir: Path) -> bool:
    """Run the checks of a plugin, print what they say, and return whether one failed."""
    from oodbench.testing import CHECKS, run_checks

    from .terminal import show, status_line

    show(str(plugin))
    given = {"data_dir": data_dir} if plugin.kind in ("datasets", "benchmarks", "suites") else {}
    counts = dict.fromkeys(("passed", "failed", "skipped", "known exception"), 0)
    for outcome in run_checks(plugin.fetch(), CHECKS[plugin.kind], **given):
        show(status_line(outcome.status, _sentence(outcome)))
        counts[outcome.status] += 1
    show(", ".join(f"{count} {status}" for status, count in counts.items() if count))
    show("")
    return counts["failed"] > 0


def _sentence(outcome: Outcome) -> str:
    what = outcome.check.replace("_", " ")
    if outcome.status == "passed":
        return what
    return f"{what}: {'' if outcome.status == 'failed' else outcome.status + ': '}{outcome.reason}"
