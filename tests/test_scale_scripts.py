"""The scripts that measure batches, networks, a million rows and clusters run, on next to nothing."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from oodbench.engine.tasks import Task

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    yield importlib.import_module
    for name in ("_scene", "batches", "networks", "rows", "ray_scaling"):
        sys.modules.pop(name, None)


def test_batches_are_searched_and_compared(script, capsys):
    script("batches").main(
        [*["--networks", "resnet18", "--sizes", "1", "2", "--pixels", "8", "--rounds", "1"]],
    )

    lines = capsys.readouterr().out.splitlines()
    assert sum("at once:" in line for line in lines) == 4
    assert lines[-1].startswith("| resnet18 | 256 |")


def test_networks_are_trained_for_as_long_as_their_pace_allows(script, capsys):
    script("networks").main(
        [
            *["--in", "digits", "--recipe", "default", "--networks", "resnet9_half"],
            *["--minutes", "0.01", "--steps", "1"],
        ]
    )

    header, *_, last = capsys.readouterr().out.splitlines()
    assert "digits, 0.01 minutes each" in header
    assert last.startswith("| resnet9_half | 1.6 |")


def test_methods_are_fitted_to_made_rows_in_processes_of_their_own(script, capsys, tmp_path):
    rows = script("rows")
    rows.main(
        [
            *["--rows", "300", "--scored", "20", "--features", "8", "--classes", "3", "--folder", str(tmp_path)],
            *["--methods", "energy", "knn(max_images=100)", "gradnorm", "openmax(tail_size=5)"],
        ]
    )

    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0] for line in table] == [
        *["| method", "| ---", "| energy", "| knn(max_images=100)", "| gradnorm", "| openmax(tail_size=5)"]
    ]
    assert all(len(line.split("|")) == 8 for line in table)


def test_without_names_all_methods_are_taken_that_may_do_with_outputs(script):
    chosen = script("rows").chosen_methods([])
    assert {"msp", "energy", "react", "knn", "mahalanobis", "vim", "isolation_forest", "weiper"} <= set(chosen)
    assert not {"odm", "odin", "gram", "ensemble", "outlier_exposure", "vae"} & set(chosen)


def test_a_simulated_schedule_is_that_of_a_list_scheduler(script):
    simulated = script("ray_scaling").simulated
    tasks = [Task(kind="train", name=name) for name in "abc"]
    tasks += [Task(kind="score", name=name.upper(), needs=frozenset(name)) for name in "abc"]
    seconds = {(task.kind, task.name): 3.0 if task.kind == "train" else 1.0 for task in tasks}

    assert simulated(tasks, seconds, 1, 0.0) == 12
    # Two trainings, then the third beside two groups of cells, then its own.
    assert simulated(tasks, seconds, 2, 0.0) == 7
    assert simulated(tasks, seconds, 3, 0.0) == simulated(tasks, seconds, 100, 0.0) == 4
    # The driver hands over three, takes one, hands over its group, …: what it costs comes on top.
    assert simulated(tasks, seconds, 1, 0.2) == pytest.approx(12 + 6 * 0.2)
