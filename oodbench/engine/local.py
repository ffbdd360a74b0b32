"""Workers on this machine: one process a device."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from oodbench.errors import DeviceError
from oodbench.plugins import registry

from .executors import Worker, Workers

if TYPE_CHECKING:
    import torch

    from oodbench.progress import Reporter

    from .tasks import Task
    from .work import Site


class Processes(Workers["Future[Any]"]):
    """One process on each of several devices.

    Args:
        devices: to compute on; a name that is given twice gets two processes.
    """

    def __init__(self, devices: Sequence[torch.device]) -> None:
        self._devices = devices

    def begin(self, errand: bytes, site: Site) -> None:
        """Start the processes, and pass on what they tell."""
        from oodbench.given.building import files_run

        context = multiprocessing.get_context("spawn")
        self._messages, free = context.Queue(), context.Queue()
        for device in self._devices:
            free.put(str(device))
        self._listener = Thread(target=_pass_on, args=(self._messages, site.workspace.report), daemon=True)
        self._listener.start()
        self._pool = ProcessPoolExecutor(
            len(self._devices),
            context,
            initializer=_start,
            initargs=(errand, registry.added_files(), files_run(), len(self._devices), free, self._messages),
        )

    def submit(self, task: Task) -> Future[Any]:
        """Hand over a task; the next process that is free takes it."""
        return self._pool.submit(_do, task)

    def finished(self, running: Sequence[Future[Any]]) -> Sequence[Future[Any]]:
        """Wait until at least one task is finished, and return those that are."""
        return list(wait(running, return_when=FIRST_COMPLETED).done)

    def result(self, future: Future[Any]) -> Any:
        """Return what a task came to.

        Raises:
            DeviceError: a process was killed.
        """
        try:
            return future.result()
        except BrokenProcessPool as error:
            raise DeviceError(
                "a worker ended before its work was done: the reason stands above, or it was killed, possibly out of "
                "memory; the same command goes on from what is stored, with --device naming fewer devices"
            ) from error

    def interrupt(self, number: int) -> None:
        """Send Ctrl-C to all processes: a terminal does so itself, other signals reach a single one."""
        if number == signal.SIGINT:
            return
        for process in list((self._pool._processes or {}).values()):  # noqa: SLF001  # there is no other way to find them
            if process.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGINT)

    def end(self) -> None:
        """Stop the processes."""
        self._pool.shutdown(cancel_futures=True)
        self._messages.put(None)
        self._listener.join()


def _pass_on(messages: Any, report: Reporter) -> None:
    """Hand what workers tell to the reporter, until there is nothing more."""
    while (told := messages.get()) is not None:
        tell, text = told
        getattr(report, tell)(text)


class _Teller:
    """The reporter of a worker: lines go to the parent, and nobody watches its bars.

    Args:
        messages: a queue.
        device: named before each line.
    """

    def __init__(self, messages: Any, device: str) -> None:
        self._messages, self._device = messages, device

    def message(self, text: str) -> None:
        self._messages.put(("message", f"[{self._device}] {text}"))

    def warning(self, text: str) -> None:
        self._messages.put(("warning", f"[{self._device}] {text}"))

    def progress(self, task: str, done: int, total: int) -> None:
        pass

    def cells(self, done: int, total: int) -> None:
        pass


_worker: list[Worker] = []
"""What this process was started as."""


def _start(
    errand: bytes, plugins: Sequence[Path], models: Sequence[Path], n_workers: int, free: Any, messages: Any
) -> None:
    import torch

    for file in plugins:
        registry.add_file(file)
    device = free.get()
    if device == "cpu":
        # Workers share the cores.
        torch.set_num_threads(max(1, torch.get_num_threads() // n_workers))
    _worker.append(Worker(errand, models, torch.device(device), _Teller(messages, device)))


def _do(task: Task) -> Any:
    with suppress(KeyboardInterrupt):
        return _worker[0].do(task)
    return []
