"""How a run spreads over the workers of a Ray cluster, and what its driver costs.

A matrix of 8 trainings and 60 cells (4 seeds of 14 post-hoc methods and of one metric-learning method) runs on clusters
of one node with 1, 2, … workers on this machine, each from an empty cache. Efficiency is the time that workers spent on
tasks over workers × time of the run: it counts what is waited for, and not that workers share processors. From the
measured times of the tasks and of the driver, schedules of more workers and larger matrices are simulated; last, the
driver's schedule alone is timed with tasks that do nothing.

    nice -n 19 python benchmarks/ray_scaling.py --workers 1 2
    python benchmarks/ray_scaling.py --workers 1 --methods msp energy --seeds 1 --epochs 1     # a quick look
"""

from __future__ import annotations

import argparse
import heapq
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from _scene import machine

from oodbench.engine import on_ray
from oodbench.engine.executors import Workers
from oodbench.engine.request import request
from oodbench.engine.runner import execute, prepare
from oodbench.engine.tasks import Task, tasks_of
from oodbench.engine.work import Site
from oodbench.progress import SILENT
from oodbench.store.workspace import Workspace

POSTHOC = (
    *("msp", "max_logit", "energy", "entropy", "doctor", "gen", "temperature_scaling"),
    *("mahalanobis", "rmds", "knn", "vim", "react", "ash", "klm"),
)
TRAINED = "odm"
SIMULATED = (1, 8, 64, 512)


@dataclass
class Measured:
    """What a run took.

    Attributes:
        tasks: those of the plan, in the order of the schedule.
        seconds: wall seconds of each task, by its name, where it was done.
        driver: processor seconds of the driver's own thread for handing over tasks and storing results, all together.
        whole: wall seconds from the first task that was handed over to the last result.
    """

    tasks: list[Task] = field(default_factory=list)
    seconds: dict[tuple[str, str], float] = field(default_factory=dict)
    driver: float = 0.0
    whole: float = 0.0

    @property
    def busy(self) -> float:
        """Seconds that workers spent on tasks."""
        return sum(self.seconds.values())


def _timed(sent: Any, task: Task) -> Any:
    """Do a task on a worker; return what it came to, and how long it took."""
    started = time.perf_counter()
    done = on_ray._do(sent, task)  # noqa: SLF001  # what a worker does, with a clock
    return done, time.perf_counter() - started


class Watched(on_ray.OnRay):
    """Ray with a clock.

    Args:
        measured: filled in.
    """

    def __init__(self, measured: Measured) -> None:
        super().__init__()
        self._measured, self._begun = measured, 0.0
        self._names: dict[Any, tuple[str, str]] = {}

    def begin(self, errand: bytes, site: Site) -> None:
        """Hand over the errand; tasks are timed where they are done."""
        super().begin(errand, site)
        gpus = min(1.0, self._ray.cluster_resources().get("GPU", 0.0))
        self._remote = self._ray.remote(num_cpus=1, num_gpus=gpus)(_timed)
        # Workers start, and import this project, before the clock does.
        workers = int(self._ray.cluster_resources()["CPU"])
        self._ray.get([self._ray.remote(_awake).remote(2.0) for _ in range(workers)])
        self._measured.driver, self._begun = -time.thread_time(), time.perf_counter()

    def submit(self, task: Task) -> Any:
        """Hand over a task."""
        self._measured.tasks.append(task)
        future = super().submit(task)
        self._names[future] = task.kind, task.name
        return future

    def result(self, future: Any) -> Any:
        """Take a result and the time of its task."""
        (result, told), taken = self._ray.get(future)
        self._measured.seconds[self._names[future]] = taken
        for tell, text in told:
            getattr(self._report, tell)(text)
        return result

    def end(self) -> None:
        """Stop the clock."""
        self._measured.driver += time.thread_time()
        self._measured.whole = time.perf_counter() - self._begun
        super().end()


def _awake(seconds: float) -> None:
    """Keep a worker busy until all others have started as well."""
    import oodbench.engine.evaluation  # noqa: F401  # heavy

    time.sleep(seconds)


def run(wanted: Any, n_workers: int) -> Measured:
    """Return what a request takes on a cluster with so many workers, from an empty cache."""
    cluster_utils: Any = import_module("ray.cluster_utils")
    ray: Any = import_module("ray")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": n_workers})
    measured = Measured()
    try:
        ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
        with tempfile.TemporaryDirectory() as folder:
            workspace = Workspace.of(cache_dir=Path(folder) / "cache", report=SILENT)
            executor = Watched(measured)
            execute(
                prepare(wanted, workspace=workspace, results_dir=Path(folder) / "r", device="cpu", executor=executor)
            )
    finally:
        ray.shutdown()
        cluster.shutdown()
    return measured


def simulated(tasks: Sequence[Task], seconds: Mapping[tuple[str, str], float], n_workers: int, driver: float) -> float:
    """Return how long a schedule takes: tasks go to free workers in order, each handed over and taken by one driver.

    Args:
        tasks: in the order of the plan, each after what it needs.
        seconds: of each task.
        n_workers: that do one task at a time.
        driver: seconds of the driver for each task.
    """
    waits: dict[str, list[int]] = {}
    missing = [len(task.needs) for task in tasks]
    for i, task in enumerate(tasks):
        for name in task.needs:
            waits.setdefault(name, []).append(i)
    ready = [i for i, count in enumerate(missing) if count == 0]
    heapq.heapify(ready)
    running: list[tuple[float, int]] = []
    now = end = 0.0
    while ready or running:
        while ready and len(running) < n_workers:
            i = heapq.heappop(ready)
            now += driver / 2
            heapq.heappush(running, (now + seconds[tasks[i].kind, tasks[i].name], i))
        finished, i = heapq.heappop(running)
        now = max(now, finished) + driver / 2
        end = max(end, now)
        for follower in waits.get(tasks[i].name, []) if tasks[i].kind == "train" else []:
            missing[follower] -= 1
            if missing[follower] == 0:
                heapq.heappush(ready, follower)
    return end


def repeated(measured: Measured, times: int) -> tuple[list[Task], dict[tuple[str, str], float]]:
    """Return a matrix of so many times the trainings and cells, with the measured times."""
    tasks = [
        replace(task, name=f"{i} {task.name}", needs=frozenset(f"{i} {name}" for name in task.needs))
        for kind in ("train", "score")
        for i in range(times)
        for task in measured.tasks
        if task.kind == kind
    ]
    return tasks, {
        (kind, f"{i} {name}"): taken for i in range(times) for (kind, name), taken in measured.seconds.items()
    }


class Nothing(Workers[int]):
    """Workers that have done each task as soon as it is handed over."""

    def begin(self, errand: bytes, site: Site) -> None:
        """Nothing to begin."""

    def submit(self, task: Task) -> int:
        """Take a task."""
        return id(task)

    def finished(self, running: Sequence[int]) -> Sequence[int]:
        """Return the first task."""
        return running[:1]

    def result(self, future: int) -> Any:
        """Return nothing."""
        return []

    def end(self) -> None:
        """Nothing to end."""


def schedule_alone(wanted: Any, n_seeds: int) -> tuple[int, float]:
    """Return the number of tasks of a request with many seeds, and the processor seconds that their schedule takes."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace.of(cache_dir=Path(folder) / "cache", report=SILENT)
        prepared = prepare(
            replace(wanted, seeds=tuple(range(n_seeds))), workspace=workspace, results_dir=Path(folder), device="cpu"
        )
        site = Site(data=prepared.data, workspace=workspace, results=prepared.results, wanted=prepared.wanted)
        cells = prepared.plan.cells
        n_tasks = len(tasks_of(cells))
        started = time.process_time()
        list(Nothing().run(cells, site))
        return n_tasks, time.process_time() - started


def report(runs: Mapping[int, Measured]) -> Iterator[str]:
    """Yield the lines of two tables in Markdown."""
    yield "| workers | run, s | tasks, s | efficiency | driver, ms a task | driver, ms a training or cell |"
    yield "| ---: | ---: | ---: | ---: | ---: | ---: |"
    for n_workers, found in runs.items():
        efficiency = found.busy / n_workers / found.whole
        n_done = sum(1 if task.kind == "train" else len(task.cells) for task in found.tasks)
        yield (
            f"| {n_workers} | {found.whole:.1f} | {found.busy:.1f} | {efficiency:.2f} | "
            f"{1000 * found.driver / len(found.seconds):.1f} | {1000 * found.driver / n_done:.1f} |"
        )
    base = runs[min(runs)]
    driver = base.driver / len(base.seconds)
    yield ""
    yield "| simulated matrix | " + " | ".join(f"{n} workers" for n in SIMULATED) + " |"
    yield "| --- |" + " ---: |" * len(SIMULATED)
    for times in (1, 8, 64, 512):
        tasks, seconds = repeated(base, times)
        taken = {n: simulated(tasks, seconds, n, driver) for n in SIMULATED}
        n_trainings = sum(task.kind == "train" for task in tasks)
        busy = sum(seconds.values())
        entries = " | ".join(f"{whole:,.1f} s ({busy / n / whole:.2f})" for n, whole in taken.items())
        yield f"| {n_trainings} trainings, {len(tasks) - n_trainings} groups of cells | {entries} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--benchmark", default="digits")
    parser.add_argument("--methods", nargs="+", default=list(POSTHOC))
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--schedule-seeds", type=int, nargs="+", default=[25, 100, 400])
    given = parser.parse_args(arguments)
    wanted = request(
        [given.benchmark], [*given.methods, TRAINED], seeds=given.seeds, settings=[f"recipe.epochs={given.epochs}"]
    )
    print(machine(torch.device("cpu")))
    runs = {}
    for n_workers in given.workers:
        runs[n_workers] = run(wanted, n_workers)
        print(f"{n_workers} workers: {runs[n_workers].whole:.1f} s", flush=True)
    print(*report(runs), sep="\n")
    print()
    for n_seeds in given.schedule_seeds:
        n_tasks, taken = schedule_alone(wanted, n_seeds)
        print(f"the schedule alone, {n_tasks} tasks: {1000 * taken / n_tasks:.2f} ms a task", flush=True)


if __name__ == "__main__":
    main()
