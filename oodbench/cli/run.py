"""`oodbench run`: from names to a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oodbench.errors import ConfigError
from oodbench.options import ModelOptions, RunOptions, options_of
from oodbench.spelling import for_shell

from . import options

if TYPE_CHECKING:
    from oodbench.benchmark import Benchmark
    from oodbench.engine.runner import Prepared
    from oodbench.given.model import GivenModel
    from oodbench.progress import Reporter
    from oodbench.store.records import Record, Scores

MANY = 6
"""From so many methods on, a line each must do."""


@click.command("run")
@options.benchmarks("Benchmark to run, or folder or ZIP of images; can be repeated.  [default: the embedded one]")
@options.methods(
    "Method to score, such as odm or 'odm(margin=5)'; all, or posthoc for all that train nothing but the plain "
    "classifier; can be repeated.  [default: all]"
)
@options.of(ModelOptions)
@options.of(RunOptions)
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@options.plugin
def command(
    benchmarks: tuple[str, ...],
    methods: tuple[str, ...],
    *,
    dry_run: bool,
    **chosen: Any,
) -> None:
    """Train each network once, score every OOD set with every method, and print the table.

    Whatever is stored already is not run again; a run that was stopped goes on where it was.

    \b
    oodbench run
    oodbench run --in mnist-267 --method odm --method msp --seeds 3
    oodbench run --in mnist-267 --set odm.margin=5 --set recipe.epochs=2
    oodbench run --in ./photos --split 50/20/30 --split-seed 1 --image-size 64
    oodbench run --model my_module:build --weights w.pt --normalise imagenet --image-size 224 --in ./photos
    oodbench run --plugin my_score.py --method my_score
    """
    from oodbench.engine.python import asked_for, surroundings
    from oodbench.engine.request import request
    from oodbench.engine.runner import execute, prepare

    from .terminal import TerminalReporter

    given = _given_model(chosen)
    wanted = request(benchmarks or _embedded(), methods or ("all",), **asked_for(chosen, model=given))
    with TerminalReporter() as report:
        if given is not None:
            report.message(given.in_words)
        if dry_run and chosen["download"]:
            report.message("nothing is downloaded in a dry run: what is not there counts as missing")
            chosen["download"] = False
        prepared = prepare(wanted, **surroundings({**chosen, "report": report}), dry_run=dry_run)
        _tell(prepared, report)
        if not dry_run:
            report.message(_done_and_to_do(prepared))
            records = execute(prepared)
    if dry_run:
        _show_plan(prepared)
    else:
        _show_all(records, prepared, wanted.benchmarks, Path(chosen["results_dir"]))


def _tell(prepared: Prepared, report: Reporter) -> None:
    """Say how classes were divided, and which methods fit no benchmark or model."""
    for data in prepared.data.values():
        for line in data.split.lines() if data.split else ():
            report.message(line)
    for reason in prepared.plan.left_out:
        report.warning(f"left out: {reason}")


@dataclass(frozen=True)
class _ScoresOfRun:
    """The stored scores of a run, whose records may have fewer OOD sets than what is stored."""

    prepared: Prepared

    def scores(self, record: Record) -> Scores:
        """Return the raw scores of a record, see `ResultStore.scores`."""
        return self.prepared.results.scores(self._whole.get((record.benchmark["name"], record.key), record))

    @cached_property
    def _whole(self) -> dict[tuple[str, str], Record]:
        stored = (self.prepared.results.load(cell.file) for cell in self.prepared.plan.cells)
        return {(record.benchmark["name"], record.key): record for record in stored if record is not None}


def _show_all(
    records: Sequence[Record], prepared: Prepared, benchmarks: Sequence[Benchmark], results_dir: Path
) -> None:
    """Print a table for each benchmark, and what may come next.

    Raises:
        ConfigError: a benchmark has no result.
    """
    from .terminal import stderr

    asked = dict.fromkeys(benchmark.suite or benchmark.name for benchmark in benchmarks)
    for name in asked:
        if own := [record for record in records if name == (record.suite or record.benchmark["name"])]:
            _show_results(own, _ScoresOfRun(prepared))
    scored = {record.benchmark["name"] for record in records}
    if lost := [benchmark.name for benchmark in benchmarks if benchmark.name not in scored]:
        raise ConfigError(f"no method could be scored on {' and '.join(lost)}; see above why each was left out")
    again = [word for name in asked for word in ("--in", name)]
    again += [] if results_dir == Path("results") else ["--results-dir", str(results_dir)]
    plot, table = for_shell("oodbench", "plot", *again), for_shell("oodbench", "table", *again, "--format", "latex")
    stderr().print(f"\nNext: {plot}   or: {table}")


def _show_results(records: Sequence[Record], scores: _ScoresOfRun) -> None:
    from oodbench.store.rows import to_frame
    from oodbench.tables import layout_table

    from .noise import with_as_good
    from .terminal import show_table

    frame = to_frame(records)
    # A benchmark's own layout has several lines a method: too long where there are many.
    several = frame["variant"].nunique() >= MANY
    own = records[0].benchmark["layout"]
    layout = ("suite" if records[0].suite else "matrix") if several else own
    # What a suite is judged by, the values of its members, is in the rows.
    show_table(layout_table(frame if layout == "suite" else with_as_good(frame, scores, records), layout))


def _given_model(options: Mapping[str, Any]) -> GivenModel | None:
    """Return the trained classifier that is to be scored, or None where none is given.

    Raises:
        ConfigError: it cannot be built, or something is said of it where none is given.
    """
    said = {name: options[name] for name in options_of(ModelOptions)}
    model, weights = said.pop("model"), said.pop("weights")
    if model is None:
        given = {"weights": weights, **said}
        if unused := [name for name, value in given.items() if value is not None]:
            flag = unused[0].replace("_", "-")
            raise ConfigError(f"--{flag} is for a model of your own; give it too: --model MODULE:FUNCTION")
        return None
    from oodbench.given.building import build_model
    from oodbench.given.model import prepared
    from oodbench.given.weights import load_weights

    built = build_model(model, pretrained=weights is None)
    taken = "" if weights is None else load_weights(built.model, weights)
    place = "" if weights is None else f"{weights}{f' ({taken})' if taken else ''}"
    return prepared(built.model, said, comes_with=built.preprocessing, name=model, weights=place)


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, such as "1 cell" or "2 cells"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _embedded() -> list[str]:
    from oodbench.plugins import registry

    known = registry.usable("benchmarks").items()
    return [name for name, found in known if found.embedded and registry.find("benchmarks", name).built_in][:1]


def _done_and_to_do(prepared: Prepared) -> str:
    to_do = prepared.to_do()
    from oodbench.jobs import Plan

    networks = Plan(cells=tuple(to_do)).trainings()
    trained = sum(job.is_there(prepared.data, prepared.workspace) for job in networks)
    where = " and ".join(str(device) for device in prepared.devices)
    text = f"{counted(len(prepared.stored), 'cell')} stored, {len(to_do)} to do on {where}"
    if not networks:
        return text
    return f"{text}; {counted(len(networks) - trained, 'network')} to train, {trained} trained before"


def _show_plan(prepared: Prepared) -> None:
    from oodbench.jobs import Plan

    from .terminal import listing, show

    trainings = listing("network", "training", "training images", "state")
    needed = {job.key for job in Plan(cells=tuple(prepared.to_do())).trainings()}
    for job in prepared.plan.trainings():
        trained = job.is_there(prepared.data, prepared.workspace)
        state = "trained" if trained else "to train" if job.key in needed else "not needed"
        images = len(job.hold_out(prepared.data[job.benchmark.name]).fit)
        trainings.add_row(job.label, job.length, f"{images:,}", state)
    cells = listing("cell", "recipe", "OOD sets", "images to score", "state")
    for cell in prepared.plan.cells:
        data = prepared.data[cell.benchmark.name]
        images = len(data.id_test) + sum(map(len, data.ood.values()))
        state = "stored" if cell.file in prepared.stored else "to do"
        sets = f"{len(data.ood)} of {len(data.ood) + len(data.missing)}"
        cells.add_row(cell.label, cell.recipe, sets, f"{images:,}", state)
    if trainings.row_count:
        show(trainings)
        show("")
    show(cells)
    show("")
    show(_done_and_to_do(prepared))
    if prepared.to_do():
        show(_cost(prepared))
        _show_forecast(prepared)


def _show_forecast(prepared: Prepared) -> None:
    """Say which pixels and outputs the run will keep, and how often it will decode what."""
    from oodbench.engine.forecast import forecast
    from oodbench.store.usage import in_words

    from .terminal import listing, show

    foreseen = forecast(prepared)
    if foreseen.sets:
        sets = listing("images", "number", "pixels", "kept", "decoded")
        for one in foreseen.sets:
            sets.add_row(one.name, f"{one.images:,}", in_words(one.pixel_bytes), one.kept, one.decoded)
        show("")
        show(sets)
        show("")
    limit = in_words(prepared.workspace.pixels.size)
    show(
        f"kept in the end: {in_words(foreseen.pixel_bytes)} of pixels (--pixel-cache {limit}), "
        f"{in_words(foreseen.output_bytes)} of outputs"
    )


def _cost(prepared: Prepared) -> str:
    """Say how many images go through networks; methods that need gradients add passes of their own."""
    from oodbench.jobs import Plan

    jobs = {network.key: network for cell in prepared.to_do() for network in cell.networks}.values()
    trainings = Plan(cells=tuple(prepared.to_do())).trainings()
    scored = trained = 0
    for job in jobs:
        data = prepared.data[job.benchmark.name]
        scored += len(data.id_test) + sum(map(len, data.ood.values()))
    for job in trainings:
        if not job.is_there(prepared.data, prepared.workspace):
            trained += job.images_in_training(len(job.hold_out(prepared.data[job.benchmark.name]).fit))
    training = f"{trained:,} in training, " if trained else ""
    return f"images through networks: {training}{scored:,} test images once for all methods"
