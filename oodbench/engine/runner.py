"""From a request to results: load the images, plan, train, score, store; nothing is made twice."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from oodbench.detector_file import is_stored
from oodbench.device import resolve
from oodbench.errors import OodbenchError
from oodbench.hashing.values import plain
from oodbench.jobs import Cell, Plan
from oodbench.store.records import Record, ResultStore
from oodbench.store.snapshots import FILE, snapshots_file
from oodbench.store.workspace import Workspace
from oodbench.training.snapshots import lacks_snapshots

from .executors import Executor, InThisProcess
from .first_look import FirstLook
from .loaded import check_classes, find_data, load_data, planned_for
from .plan import make_plan
from .request import Request
from .work import Site

if TYPE_CHECKING:
    import torch

    from oodbench.benchmark import Benchmark
    from oodbench.data.loading import BenchmarkData


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """A plan with everything that it needs to be run.

    Attributes:
        plan: the jobs.
        data: the images of each benchmark, by its name.
        stored: records of the cells that are there already, by the cell's file; benchmarks of the same images share
            keys.
        workspace: where images, networks and outputs are kept, and who is told.
        results: where records go.
        devices: to compute on, at the same time where there are several.
        every_method: whether all methods were asked for; one that cannot be scored is then left out.
        save_detectors: whether each fitted detector is stored beside its record.
        wanted: the request; None where the images were handed over, and no other process could load them.
        executor: who does the work; None for this process, or one process a device.
    """

    plan: Plan
    data: Mapping[str, BenchmarkData]
    stored: Mapping[Path, Record]
    workspace: Workspace
    results: ResultStore
    devices: tuple[torch.device, ...]
    every_method: bool = False
    save_detectors: bool = False
    wanted: Request | None = None
    executor: Executor | None = None

    def to_do(self) -> list[Cell]:
        """Return the cells that are not stored yet."""
        return [cell for cell in self.plan.cells if cell.file not in self.stored]


def prepare(
    wanted: Request,
    *,
    workspace: Workspace | None = None,
    results_dir: Path = Path("results"),
    device: str = "auto",
    force: bool = False,
    download: bool = False,
    save_detectors: bool = False,
    executor: Executor | None = None,
    dry_run: bool = False,
) -> Prepared:
    """Load the images of a request and plan it; nothing is trained.

    Args:
        wanted: with names found.
        workspace: where images are looked for, where artifacts are kept, and who is told; None for the usual places.
        results_dir: where records are looked for and written.
        device: "auto" (all GPUs, or the CPU where there is none), "cpu", "cuda", or devices such as "cuda:0,cuda:1".
        force: compute cells that are stored already as well; train networks again that lack snapshots that are wanted.
        download: fetch data sets that are missing and may be fetched.
        save_detectors: store each fitted detector beside its record; compute stored cells that have none as well.
        executor: who does the work; None for this process, or one process a device where there are several.
        dry_run: plan only: images that nobody has seen are not decoded, and what lies on both sides is not found.

    Raises:
        OodbenchError: the device, the results folder, the data or a stored record is not as it must be.
    """
    wanted = dataclasses.replace(wanted, train_again=force)
    results = ResultStore(results_dir)
    results.check_writable()
    chosen = resolve(device)
    workspace = workspace or Workspace()
    workspace.artifacts.sweep()
    results.sweep()
    # A worker elsewhere has a pass of its own, and may share no cache with this process.
    here = wanted.model is not None and executor is None and len(chosen) == 1
    data: Mapping[str, BenchmarkData]
    if dry_run:
        found = find_data(wanted, workspace, download=download, again=not here)
        data = {name: planned_for(entry, workspace.report) for name, entry in found.items()}
    else:
        look = FirstLook(wanted=wanted, workspace=workspace, device=chosen[0]) if here else None
        data = load_data(wanted, workspace, download=download, look=look)
    prepared = prepare_with(
        wanted,
        data,
        results=results,
        workspace=workspace,
        devices=chosen,
        force=force,
        save_detectors=save_detectors,
    )
    # Other processes can load the images of these names themselves.
    return dataclasses.replace(prepared, wanted=wanted, executor=executor)


def prepare_with(
    wanted: Request,
    data: Mapping[str, BenchmarkData],
    *,
    results: ResultStore,
    workspace: Workspace,
    devices: tuple[torch.device, ...],
    force: bool = False,
    save_detectors: bool = False,
) -> Prepared:
    """Plan a request whose images are loaded.

    Args:
        wanted: with names found.
        data: the images of each benchmark, by its name.
        results: where records are looked for and written.
        workspace: where images, networks and outputs are kept, and who is told.
        devices: to compute on, at the same time where there are several.
        force: compute cells that are stored already as well.
        save_detectors: store each fitted detector beside its record; compute stored cells that have none as well.

    Raises:
        OodbenchError: a method or a model does not fit the images, or a stored record is not whole.
    """
    if wanted.model is not None:
        for entry in data.values():
            check_classes(wanted.model, entry)
    plan = make_plan(wanted, data)
    if wanted.untuned:
        workspace.report.message(f"nothing to choose, run with their settings: {', '.join(wanted.untuned)}")
    found = {} if force else {cell.file: results.load(cell.file) for cell in plan.cells}
    stored = {
        cell.file: _as_asked(record, cell)
        for cell in plan.cells
        if (record := found.get(cell.file))
        and has_all(record, cell)
        and results.has_scores(cell.file, record)
        and (not save_detectors or is_stored(results.detector_of(cell.file), cell))
        and not _snapshots_to_take(record, cell, results, data, workspace)
    }
    _tell_lacking(plan, wanted, data, workspace)
    return Prepared(
        plan=plan,
        data=data,
        stored=stored,
        workspace=workspace,
        results=results,
        devices=devices,
        every_method=wanted.every_method,
        save_detectors=save_detectors,
    )


def execute(prepared: Prepared) -> list[Record]:
    """Run what a plan still lacks, and return the records of all its cells in order.

    A method that cannot be trained or scored does not keep the others from it: what went wrong is told, and its cell
    has no record. Where it was asked for by name, that is an error in the end.

    Raises:
        OodbenchError: a method that was asked for fails; all other cells are stored.
        StoreError: the disk has changed what is kept; nothing was computed from it.
    """
    if prepared.to_do():
        prepared.workspace.artifacts.read_unread()
    done, failed = dict(prepared.stored), list[OodbenchError]()
    total, report = len(prepared.plan.cells), prepared.workspace.report
    report.cells(len(done), total)
    site = Site(
        data=prepared.data,
        workspace=prepared.workspace,
        results=prepared.results,
        save_detectors=prepared.save_detectors,
        every_method=prepared.every_method,
        wanted=prepared.wanted,
    )
    for cell, outcome in _executor(prepared).run(prepared.to_do(), site):
        if isinstance(outcome, OodbenchError):
            failed.append(outcome)
            continue
        done[cell.file] = outcome
        report.cells(len(done), total)
    if failed and not prepared.every_method:
        raise failed[0]
    return [without_other_sets(done[cell.file], cell.benchmark) for cell in prepared.plan.cells if cell.file in done]


def _executor(prepared: Prepared) -> Executor:
    """Return who does the work of a run."""
    if prepared.executor is not None:
        return prepared.executor
    if len(prepared.devices) == 1 or prepared.wanted is None:
        return InThisProcess(device=prepared.devices[0])
    from .local import Processes

    return Processes(prepared.devices)


def has_all(record: Record, cell: Cell) -> bool:
    """Return whether a stored record is that of a cell, with a result on each of its OOD sets."""
    results = {row.out_dist: row.fingerprint for row in record.rows}
    return record.key == cell.key and cell.tests.items() <= results.items()


def _snapshots_to_take(
    record: Record, cell: Cell, results: ResultStore, data: Mapping[str, BenchmarkData], workspace: Workspace
) -> bool:
    """Return whether a stored record has no snapshots, although they are wanted and can be had."""
    if not cell.network.snapshots or snapshots_file(results, record, file=cell.file).is_file():
        return False
    folder = workspace.artifacts.find("networks", cell.network.key, quick=True)
    if folder is None:
        return True
    return (folder / FILE).is_file() and not lacks_snapshots(cell.network, data, workspace)


def _tell_lacking(plan: Plan, wanted: Request, data: Mapping[str, BenchmarkData], workspace: Workspace) -> None:
    """Tell which networks are there without the snapshots that are wanted, and stay as they are."""
    if wanted.train_again:
        return
    lacking = [job.label for job in plan.trainings() if lacks_snapshots(job, data, workspace)]
    if lacking:
        they = "this network was" if len(lacking) == 1 else "these networks were"
        workspace.report.warning(
            f"no snapshots of {', '.join(lacking)}: {they} trained before, without them or on other sets; to train "
            "again for them: --force (in Python: force=True)"
        )


def _as_asked(record: Record, cell: Cell) -> Record:
    """Return a stored record with its training in the words of this run: it may have been asked for in others."""
    return dataclasses.replace(record, recipe=cell.recipe, changed=plain(cell.changed), cut_short=cell.cut_short)


def without_other_sets(record: Record, benchmark: Benchmark) -> Record:
    """Return a record without the sets that were scored for another run."""
    names = [ood.name for ood in benchmark.ood]
    rows = sorted((row for row in record.rows if row.out_dist in names), key=lambda row: names.index(row.out_dist))
    missing = {name: role for name, role in record.missing.items() if name in names}
    return dataclasses.replace(record, rows=tuple(rows), missing=missing)
