"""Who does the work of a run: this process, or workers that are handed tasks by name as soon as these can be done."""

from __future__ import annotations

import pickle
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from oodbench.errors import OodbenchError, PluginError, described
from oodbench.plugins import registry
from oodbench.progress import SILENT, Reporter
from oodbench.stopping import Stopped

from .tasks import Task, groups, name_of, tasks_of
from .work import Outcome, Site, obtained, run_group

if TYPE_CHECKING:
    import torch

    from oodbench.jobs import Cell
    from oodbench.store.workspace import Workspace

    from .request import Request

Future = TypeVar("Future")

REMEDY = "define methods and models at the top of a file or module that can be imported, or name one device: --device"


class Executor(Protocol):
    """Carries out the work of a run."""

    def run(self, cells: Sequence[Cell], site: Site) -> Iterator[Outcome]:
        """Compute cells, and yield what became of each; records are stored.

        Args:
            cells: to compute.
            site: with the images.

        Raises:
            OodbenchError: a record cannot be stored, or a worker was lost.
        """


@dataclass(frozen=True, kw_only=True)
class InThisProcess:
    """One group after another.

    Attributes:
        device: to compute on.
    """

    device: torch.device

    def run(self, cells: Sequence[Cell], site: Site) -> Iterator[Outcome]:
        """Compute cells on the device."""
        for group in groups(cells):
            yield from run_group(group, site, self.device)


class Workers(ABC, Generic[Future]):
    """Base of executors that hand tasks to others; a subclass says how these are reached.

    A worker is sent the request, once, and then names: it loads the images and makes the plan itself, so that no array
    travels. A network that several tasks need is trained by one of them.
    """

    def run(self, cells: Sequence[Cell], site: Site) -> Iterator[Outcome]:
        """Compute cells, each task as soon as all that it needs is done."""
        self.begin(packed(cells, site), site)
        try:
            yield from self._schedule(cells, site)
        except Stopped as stopped:
            self.interrupt(stopped.number)
            raise
        finally:
            self.end()

    def _schedule(self, cells: Sequence[Cell], site: Site) -> Iterator[Outcome]:
        by_name = {name_of(group): group for group in groups(cells)}
        tasks = {task.name: task for task in tasks_of(cells)}
        order = TopologicalSorter({task.name: task.needs for task in tasks.values()})
        order.prepare()
        running: dict[Any, Task] = {}
        failed: dict[str, OodbenchError] = {}
        while order.is_active():
            for task in map(tasks.__getitem__, order.get_ready()):
                lost = next((name for name in task.needs if name in failed), None)
                if lost is None:
                    running[self.submit(task)] = task
                    continue
                failed[task.name] = failed[lost]
                if task.kind == "score":
                    site.tell_left_out(by_name[task.name], failed[lost])
                    yield from ((cell, failed[lost]) for cell in by_name[task.name])
                order.done(task.name)
            for future in self.finished(list(running)) if running else ():
                task = running.pop(future)
                result = self.result(future)
                if isinstance(result, OodbenchError):
                    failed[task.name] = result
                    if task.kind == "score":
                        raise result
                elif task.kind == "score":
                    yield from self.taken(result, by_name[task.name], site)
                order.done(task.name)

    def taken(self, result: Any, group: Sequence[Cell], site: Site) -> Iterator[Outcome]:
        """Yield the outcomes of a group from what a worker returned."""
        by_file = {cell.file: cell for cell in group}
        for file, outcome in result:
            yield by_file[file], outcome

    @abstractmethod
    def begin(self, errand: bytes, site: Site) -> None:
        """Start workers, each of which takes up an errand."""

    @abstractmethod
    def submit(self, task: Task) -> Future:
        """Hand over a task."""

    @abstractmethod
    def finished(self, running: Sequence[Future]) -> Sequence[Future]:
        """Wait until at least one task is finished, and return those that are."""

    @abstractmethod
    def result(self, future: Future) -> Any:
        """Return what a task came to: outcomes by file of cells, None for a training, or an error.

        Raises:
            OodbenchError: the worker was lost.
        """

    def interrupt(self, number: int) -> None:  # not all have anything to do
        """Let workers know that a signal asked the run to end."""

    @abstractmethod
    def end(self) -> None:
        """Stop all workers."""


@dataclass(frozen=True, kw_only=True)
class Errand:
    """All that a worker needs to make the plan itself: names and paths.

    Attributes:
        wanted: the request.
        data_dir: where images are looked for.
        cache_dir: where artifacts are kept.
        results_dir: where records go.
        save_detectors: whether each fitted detector is stored beside its record.
        every_method: whether all methods were asked for.
        pixel_cache: how many bytes of decoded pixels may be kept.
        skip_damaged: whether images that cannot be decoded are left out.
    """

    wanted: Request
    data_dir: Path
    cache_dir: Path
    results_dir: Path
    save_detectors: bool
    every_method: bool
    pixel_cache: int
    skip_damaged: bool

    def workspace(self, report: Reporter) -> Workspace:
        """Return the surroundings of the run, as a worker has them."""
        from oodbench.store.workspace import Workspace

        return Workspace.of(
            self.data_dir, self.cache_dir, report, pixel_cache=self.pixel_cache, skip_damaged=self.skip_damaged
        )


def packed(cells: Sequence[Cell], site: Site) -> bytes:
    """Return the errand of a run, pickled.

    Raises:
        PluginError: a method or model cannot be handed to another process.
    """
    assert site.wanted is not None  # runs on images that were handed over have one device
    errand = Errand(
        wanted=site.wanted,
        data_dir=site.workspace.data_dir.absolute(),
        cache_dir=site.workspace.artifacts.root.absolute(),
        results_dir=site.results.root.absolute(),
        save_detectors=site.save_detectors,
        every_method=site.every_method,
        pixel_cache=site.workspace.pixels.size,
        skip_damaged=site.workspace.skip_damaged,
    )
    try:
        return pickle.dumps(errand)
    # Methods and models are anybody's, and what cannot be pickled says so in many ways.
    except Exception as error:
        label = next((cell.label for cell in cells if not _can_be_pickled(cell)), "the run")
        raise PluginError(f"{label} cannot be handed to another process ({error}); {REMEDY}") from error


def _can_be_pickled(cell: Cell) -> bool:
    try:
        pickle.dumps(cell.method)
    except Exception:  # noqa: BLE001  # see above
        return False
    return True


class Worker:
    """What a worker knows: the errand, and from the first task on the images and the plan.

    Args:
        errand: pickled.
        model_files: that given models were built from: they are run, so that their classes are found.
        device: to compute on.
        report: told what is going on.
        results: folder for records; None for the one of the run.
    """

    def __init__(
        self,
        errand: bytes,
        model_files: Sequence[Path],
        device: torch.device,
        report: Reporter,
        results: Path | None = None,
    ) -> None:
        self._errand, self._model_files, self._device, self._report = errand, model_files, device, report
        self._results = results
        self._ready: tuple[Site, dict[str, Any], dict[str, Cell]] | None = None

    def do(self, task: Task) -> Any:
        """Do a task; return the outcomes by file of cells, None for a training, or the error that ended it."""
        try:
            site, jobs, by_file = self._taken_up()
            if task.kind == "train":
                obtained(jobs[task.name], site, self._device)
                return None
            group = [by_file[name] for name in task.cells]
            return [(cell.file, outcome) for cell, outcome in run_group(group, site, self._device)]
        except OodbenchError as error:
            return error

    def _taken_up(self) -> tuple[Site, dict[str, Any], dict[str, Cell]]:
        if self._ready is None:
            self._ready = self._take_up()
        return self._ready

    def _take_up(self) -> tuple[Site, dict[str, Any], dict[str, Cell]]:
        from oodbench.jobs import Plan
        from oodbench.store.records import ResultStore

        from .loaded import load_data
        from .plan import make_plan

        errand = self._unpickled()
        data = load_data(errand.wanted, errand.workspace(SILENT))
        plan = make_plan(errand.wanted, data)
        site = Site(
            data=data,
            workspace=errand.workspace(self._report),
            results=ResultStore(self._results or errand.results_dir),
            save_detectors=errand.save_detectors,
            every_method=errand.every_method,
            wanted=errand.wanted,
        )
        jobs = {job.key: job for job in Plan(cells=plan.cells).trainings()}
        return site, jobs, {cell.file.as_posix(): cell for cell in plan.cells}

    def _unpickled(self) -> Errand:
        from oodbench.given.building import files_run, run_file

        try:
            # Plugin files and those of models are run: pickled things name their modules, which no import finds.
            registry.names("methods")
            for file in self._model_files:
                if file.is_file() and file not in files_run():
                    run_file(file)
            errand: Errand = pickle.loads(self._errand)  # noqa: S301  # of the process that started this one
        except Exception as error:
            raise PluginError(f"a worker cannot take up its work ({described(error)}); {REMEDY}") from error
        return errand
