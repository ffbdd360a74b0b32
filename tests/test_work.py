"""Work on several devices: the same results as on one, and clear words when something goes wrong."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
import torch

import oodbench
from oodbench import device as devices
from oodbench.engine.request import request
from oodbench.engine.runner import prepare
from oodbench.engine.tasks import groups
from oodbench.errors import ConfigError, DeviceError, PluginError, TrainingError
from oodbench.plugins import registry
from oodbench.posthoc import LogitMethod
from tests.helpers import Listener, small_benchmark

TIMES = ["train_seconds", "fit_seconds", "score_seconds"]


def run(results, device, methods=("msp", "ml", "ensemble(members=2)"), report=None, **settings):
    listener = report or Listener()
    frame = oodbench.run(
        small_benchmark(),
        list(methods),
        results_dir=results,
        cache_dir=f"cache-{results}",
        device=device,
        report=listener,
        **settings,
    )
    return frame, listener


def test_two_workers_give_the_table_of_one():
    alone, _ = run("one", "cpu")
    together, listener = run("two", "cpu,cpu")

    pd.testing.assert_frame_equal(alone.drop(columns=TIMES), together.drop(columns=TIMES))
    # Three networks: two classifiers, one of them shared, and an embedding.
    assert listener.count("[cpu] trained") == 3
    assert listener.count("[cpu] scored") == 3


def test_benchmarks_that_share_a_network_are_scored_on_their_own_sets():
    first = small_benchmark()
    frame = oodbench.run(
        [first, small_benchmark("other", ood=first.ood[1:])], "msp", results_dir="both", cache_dir="cache", device="cpu"
    )

    sets = frame.groupby("in_dist")["out_dist"].apply(set)
    assert sets["small"] - sets["other"] == {"seen digits"}
    assert len(list(Path("cache/networks").iterdir())) == 1
    stored = json.loads(next(Path("both/other").glob("*.json")).read_text())
    assert [row["out_dist"] for row in stored["rows"]] == ["new digits", "noise"]


def test_a_training_that_diverges_in_a_worker_says_so():
    with pytest.raises(TrainingError, match="lower the learning rate"):
        run("diverged", "cpu,cpu", ("ml",), settings={"recipe": {"learning_rate": 100.0, "optimizer": "sgd"}})


PLUGIN = """
import os, signal
from dataclasses import dataclass
from oodbench import LogitMethod

@dataclass(frozen=True, kw_only=True)
class TopLogit(LogitMethod):
    title = "the largest logit"
    source = "here"

    def score_logits(self, logits):
        return logits.amax(dim=1)

@dataclass(frozen=True, kw_only=True)
class Killer(TopLogit):
    def score_logits(self, logits):
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def plugin_file(plugins, tmp_path):
    (tmp_path / "top.py").write_text(PLUGIN)
    registry.add_file(tmp_path / "top.py")


@pytest.mark.usefixtures("plugin_file")
def test_workers_know_the_methods_of_a_plugin_file_and_an_error_in_one_is_an_error_of_the_run():
    listener = Listener()
    with pytest.raises(ConfigError, match="knn cannot find neighbour k=5000 among 323 training images"):
        run("plugin", "cpu,cpu", ("knn(k=5000)", "top_logit", "ml"), report=listener)

    # The others are stored, both the one that shares a network with the method that failed and the one that does not.
    assert {path.name.split("-")[0] for path in Path("plugin/small").glob("*.json")} == {"top_logit", "ml"}
    assert listener.count("[cpu] scored") == 2


@pytest.mark.usefixtures("plugin_file")
def test_a_worker_that_is_killed_is_one_sentence():
    with pytest.raises(DeviceError, match="a worker ended before its work was done: .* --device naming fewer devices"):
        run("killed", "cpu,cpu", ("killer",))


def test_a_method_that_no_worker_can_import_is_one_sentence(monkeypatch):
    elsewhere = ModuleType("only_here")
    monkeypatch.setitem(sys.modules, "only_here", elsewhere)
    exec(PLUGIN, vars(elsewhere))

    said = r"a worker cannot take up its work \(ModuleNotFoundError: No module named 'only_here' .*; define methods"
    with pytest.raises(PluginError, match=said):
        run("lost", "cpu,cpu", (elsewhere.TopLogit(),))


def test_a_method_that_cannot_be_pickled_is_one_sentence():
    @dataclass(frozen=True, kw_only=True)
    class Local(LogitMethod):
        title = source = "here"

        def score_logits(self, logits):
            return logits.amax(dim=1)

    with pytest.raises(PluginError, match=r"^small local seed 0 cannot be handed to another process .*or name one"):
        run("local", "cpu,cpu", (Local(),))


def test_cells_are_grouped_by_their_networks_and_ensembles_come_last():
    plan = prepare(request([small_benchmark()], ["ensemble", "msp", "ml", "energy"])).plan

    assert [[cell.method_name for cell in group] for group in groups(plan.cells)] == [
        ["msp", "energy"],
        ["ml"],
        ["ensemble"],
    ]


def names(text):
    return [str(device) for device in devices.resolve(text)]


def test_auto_takes_all_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    assert names("auto") == names("cuda") == ["cuda:0", "cuda:1"]
    assert names("cuda:1") == ["cuda:1"]
    assert names("cpu") == ["cpu"]
    with pytest.raises(DeviceError, match=r"no device 'cuda:7'; choose auto, .*here: cuda:0, cuda:1"):
        names("cuda:7")


def test_one_gpu_is_simply_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)

    assert names("auto") == names("cuda") == names("cuda:0") == ["cuda"]


def test_without_a_gpu_auto_is_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    assert names("auto") == ["cpu"]
    for name in ("cuda", "cuda:0"):
        with pytest.raises(DeviceError):
            names(name)
