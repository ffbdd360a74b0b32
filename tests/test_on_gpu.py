"""What is run on a GPU in a few minutes: the order, the estimates and the end, by a clock that is made up."""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    yield importlib.import_module("on_gpu")
    sys.modules.pop("on_gpu", None)


class World:
    """A clock that moves when somebody sleeps, and commands that take as long as they are told."""

    def __init__(self, taking, codes=None):
        self.now, self.taking, self.codes = 100.0, taking, codes or {}
        self.log, self.terminated = [], []

    def start(self, job):
        world, began = self, self.now
        self.log.append((self.now - 100, job.name))

        class Process:
            def poll(self):
                return world.codes.get(job.name, 0) if world.now - began >= world.taking[job.name] else None

            def terminate(self):
                world.terminated.append(job.name)

            def wait(self, timeout=None):
                if world.taking[job.name] == float("inf"):
                    raise subprocess.TimeoutExpired(job.name, timeout)
                return -15

        return Process()

    def sleep(self, seconds):
        self.now += seconds


def run(script, jobs, world, *, seconds=1000, slots=2, changed=lambda outcomes: None):
    schedule = script.Schedule(
        seconds=seconds, slots=slots, start=world.start, clock=lambda: world.now, sleep=world.sleep, changed=changed
    )
    outcomes = schedule.run(jobs)
    return {name: outcome.state for name, outcome in outcomes.items()}, outcomes


def job(script, name, guess=10, after=(), *, alone=False):
    return script.Job(name=name, command=(name,), guess=guess, after=after, alone=alone)


def test_jobs_run_in_order_several_at_once_and_after_what_they_need(script):
    world = World({"a": 10, "b": 20, "c": 5, "d": 5})
    jobs = [job(script, "a"), job(script, "b"), job(script, "c", after=("b",)), job(script, "d")]

    states, outcomes = run(script, jobs, world)

    assert world.log == [(0, "a"), (0, "b"), (10, "d"), (20, "c")]
    assert set(states.values()) == {"done"}
    assert outcomes["b"].seconds == 20


def test_a_job_that_must_be_alone_waits_and_is_not_overtaken(script):
    world = World({"a": 10, "alone": 10, "b": 10})
    jobs = [job(script, "a"), job(script, "alone", alone=True), job(script, "b")]

    run(script, jobs, world)

    assert world.log == [(0, "a"), (10, "alone"), (20, "b")]


def test_what_a_failed_job_leaves_behind_is_left_out_with_the_reason(script):
    world = World({"a": 10, "c": 5}, codes={"a": 3})
    jobs = [job(script, "a"), job(script, "b", after=("a",)), job(script, "c")]

    states, outcomes = run(script, jobs, world)

    assert states == {"a": "failed", "b": "left out", "c": "done"}
    assert outcomes["a"].reason == "exit code 3, see its log"
    assert outcomes["b"].reason == "needs a"


def test_a_job_is_not_begun_if_one_of_its_kind_took_longer_than_what_is_left(script):
    world = World({"x seed 0": 60, "x seed 1": 60, "y seed 0": 20})
    jobs = [
        job(script, "x seed 0"),
        job(script, "x seed 1", after=("x seed 0",)),
        job(script, "y seed 0", guess=5, after=("x seed 0",)),
    ]

    states, outcomes = run(script, jobs, world, seconds=100)

    # x took six times as long as was guessed, and so y will: 30 seconds.
    assert states == {"x seed 0": "done", "x seed 1": "left out", "y seed 0": "done"}
    assert outcomes["x seed 1"].reason == "takes about 60 s, and 40 s are left"


def test_what_runs_when_the_time_is_up_is_stopped_and_the_rest_left_out(script):
    world = World({"slow": 500, "deaf": float("inf"), "next": 5})
    jobs = [job(script, "slow"), job(script, "deaf"), job(script, "next")]

    states, outcomes = run(script, jobs, world, seconds=60)

    assert states == {"slow": "stopped", "deaf": "stopped", "next": "left out"}
    assert world.terminated == ["slow", "deaf"]
    assert outcomes["slow"].seconds == pytest.approx(60)
    assert outcomes["slow"].reason == "the time was up; the same command goes on where it was"
    assert outcomes["deaf"].reason == "the time was up, and it did not end by itself"


def test_an_interrupt_stops_what_runs(script):
    world = World({"a": 500})

    def interrupted(seconds):
        raise KeyboardInterrupt

    world.sleep = interrupted
    with pytest.raises(KeyboardInterrupt):
        run(script, [job(script, "a")], world)

    assert world.terminated == ["a"]


def options(script, tmp_path, **changes):
    given = {
        "out": tmp_path / "out",
        "data": tmp_path,
        "seeds": 2,
        "recipe": "fast",
        "device": "cuda",
        "table1": ["svhn", "cifar10"],
        "table2": ["tsinghua"],
        "out_set": ["lsun=scenes"],
        "set": [],
        "speed_images": 100,
        "only": [],
    }
    return argparse.Namespace(**{**given, **changes})


def test_the_first_seeds_of_both_tables_come_before_the_second_and_the_speed_last(script, tmp_path):
    jobs = script.jobs_of(options(script, tmp_path))
    names = [job.name for job in jobs]

    assert names[:2] == ["table 1 decoding", "table 2 decoding"]
    assert names[2:8] == [
        f"table 1 {name} {what} seed 0" for name in ("svhn", "cifar10") for what in ("ce", "ccag seen", "odm")
    ]
    assert names.index("table 2 tsinghua odm seed 0") < names.index("table 1 svhn ce seed 1")
    assert names[-4:] == ["tests", "throughput", "detectors", "throughput compiled"]
    assert [job.name for job in jobs if job.name.endswith("ccag seed 1")] == []
    assert all(set(job.after) <= set(names[: i + len(names)]) for i, job in enumerate(jobs))
    assert all(names.index(name) < i for i, job in enumerate(jobs) for name in job.after)


def test_embeddings_wait_for_the_classifier_that_they_start_from_and_seeds_for_the_one_before(script, tmp_path):
    jobs = {job.name: job for job in script.jobs_of(options(script, tmp_path))}

    odm = jobs["table 1 svhn odm seed 1"]

    assert odm.after == ("table 1 decoding", "table 1 svhn ce seed 1", "table 1 svhn odm seed 0")
    assert odm.kind == "table 1 svhn odm"
    assert odm.command[odm.command.index("--seeds") + 1] == "2"


def test_the_whole_is_run_end_to_end_on_small_images(script, tmp_path, capsys):
    arguments = ["--minutes", "5", "--seeds", "1", "--recipe", "default", "--device", "cpu", "--slots", "1"]
    arguments += ["--table1", "digits", "--table2", "--out-set", "--only", "digits ce"]
    folders = {"--out": tmp_path / "out", "--data": tmp_path, "--pack": tmp_path / "packed"}
    arguments += [part for option, folder in folders.items() for part in (option, str(folder))]

    assert script.main([*arguments, "--set", "recipe.epochs=1"]) == 0

    report = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "| table 1 digits ce seed 0 | done |" in report
    assert "msp" in (tmp_path / "out" / "table1.md").read_text(encoding="utf-8")
    with tarfile.open(tmp_path / "packed" / "records.tar.gz") as archive:
        names = archive.getnames()
    assert {"report.md", "table1.md", "logs/table-1-digits-ce-seed-0.txt"} <= set(names)
    assert not any(name.startswith("cache") for name in names)
    with tarfile.open(tmp_path / "packed" / "scores-1.tar.gz") as archive:
        assert all(name.endswith(".npz") for name in archive.getnames())
    assert "table 1 digits ce seed 0: done" in capsys.readouterr().out


def test_scores_are_packed_in_files_of_a_limited_size(script, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "PACKED_MB", 0.0025)
    out = tmp_path / "out"
    out.mkdir()
    for i in range(5):
        (out / f"{i}.npz").write_bytes(bytes(1000))

    script.pack(out, tmp_path / "packed")

    packed = []
    for file in sorted((tmp_path / "packed").glob("scores-*")):
        with tarfile.open(file) as archive:
            packed.append(archive.getnames())
    assert packed == [["0.npz", "1.npz"], ["2.npz", "3.npz"], ["4.npz"]]
