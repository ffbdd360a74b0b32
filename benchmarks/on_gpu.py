"""Everything that is worth running on a GPU that is there for minutes only, in order of worth, in one go.

First Table 1 and Table 2 of Masana et al. with the recipe `fast`, seed by seed, by several `oodbench run` at once that
share a cache: the networks are small, and one alone leaves most of a large GPU idle. Then, with nothing beside them,
the tests that need a GPU and the speed scripts. Each piece is written as soon as it is done, and `report.md` says what
was done, how long it took, and what was left out. What would not end in time is not begun: a piece takes as long as one
of its kind did, or as was guessed, times how wrong the guesses were so far. At the end of the time the rest is stopped;
the same command goes on where it was.

    python benchmarks/on_gpu.py --out build/gpu --minutes 12 --data data
    python benchmarks/on_gpu.py --out build/gpu --minutes 12 --data data --only "table 2" --pack build/packed
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).parents[1]
MARGIN = 10.0
"""Seconds that are left for the tables at the end."""
PACKED_MB = 14
"""Scores are packed in files of about this size."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One command.

    Attributes:
        name: as it stands in the report; jobs of one name but for its last word, the seed, take about as long.
        command: with its arguments.
        guess: how many seconds it takes beside others, on an H100.
        after: names of the jobs that must have been done before.
        alone: whether nothing may run beside it.
    """

    name: str
    command: tuple[str, ...]
    guess: float
    after: tuple[str, ...] = ()
    alone: bool = False

    @property
    def kind(self) -> str:
        """What jobs have in common that differ in their seed."""
        return self.name.rpartition(" seed ")[0] or self.name


@dataclass(kw_only=True)
class Outcome:
    """What became of a job.

    Attributes:
        state: "done", "failed", "stopped" or "left out".
        seconds: it ran.
        reason: why it was not done.
    """

    state: str
    seconds: float = 0.0
    reason: str = ""


class Process(Protocol):
    """A command that runs."""

    def poll(self) -> int | None:
        """Return its exit code, or None while it runs."""

    def terminate(self) -> None:
        """Ask it to end."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""


@dataclass(kw_only=True)
class Schedule:
    """Runs jobs in their order, several at once, until the time is up.

    Attributes:
        seconds: the time there is.
        slots: how many jobs run at once.
        start: begins a job.
        changed: told after each job what became of all.
        clock: seconds since some moment.
        sleep: waits for seconds.
    """

    seconds: float
    slots: int
    start: Callable[[Job], Process]
    changed: Callable[[Mapping[str, Outcome]], object] = lambda _: None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    _taken: dict[str, list[float]] = field(default_factory=dict)
    _wrong: list[float] = field(default_factory=list)

    def run(self, jobs: Sequence[Job]) -> dict[str, Outcome]:
        """Run jobs; return what became of each, by its name. A job that is not among them is not waited for."""
        self._end = self.clock() + self.seconds
        names = {job.name for job in jobs}
        waiting = [replace(job, after=tuple(name for name in job.after if name in names)) for job in jobs]
        running = dict[str, tuple[Job, Process, float]]()
        try:
            while waiting or running:
                self._reap(running)
                waiting = self._begin(waiting, running)
                if running and self.clock() >= self._end:
                    break
                if running:
                    self.sleep(0.5)
        finally:
            self._stop(running)
            for job in waiting:
                self._note(job, Outcome(state="left out", reason="the time was up"))
        return self.outcomes

    def estimate(self, job: Job) -> float:
        """Return how many seconds a job probably takes."""
        if of_its_kind := self._taken.get(job.kind):
            return statistics.median(of_its_kind)
        return job.guess * (statistics.median(self._wrong) if self._wrong else 1.0)

    def _reap(self, running: dict[str, tuple[Job, Process, float]]) -> None:
        for name, (job, process, started) in list(running.items()):
            code = process.poll()
            if code is None:
                continue
            del running[name]
            seconds = self.clock() - started
            if code:
                self._note(job, Outcome(state="failed", seconds=seconds, reason=f"exit code {code}, see its log"))
                continue
            self._taken.setdefault(job.kind, []).append(seconds)
            self._wrong.append(seconds / job.guess)
            self._note(job, Outcome(state="done", seconds=seconds))

    def _begin(self, waiting: Sequence[Job], running: dict[str, tuple[Job, Process, float]]) -> list[Job]:
        """Begin what can be begun, and return what has to wait on."""
        left: list[Job] = []
        for i, job in enumerate(waiting):
            states = {name: self.outcomes[name].state if name in self.outcomes else "" for name in job.after}
            lost = [name for name, state in states.items() if state and state != "done"]
            remaining = self._end - self.clock()
            if lost:
                self._note(job, Outcome(state="left out", reason=f"needs {lost[0]}"))
            elif not all(states.values()):
                left.append(job)
            elif (seconds := self.estimate(job)) > remaining:
                reason = f"takes about {seconds:.0f} s, and {max(0.0, remaining):.0f} s are left"
                self._note(job, Outcome(state="left out", reason=reason))
            elif len(running) >= (1 if job.alone else self.slots) or any(other.alone for other, *_ in running.values()):
                # Nothing overtakes a job that waits for its turn, or what must be alone would never be.
                return [*left, *waiting[i:]]
            else:
                running[job.name] = (job, self.start(job), self.clock())
        return left

    def _stop(self, running: dict[str, tuple[Job, Process, float]]) -> None:
        for _, process, _ in running.values():
            process.terminate()
        for job, process, started in running.values():
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                reason = "the time was up, and it did not end by itself"
            else:
                reason = "the time was up; the same command goes on where it was"
            self._note(job, Outcome(state="stopped", seconds=self.clock() - started, reason=reason))
        running.clear()

    def _note(self, job: Job, outcome: Outcome) -> None:
        self.outcomes[job.name] = outcome
        self.changed(self.outcomes)


def jobs_of(given: argparse.Namespace) -> list[Job]:
    """Return all jobs in the order of their worth, those that were asked for."""
    return [job for job in _all_jobs(given) if not given.only or any(part in job.name for part in given.only)]


def _all_jobs(given: argparse.Namespace) -> Iterator[Job]:
    if given.table1:
        yield _decoding(given, "table 1", given.table1)
    if given.table2:
        yield _decoding(given, "table 2", given.table2)
    for seed in range(given.seeds):
        for name in given.table1:
            yield from _table1(given, name, seed)
        for name in given.table2:
            yield from _table2(given, name, seed)
        if seed == 0:
            for name in given.table1:
                yield _run(given, "table 1", name, "ccag", 0, ["ccag"], guess=90, after=("table 1 decoding",))
    python = sys.executable
    yield Job(
        name="tests",
        command=(python, "-m", "pytest", "-q", "-m", "cuda", str(ROOT / "tests" / "test_cuda.py")),
        guess=40,
        alone=True,
    )
    script = str(ROOT / "benchmarks" / "train_throughput.py")
    speed = (python, script, "--images", str(given.speed_images), "--batch-size", "512", "--workers", "8")
    yield Job(name="throughput", command=speed, guess=45, alone=True)
    detectors = (python, str(ROOT / "benchmarks" / "detectors.py"), "--network", "resnet18", "--sets", "5")
    yield Job(name="detectors", command=(*detectors, "--images", str(given.speed_images // 2)), guess=60, alone=True)
    yield Job(name="throughput compiled", command=(*speed, "--compile"), guess=120, alone=True)


def _decoding(given: argparse.Namespace, table: str, names: Sequence[str]) -> Job:
    """Return the job that decodes the images of a table, so that the others find them in the cache."""
    command = _command(given, table, names, ["msp"], 1)
    return Job(name=f"{table} decoding", command=(*command, "--dry-run"), guess=40)


def _table1(given: argparse.Namespace, name: str, seed: int) -> Iterator[Job]:
    decoded = ("table 1 decoding",)
    yield _run(given, "table 1", name, "ce", seed, ["msp", "odin"], guess=35, after=decoded)
    yield _run(given, "table 1", name, "ccag seen", seed, ["ccag(outliers=seen)"], guess=60, after=decoded)
    classifier = f"table 1 {name} ce seed {seed}"
    yield _run(given, "table 1", name, "odm", seed, ["odm"], guess=30, after=(*decoded, classifier))


def _table2(given: argparse.Namespace, name: str, seed: int) -> Iterator[Job]:
    decoded = ("table 2 decoding",)
    yield _run(given, "table 2", name, "ce", seed, ["msp", "odin"], guess=30, after=decoded)
    classifier = f"table 2 {name} ce seed {seed}"
    yield _run(given, "table 2", name, "odm", seed, ["odm"], guess=60, after=(*decoded, classifier))
    yield _run(given, "table 2", name, "ml", seed, ["ml"], guess=25, after=(*decoded, classifier))


def _run(
    given: argparse.Namespace,
    table: str,
    name: str,
    what: str,
    seed: int,
    methods: Sequence[str],
    *,
    guess: float,
    after: tuple[str, ...],
) -> Job:
    """Return a job that scores methods with one more seed; the seeds before it are stored by then."""
    before = (f"{table} {name} {what} seed {seed - 1}",) if seed else ()
    return Job(
        name=f"{table} {name} {what} seed {seed}",
        command=_command(given, table, [name], methods, seed + 1),
        guess=guess,
        after=(*after, *before),
    )


def _command(
    given: argparse.Namespace, table: str, names: Sequence[str], methods: Sequence[str], seeds: int
) -> tuple[str, ...]:
    options: list[tuple[str, str]] = [
        *(("--in", name) for name in names),
        *(("--method", method) for method in methods),
        *(("--out", entry) for entry in (given.out_set if table == "table 1" else ())),
        *(("--set", entry) for entry in given.set),
        ("--seeds", str(seeds)),
        ("--recipe", given.recipe),
        ("--device", given.device),
        ("--data-dir", str(given.data)),
        ("--results-dir", str(given.out / table.replace(" ", ""))),
        ("--cache-dir", str(given.out / "cache")),
    ]
    return (sys.executable, "-m", "oodbench", "run", *(part for option in options for part in option))


def log_of(out: Path, job: Job) -> Path:
    """Return the file that holds what a job prints."""
    return out / "logs" / f"{job.name.replace(' ', '-')}.txt"


def started(out: Path, job: Job, threads: int) -> Process:
    """Begin a job; what it prints goes to its log."""
    log = log_of(out, job)
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1", "COLUMNS": "160"}
    with log.open("a", encoding="utf-8") as file:
        print(f"$ {' '.join(job.command)}", file=file, flush=True)
        return subprocess.Popen(  # noqa: S603  # made above
            job.command, stdout=file, stderr=subprocess.STDOUT, env=environment, cwd=ROOT
        )


def write_report(out: Path, jobs: Sequence[Job], outcomes: Mapping[str, Outcome], machine: str) -> None:
    """Say in `report.md` what was done, and what not, and why."""
    lines = [
        "# What was run on the GPU",
        "",
        machine,
        "",
        "| job | state | seconds | why not |",
        "| --- | --- | ---: | --- |",
    ]
    for job in jobs:
        outcome = outcomes.get(job.name, Outcome(state="waiting or running"))
        lines.append(f"| {job.name} | {outcome.state} | {outcome.seconds:.0f} | {outcome.reason} |")
    aside = out / "report.md.tmp"
    aside.write_text("\n".join(lines) + "\n", encoding="utf-8")
    aside.replace(out / "report.md")


def write_tables(given: argparse.Namespace) -> None:
    """Write the tables of what is stored, as Markdown."""
    for table, names in (("table1", given.table1), ("table2", given.table2)):
        if not list((given.out / table).rglob("*.json")):
            continue
        options = [part for name in names for part in ("--in", name)]
        legacy = ["--legacy"] if table == "table1" else []
        command = [sys.executable, "-m", "oodbench", "table", *options, *legacy, "--format", "markdown"]
        command += ["--results-dir", str(given.out / table)]
        with (given.out / f"{table}.md").open("w", encoding="utf-8") as file:
            subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False, timeout=60)  # noqa: S603


def pack(out: Path, folder: Path) -> None:
    """Pack everything but the cache: records, logs and report into one file, scores into some of a limited size."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [file for file in sorted(out.rglob("*")) if file.is_file() and out / "cache" not in file.parents]
    scores = [file for file in files if file.suffix == ".npz"]
    _archive(folder / "records.tar.gz", out, [file for file in files if file.suffix != ".npz"])
    part: list[Path] = []
    number = 0
    for file in [*scores, None]:
        size = sum(entry.stat().st_size for entry in part)
        if part and (file is None or size + file.stat().st_size > PACKED_MB * 1e6):
            number += 1
            _archive(folder / f"scores-{number}.tar.gz", out, part)
            part = []
        if file is not None:
            part.append(file)


def _archive(archive: Path, out: Path, files: Sequence[Path]) -> None:
    aside = archive.with_suffix(".tmp")
    with tarfile.open(aside, "w:gz", compresslevel=1) as tar:
        for file in files:
            tar.add(file, file.relative_to(out))
    aside.replace(archive)


def describe(device: str) -> str:
    """Return one line about the machine and the versions."""
    import torch

    gpu = torch.cuda.get_device_name(0) if device != "cpu" and torch.cuda.is_available() else "no GPU"
    return f"{gpu}, {os.cpu_count()} processors, Python {sys.version.split()[0]}, PyTorch {torch.__version__}"


@contextmanager
def _ended_by_a_signal() -> Iterator[None]:
    """Let SIGTERM end the run as Ctrl-C does, so that nothing that was begun runs on."""

    def end(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything; return 0 where nothing failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for results, logs, report and cache")
    parser.add_argument("--minutes", type=float, required=True, help="the time there is")
    parser.add_argument("--data", type=Path, required=True, help="folder with the images")
    parser.add_argument("--slots", type=int, default=5, help="how many commands run at once")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--table1", nargs="*", default=["svhn", "cifar10"], help="benchmarks that are run as Table 1")
    parser.add_argument("--table2", nargs="*", default=["tsinghua"], help="benchmarks that are run as Table 2")
    parser.add_argument("--out-set", nargs="*", default=["lsun=intel_scenes"], help="as --out of a run, for Table 1")
    parser.add_argument("--set", nargs="*", default=[], help="as --set of a run")
    parser.add_argument("--speed-images", type=int, default=20_000, help="of the speed scripts")
    parser.add_argument("--only", nargs="*", default=[], help="only jobs with one of these texts in their names")
    parser.add_argument("--pack", type=Path, help="folder for archives of what is done, made anew after each job")
    given = parser.parse_args(arguments)
    given.out, given.data = given.out.resolve(), given.data.resolve()
    given.out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    jobs, machine = jobs_of(given), describe(given.device)
    if not importlib.util.find_spec("pytorch_ood"):
        jobs = [job for job in jobs if job.name != "detectors"]
        machine += "; detectors are not timed: pytorch-ood is not installed"
    threads = max(1, (os.cpu_count() or 1) // given.slots)

    def changed(outcomes: Mapping[str, Outcome]) -> None:
        name, outcome = list(outcomes.items())[-1]
        print(f"{time.monotonic() - began:5.0f} s  {name}: {outcome.state} {outcome.reason}", flush=True)
        write_report(given.out, jobs, outcomes, machine)
        if given.pack and outcome.state == "done":
            pack(given.out, given.pack)

    schedule = Schedule(
        seconds=60 * given.minutes - MARGIN,
        slots=given.slots,
        start=lambda job: started(given.out, job, threads),
        changed=changed,
    )
    try:
        with _ended_by_a_signal():
            outcomes = schedule.run(jobs)
    finally:
        write_tables(given)
        if given.pack:
            pack(given.out, given.pack)
    return int(any(outcome.state == "failed" for outcome in outcomes.values()))


if __name__ == "__main__":
    sys.exit(main())
