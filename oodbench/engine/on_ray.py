"""Workers on a Ray cluster: tasks travel by name, results come back, and no shared file system is needed."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oodbench.errors import ConfigError, DeviceError, OodbenchError
from oodbench.plugins import registry
from oodbench.store.atomic import write_atomic
from oodbench.store.snapshots import keep_snapshots, snapshots_file

from .executors import Worker, Workers

if TYPE_CHECKING:
    from oodbench.jobs import Cell

    from .tasks import Task
    from .work import Outcome, Site

RETRIES = 3
"""How often a task is done again whose worker or node was lost."""

_SECONDS = 10.0
"""How long the head of a cluster has to answer."""


class OnRay(Workers[Any]):
    """Tasks of a Ray cluster, one that is joined or one that is started on this machine.

    A node takes networks and outputs from its own cache folder, and makes again what is not there; where nodes share
    the folder, nothing is made twice. Records are stored by the process that started the run.

    Args:
        address: of the cluster, such as "auto" or "ray://head:10001"; None joins the one that `RAY_ADDRESS` names, or
            starts one here.
        gpus: how many GPUs a task asks for; None for one where the cluster has any.
        cpus: how many processors a task asks for.
    """

    def __init__(self, address: str | None = None, *, gpus: float | None = None, cpus: float = 1) -> None:
        self._address, self._gpus, self._cpus = address, gpus, cpus

    def begin(self, errand: bytes, site: Site) -> None:
        """Join or start the cluster, and hand it the errand once.

        Raises:
            ConfigError: Ray is not installed, no cluster answers, or a file that is needed cannot be sent.
        """
        try:
            ray: Any = import_module("ray")
        except ImportError as error:
            raise ConfigError("--on ray needs Ray, which is not installed; run: pip install 'oodbench[ray]'") from error
        from oodbench.given.building import files_run

        self._ray, self._report = ray, site.workspace.report
        self._started = not ray.is_initialized()
        try:
            if self._started:
                _knock(self._address or os.environ.get("RAY_ADDRESS"))
                ray.init(address=self._address, logging_level="ERROR", log_to_driver=False, include_dashboard=False)
        # Ray raises its own errors, those of gRPC and of Python.
        except Exception as error:
            place = self._address or os.environ.get("RAY_ADDRESS") or "this machine"
            raise ConfigError(
                f"no Ray cluster answers at {place} ({type(error).__name__}: {str(error).splitlines()[0]}); start one "
                "with ray start --head, or name another: --ray-address"
            ) from error
        gpus = self._gpus if self._gpus is not None else min(1.0, ray.cluster_resources().get("GPU", 0.0))
        files = {str(path): path.read_bytes() for path in (*registry.added_files(), *files_run())}
        self._errand = ray.put((errand, files, [str(path) for path in registry.added_files()]))
        options: dict[str, Any] = {
            "num_cpus": self._cpus,
            "num_gpus": gpus,
            "max_retries": RETRIES,
            "retry_exceptions": False,
        }
        self._remote = ray.remote(**options)(_do)

    def submit(self, task: Task) -> Any:
        """Hand over a task."""
        return self._remote.remote(self._errand, task)

    def finished(self, running: Sequence[Any]) -> Sequence[Any]:
        """Wait until at least one task is finished, and return those that are."""
        self._ray.wait(list(running), num_returns=1)
        ready, _ = self._ray.wait(list(running), num_returns=len(running), timeout=0)
        return list(ready)

    def result(self, future: Any) -> Any:
        """Return what a task came to, and tell what its worker had to say.

        Raises:
            DeviceError: its worker was lost, again and again.
        """
        try:
            result, told = self._ray.get(future)
        except self._ray.exceptions.RayError as error:
            raise DeviceError(
                f"a worker of the cluster was lost {RETRIES + 1} times ({type(error).__name__}), possibly out of "
                "memory; the same command goes on from what is stored"
            ) from error
        for tell, text in told:
            getattr(self._report, tell)(text)
        return result

    def taken(self, result: Any, group: Sequence[Cell], site: Site) -> Iterator[Outcome]:
        """Store what a worker scored, and yield the outcomes of its group."""
        by_file = {cell.file: cell for cell in group}
        for file, outcome, scores, detector, snapshots in result:
            cell = by_file[file]
            if isinstance(outcome, OodbenchError):
                site.tell_left_out([cell], outcome)
                yield cell, outcome
                continue
            record, _ = site.results.add(cell.file, outcome, scores)
            if detector is not None:
                write_atomic(site.results.detector_of(cell.file), detector)
            if snapshots is not None:
                keep_snapshots(snapshots, site.results, cell.file, record)
            yield cell, record

    def end(self) -> None:
        """Leave the cluster; one that was started here is stopped."""
        if self._started and self._ray.is_initialized():
            self._ray.shutdown()


def _knock(address: str | None) -> None:
    """Raise OSError where nobody listens at HOST:PORT: Ray itself would wait there for long, deaf to Ctrl-C."""
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=_SECONDS).close()


class _Told:
    """A reporter that writes down what is told."""

    def __init__(self, place: str) -> None:
        self.lines: list[tuple[str, str]] = []
        self._place = place

    def message(self, text: str) -> None:
        self.lines.append(("message", f"[{self._place}] {text}"))

    def warning(self, text: str) -> None:
        self.lines.append(("warning", f"[{self._place}] {text}"))

    def progress(self, task: str, done: int, total: int) -> None:
        pass

    def cells(self, done: int, total: int) -> None:
        pass


_workers: dict[bytes, tuple[Worker, _Told, Path]] = {}
"""The worker of this process for each errand that it was sent on."""


def _do(sent: tuple[bytes, dict[str, bytes], list[str]], task: Task) -> tuple[Any, list[tuple[str, str]]]:
    """Do a task in a process of the cluster; return what it came to, and what was told.

    Cells come back as file, record or error, scores, and the files of detector and snapshots where there are such.
    """
    errand, files, plugins = sent
    if errand not in _workers:
        _workers[errand] = _taken_up(errand, files, plugins)
    worker, told, results = _workers[errand]
    told.lines.clear()
    result = worker.do(task)
    if task.kind == "train" or isinstance(result, OodbenchError):
        return result, list(told.lines)
    return [_with_scores(file, outcome, results) for file, outcome in result], list(told.lines)


def _with_scores(file: Path, outcome: Any, results: Path) -> tuple[Path, Any, Any, bytes | None, bytes | None]:
    from oodbench.store.records import ResultStore

    if isinstance(outcome, OodbenchError):
        return file, outcome, None, None, None
    store = ResultStore(results)
    beside = (store.detector_of(file), snapshots_file(store, outcome, file=file))
    detector, snapshots = (path.read_bytes() if path.is_file() else None for path in beside)
    return file, outcome, store.scores(outcome), detector, snapshots


def _taken_up(errand: bytes, files: dict[str, bytes], plugins: Sequence[str]) -> tuple[Worker, _Told, Path]:
    """Return a worker of this process, which stores its results in a folder of its own."""
    import torch

    ray: Any = import_module("ray")
    context = ray.get_runtime_context()
    gpus = ray.get_gpu_ids()
    device = torch.device("cuda:0" if gpus and torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(max(1, int(context.get_assigned_resources().get("CPU", 1))))
    placed = {path: _placed(Path(path), content) for path, content in files.items()}
    for path in plugins:
        registry.add_file(placed[path])
    told = _Told(f"{context.get_node_id()[:6]} {device}")
    results = Path(tempfile.mkdtemp(prefix="oodbench-"))
    models = [place for path, place in placed.items() if path not in plugins]
    worker = Worker(errand, models, device, told, results=results)
    return worker, told, results


def _placed(path: Path, content: bytes) -> Path:
    """Return a file of the machine that started the run, as it is here or as it was sent."""
    if path.is_file() and path.read_bytes() == content:
        return path
    folder = Path(tempfile.mkdtemp(prefix="oodbench-file-"))
    (folder / path.name).write_bytes(content)
    return folder / path.name
