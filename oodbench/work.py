"""What remains to be done of a run: groups of cells that share networks, on one device or on several."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from . import registry
from .errors import (
    ConfigError,
    DeviceError,
    OodbenchError,
    PluginError,
    ScoreError,
    TrainingError,
    described,
    reported_as,
)
from .plan import Cell, TrainingJob

if TYPE_CHECKING:
    import torch

    from .artifacts import ArtifactStore
    from .data import BenchmarkData
    from .detector import Detector
    from .records import Record, ResultStore
    from .report import Reporter

Outcome = tuple[Cell, "Record | OodbenchError"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Place:
    """Where work finds what it needs, and puts what it makes.

    Attributes:
        data: the images of each benchmark, by its name.
        artifacts: where networks and outputs are kept.
        results: where records go.
        save_detectors: whether each fitted detector is stored beside its record.
    """

    data: Mapping[str, BenchmarkData]
    artifacts: ArtifactStore
    results: ResultStore
    save_detectors: bool = False


def groups(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Return cells by the networks that they need, so that each network is trained and loaded once for all its cells.

    Groups with several networks come last: then most of these are trained already.
    """
    by_networks: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        by_networks.setdefault(cell.network_keys, []).append(cell)
    return sorted(by_networks.values(), key=lambda group: len(group[0].networks))


def do(group: Sequence[Cell], place: Place, device: torch.device, report: Reporter) -> Iterator[Outcome]:
    """Train or load the networks of a group, score its cells, and store the records, one after another.

    A method that cannot be scored gives an error in the place of its record, and the others go on; so do all methods of
    a network whose training fails.

    Args:
        group: cells with the same networks.
        place: with the images.
        device: to compute on.
        report: told what is going on.

    Raises:
        OodbenchError: a record cannot be stored.
    """
    from .detector import Detector
    from .evaluation import Bench, evaluate
    from .training.trained import network_of

    jobs = group[0].networks
    data = place.data[jobs[0].benchmark.name]
    pictures = place.results.root / data.benchmark.name / "generated"
    try:
        with reported_as(TrainingError, f"training {jobs[0].label}"):
            networks = [
                network_of(job, data, place.artifacts, device, report, pictures=pictures)
                if isinstance(job, TrainingJob)
                else job.model.on(device)
                for job in jobs
            ]
    except TrainingError as error:
        report.message(f"left out: {', '.join(cell.label for cell in group)}: {error}")
        yield from ((cell, error) for cell in group)
        return
    # Benchmarks with the same training images share networks, and have test images of their own.
    benches = {
        cell.benchmark.name: Bench.of(
            cell.networks, networks, place.data[cell.benchmark.name], place.artifacts, device, report
        )
        for cell in {cell.benchmark.name: cell for cell in group}.values()
    }
    for cell in group:
        bench = benches[cell.benchmark.name]
        report.progress(f"scoring {cell.label}", 0, 1)
        try:
            with reported_as(ScoreError, cell.method_name):
                record, scores, fitted = evaluate(cell, bench)
        except (ConfigError, ScoreError) as error:
            report.message(f"left out: {cell.label}: {error}")
            yield cell, error
            continue
        record, scores = place.results.with_other_sets(cell.file, record, scores)
        record = place.results.save(cell.file, record, scores)
        report.progress(f"scoring {cell.label}", 1, 1)
        report.message(_summary(cell, record))
        yield cell, record
        if place.save_detectors:
            try:
                report.message(_save(Detector.of(record, scores, fitted, bench), place.results.detector_of(cell.file)))
            except PluginError as error:
                report.message(str(error))
                yield cell, error


def _save(detector: Detector, file: Path) -> str:
    """Store a detector, and say where it is and how large."""
    detector.save(file)
    return f"stored the detector {file} ({file.stat().st_size / 1e6:,.1f} MB)"


def _summary(cell: Cell, record: Record) -> str:
    # The record may have sets of earlier runs as well.
    rows = [row for row in record.rows if row.out_dist in cell.tests]
    mean = sum(row.metrics["auroc"] for row in rows) / len(rows)
    accuracy = "" if record.accuracy is None else f"ID accuracy {100 * record.accuracy:.2f}%, "
    return f"scored {cell.label}: {accuracy}mean AUROC {100 * mean:.2f} over {len(rows)} OOD sets"


def do_all(cells: Sequence[Cell], place: Place, devices: Sequence[torch.device], report: Reporter) -> Iterator[Outcome]:
    """Do the work of all cells, one group after another, or one on each of several devices at a time.

    Args:
        cells: to compute.
        place: with the images.
        devices: one process works on each, where there are several.
        report: told what is going on.

    Raises:
        OodbenchError: as `do`; or a process was killed.
    """
    if len(devices) == 1:
        for group in groups(cells):
            yield from do(group, place, devices[0], report)
        return
    from .own_model import files_run

    context = multiprocessing.get_context("spawn")
    messages, free = context.Queue(), context.Queue()
    for device in devices:
        free.put(str(device))
    listener = Thread(target=_pass_on, args=(messages, report), daemon=True)
    listener.start()
    pool = ProcessPoolExecutor(
        len(devices),
        context,
        initializer=_start,
        initargs=(place, registry.added_files(), files_run(), len(devices), free, messages),
    )
    try:
        work = groups(cells)
        # A network that several groups need must not be trained by two workers at once.
        for several in (False, True):
            tasks = [pool.submit(_work, _pickled(group)) for group in work if (len(group[0].networks) > 1) == several]
            yield from _outcomes(tasks)
    finally:
        pool.shutdown(cancel_futures=True)
        messages.put(None)
        listener.join()


def _outcomes(tasks: Sequence[Future[list[Outcome]]]) -> Iterator[Outcome]:
    for task in as_completed(tasks):
        try:
            yield from task.result()
        except BrokenProcessPool as error:
            raise DeviceError(
                "a worker ended before its work was done: the reason stands above, or it was killed, perhaps for want "
                "of memory; the same command goes on from what is stored, with --device naming fewer devices"
            ) from error


def _pass_on(messages: Any, report: Reporter) -> None:
    """Hand what workers tell to the reporter, until there are none."""
    while (text := messages.get()) is not None:
        report.message(text)


class _Teller:
    """The reporter of a worker: lines go to the parent, and nobody watches its bars.

    Args:
        messages: a queue.
        device: named before each line.
    """

    def __init__(self, messages: Any, device: str) -> None:
        self._messages, self._device = messages, device

    def message(self, text: str) -> None:
        self._messages.put(f"[{self._device}] {text}")

    def progress(self, task: str, done: int, total: int) -> None:
        pass

    def cells(self, done: int, total: int) -> None:
        pass


_worker: dict[str, Any] = {}
"""What a worker process was started with."""


def _start(
    place: Place, plugins: Sequence[Path], models: Sequence[Path], n_workers: int, free: Any, messages: Any
) -> None:
    import torch

    for file in plugins:
        registry.add_file(file)
    device = free.get()
    if device == "cpu":
        # Workers share the cores.
        torch.set_num_threads(max(1, torch.get_num_threads() // n_workers))
    _worker.update(place=place, models=models, device=torch.device(device), report=_Teller(messages, device))


def _pickled(group: Sequence[Cell]) -> bytes:
    try:
        return pickle.dumps(group)
    # Methods and models are anybody's, and what cannot be pickled says so in many ways.
    except Exception as error:
        raise PluginError(f"{group[0].label} cannot be handed to another process ({error}); {_REMEDY}") from error


def _unpickled(group: bytes) -> Sequence[Cell]:
    from .own_model import files_run, run_file

    try:
        # Plugin files and those of models are run: pickled things name their modules, which no import finds.
        registry.names("methods")
        for file in _worker["models"]:
            if file.is_file() and file not in files_run():
                run_file(file)
        cells: Sequence[Cell] = pickle.loads(group)  # noqa: S301  # of the parent process
    except Exception as error:
        raise PluginError(f"a worker cannot take up its work ({described(error)}); {_REMEDY}") from error
    return cells


_REMEDY = "define methods and models at the top of a file or module that can be imported, or name one device: --device"


def _work(group: bytes) -> list[Outcome]:
    with suppress(KeyboardInterrupt):
        return list(do(_unpickled(group), _worker["place"], _worker["device"], _worker["report"]))
    return []
