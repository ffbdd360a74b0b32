"""`oodbench list`: what there is, where it comes from, and whether its images are there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options

if TYPE_CHECKING:
    from rich.table import Table

_KINDS = ("methods", "benchmarks", "datasets", "networks", "recipes", "settings")
_DEFAULT = _KINDS[:3]


@click.command("list")
@click.argument("kinds", nargs=-1, metavar="[KIND]...")
@options.data_dir
def command(kinds: tuple[str, ...], data_dir: Path | None) -> None:
    """List methods, benchmarks and data sets: what each needs, its source, and whether its images are there.

    KIND is methods, benchmarks, datasets, networks, recipes, or settings (the hyper-parameters of each method).
    """
    from oodbench.data import default_data_dir
    from oodbench.errors import UnknownName
    from oodbench.registry import did_you_mean

    from .terminal import show, stderr

    if unknown := [kind for kind in kinds if kind not in _KINDS]:
        raise UnknownName(f"nothing of the kind {unknown[0]!r} can be listed{did_you_mean(unknown[0], _KINDS)}")
    chosen = data_dir or default_data_dir()
    tables = {
        "methods": _methods,
        "benchmarks": _benchmarks,
        "datasets": _datasets,
        "networks": _networks,
        "recipes": _recipes,
        "settings": _settings,
    }
    for kind in kinds or _DEFAULT:
        show(tables[kind](chosen))
        show("")
    stderr().print(f"Images are looked for in {chosen.absolute()} (--data-dir or OODBENCH_DATA).")


def _methods(_: Path) -> Table:
    from oodbench import registry
    from oodbench.errors import PluginError

    from .terminal import listing

    words = {
        "id_validation": "held-out ID images",
        "seen_ood": "seen OOD images",
        "ood_test": "the OOD test sets",
    }
    table = listing("Method", "What it is", "Network", "May see besides ID training images", "Source", "From")
    for name in registry.names("methods"):
        try:
            method = registry.method(name)()
        except PluginError as error:
            table.add_row(name, f"BROKEN: {error}", "", "", "", registry.origin("methods", name))
            continue
        sees = ", ".join(words[word] for word in sorted(method.sees)) or "nothing"
        table.add_row(name, method.title, method.objective.name, sees, method.source, registry.origin("methods", name))
    return table


def _benchmarks(data_dir: Path) -> Table:
    from oodbench import registry

    from .terminal import listing

    table = listing("Benchmark", "What it is", "Source", "Network", "Recipes", "Images")
    for name in registry.names("benchmarks"):
        benchmark = registry.benchmark(name)
        missing = dict.fromkeys(
            part.dataset
            for part in benchmark.parts
            if not registry.dataset(part.dataset, dict(part.settings)).locate(part.split, data_dir).present
        )
        images = f"missing: {', '.join(missing)}" if missing else "embedded" if benchmark.embedded else "all there"
        table.add_row(name, benchmark.title, benchmark.source, benchmark.network, ", ".join(benchmark.recipes), images)
    return table


def _datasets(data_dir: Path) -> Table:
    from oodbench import registry

    from .terminal import listing

    table = listing("Data set", "What it is", "Source", "Train", "Test", "From")
    for name in registry.names("datasets"):
        if name == registry.FOLDER:
            continue
        dataset = registry.dataset(name)
        there = ("there" if dataset.locate(split, data_dir).present else "missing" for split in ("train", "test"))
        table.add_row(name, dataset.title, dataset.source, *there, registry.origin("datasets", name))
    own = registry.load("datasets", registry.FOLDER)
    table.add_row("any other name", own.title, own.source, "", "", registry.origin("datasets", registry.FOLDER))
    return table


def _networks(_: Path) -> Table:
    from oodbench import registry

    from .terminal import listing

    table = listing("Network", "From")
    for name in registry.names("networks"):
        table.add_row(name, registry.origin("networks", name))
    return table


def _recipes(_: Path) -> Table:
    from oodbench import registry

    from .terminal import listing

    table = listing("Benchmark", "Recipe", "What it is")
    for name in registry.names("benchmarks"):
        benchmark = registry.benchmark(name)
        for recipe, entry in benchmark.recipes.items():
            table.add_row(name, recipe, entry.about + (" (default)" if recipe == benchmark.recipe else ""))
    return table


def _settings(_: Path) -> Table:
    import dataclasses

    from oodbench import registry

    from .terminal import listing

    table = listing("Method", "Setting", "Default")
    for name in registry.names("methods"):
        for field in dataclasses.fields(registry.method(name)):  # type: ignore[arg-type]  # methods are dataclasses
            table.add_row(name, field.name, str(field.default))
    return table
