"""`oodbench list`: what there is, where it comes from, and whether its images are there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import options

if TYPE_CHECKING:
    from rich.table import Table


_KINDS = ("methods", "benchmarks", "suites", "datasets", "networks", "metrics", "layouts", "recipes", "settings")
_DEFAULT = ("methods", "benchmarks", "suites", "datasets")


@click.command("list")
@click.argument("kinds", nargs=-1, metavar="[KIND]...")
@options.data_dir
@options.plugin_to_list
def command(kinds: tuple[str, ...], data_dir: Path | None) -> None:
    """List methods, benchmarks, suites and data sets: what each needs, its source, and whether its images are there.

    KIND is methods, benchmarks, suites, datasets, networks, metrics, layouts, recipes, or settings (the
    hyper-parameters of each method). Plugins that cannot be used come last, with the reason.
    """
    from oodbench.errors import UnknownName, did_you_mean
    from oodbench.folders import default_data_dir
    from oodbench.plugins import registry

    from .terminal import show, stderr

    if unknown := [kind for kind in kinds if kind not in _KINDS]:
        raise UnknownName(f"nothing of the kind {unknown[0]!r} can be listed{did_you_mean(unknown[0], _KINDS)}")
    chosen = data_dir or default_data_dir()
    tables = {
        "methods": _methods,
        "benchmarks": _benchmarks,
        "suites": _suites,
        "datasets": _datasets,
        "networks": _networks,
        "metrics": _metrics,
        "layouts": _layouts,
        "recipes": _recipes,
        "settings": _settings,
    }
    for kind in kinds or _DEFAULT:
        show(tables[kind](chosen))
        show("")
    if broken := registry.faults():
        show("Not usable:")
        for reason in broken:
            show(f"  {reason}")
        show("")
    stderr().print(f"Images are looked for in {chosen.absolute()} (--data-dir or OODBENCH_DATA).")


def _methods(_: Path) -> Table:
    from oodbench.plugins import registry

    from .terminal import listing

    words = {
        "id_validation": "held-out ID images",
        "ood_validation": "validation OOD images",
        "seen_ood": "seen OOD images",
        "ood_test": "the OOD test sets",
    }
    table = listing("Method", "What it is", "Network", "May see besides ID training images", "Source", "From")
    for name, kind in registry.usable("methods").items():
        method = kind()
        sees = ", ".join(words[word] for word in sorted(method.sees)) or "nothing"
        trained = " + ".join(dict.fromkeys(objective.name for objective in method.networks))
        table.add_row(
            name,
            method.title,
            trained,
            sees,
            method.source,
            registry.origin("methods", name),
        )
    return table


def _benchmarks(data_dir: Path) -> Table:
    from oodbench.plugins import registry

    from .terminal import listing

    table = listing("Benchmark", "What it is", "Source", "Network", "Recipes", "Images", "From")
    for name, benchmark in registry.usable("benchmarks").items():
        missing = dict.fromkeys(
            part.dataset
            for part in benchmark.parts
            if not registry.dataset(part.dataset, dict(part.settings)).locate(part.split, data_dir).present
        )
        images = f"missing: {', '.join(missing)}" if missing else "embedded" if benchmark.embedded else "all there"
        about = benchmark.title, benchmark.source, benchmark.network, ", ".join(benchmark.recipes)
        table.add_row(name, *about, images, registry.origin("benchmarks", name))
    return table


def _suites(_: Path) -> Table:
    from oodbench.plugins import registry

    from .terminal import listing

    table = listing("suite", "title", "members", "source", "from")
    for name, suite in registry.usable("suites").items():
        table.add_row(name, suite.title, str(len(suite.members)), suite.source, registry.origin("suites", name))
    return table


def _datasets(data_dir: Path) -> Table:
    from oodbench.plugins import registry

    from .terminal import listing

    table = listing("Data set", "What it is", "Source", "Train", "Test", "From")
    for name, kind in registry.usable("datasets").items():
        if name == registry.FOLDER:
            continue
        there = ("there" if kind().locate(split, data_dir).present else "missing" for split in ("train", "test"))
        table.add_row(name, kind.title, kind.source, *there, registry.origin("datasets", name))
    own = registry.load("datasets", registry.FOLDER)
    table.add_row("any other name", own.title, own.source, "", "", registry.origin("datasets", registry.FOLDER))
    return table


def _networks(_: Path) -> Table:
    from oodbench.plugins import registry

    from .terminal import listing

    table = listing("Network", "From")
    for name in registry.names("networks"):
        table.add_row(name, registry.origin("networks", name))
    return table


def _metrics(_: Path) -> Table:
    from oodbench import __version__, metrics
    from oodbench.engine import measures
    from oodbench.plugins import registry

    from .terminal import listing

    table = listing("Metric", "What it is", "Better", "From")
    own: list[tuple[str, Any, str]] = [
        (name, metric, f"oodbench {__version__}")
        for name, metric in (*metrics.METRICS.items(), *metrics.SAMPLE_METRICS.items())
    ]
    others = [(name, metric, registry.origin("metrics", name)) for name, metric in measures.of_plugins().items()]
    for name, metric, origin in (*own, *others):
        table.add_row(name, metric.label, "higher" if metric.higher_is_better else "lower", origin)
    return table


def _layouts(_: Path) -> Table:
    import inspect

    from oodbench.plugins import registry

    from .terminal import listing

    table = listing("Layout", "What it is", "From")
    for name, layout in registry.usable("layouts").items():
        about = (inspect.getdoc(layout) or "").partition("\n")[0]
        table.add_row(name, about, registry.origin("layouts", name))
    return table


def _recipes(_: Path) -> Table:
    from oodbench.plugins import registry

    from .terminal import listing

    table = listing("Benchmark", "Recipe", "What it is")
    for name, benchmark in registry.usable("benchmarks").items():
        for recipe, entry in benchmark.recipes.items():
            table.add_row(name, recipe, entry.about + (" (default)" if recipe == benchmark.recipe else ""))
    return table


def _settings(_: Path) -> Table:
    import dataclasses

    from oodbench.plugins import registry

    from .terminal import listing

    table = listing("Method", "Setting", "Default")
    for name, kind in registry.usable("methods").items():
        for field in dataclasses.fields(kind):
            table.add_row(name, field.name, str(field.default))
    return table
