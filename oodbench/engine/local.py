"""Work on this machine: one group after another, or one process a device."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from oodbench.errors import (
    DeviceError,
    PluginError,
    described,
)
from oodbench.jobs import Cell
from oodbench.plugins import registry
from oodbench.progress import SILENT

from .work import Outcome, Site, groups, run_group

if TYPE_CHECKING:
    import torch

    from oodbench.progress import Reporter


def run_all(cells: Sequence[Cell], site: Site, devices: Sequence[torch.device]) -> Iterator[Outcome]:
    """Do the work of all cells, one group after another, or one on each of several devices at a time.

    Args:
        cells: to compute.
        site: with the images.
        devices: one process works on each, where there are several.

    Raises:
        OodbenchError: as `run_group`; or a process was killed.
    """
    if len(devices) == 1:
        for group in groups(cells):
            yield from run_group(group, site, devices[0])
        return
    from oodbench.given.building import files_run

    context = multiprocessing.get_context("spawn")
    messages, free = context.Queue(), context.Queue()
    for device in devices:
        free.put(str(device))
    listener = Thread(target=_pass_on, args=(messages, site.workspace.report), daemon=True)
    listener.start()
    pool = ProcessPoolExecutor(
        len(devices),
        context,
        initializer=_start,
        initargs=(_without_reporter(site), registry.added_files(), files_run(), len(devices), free, messages),
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


def _without_reporter(site: Site) -> Site:
    """Return a site that can be sent to a worker, which has a reporter of its own."""
    return replace(site, workspace=replace(site.workspace, report=SILENT))


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

    def warning(self, text: str) -> None:
        self.message(text)

    def progress(self, task: str, done: int, total: int) -> None:
        pass

    def cells(self, done: int, total: int) -> None:
        pass


_worker: dict[str, Any] = {}
"""What a worker process was started with."""


def _start(
    site: Site, plugins: Sequence[Path], models: Sequence[Path], n_workers: int, free: Any, messages: Any
) -> None:
    import torch

    for file in plugins:
        registry.add_file(file)
    device = free.get()
    if device == "cpu":
        # Workers share the cores.
        torch.set_num_threads(max(1, torch.get_num_threads() // n_workers))
    told = replace(site, workspace=replace(site.workspace, report=_Teller(messages, device)))
    _worker.update(site=told, models=models, device=torch.device(device))


def _pickled(group: Sequence[Cell]) -> bytes:
    try:
        return pickle.dumps(group)
    # Methods and models are anybody's, and what cannot be pickled says so in many ways.
    except Exception as error:
        raise PluginError(f"{group[0].label} cannot be handed to another process ({error}); {_REMEDY}") from error


def _unpickled(group: bytes) -> Sequence[Cell]:
    from oodbench.given.building import files_run, run_file

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
        return list(run_group(_unpickled(group), _worker["site"], _worker["device"]))
    return []
