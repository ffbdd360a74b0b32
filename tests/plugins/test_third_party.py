"""A package of somebody else brings one of everything that contract 2 knows; it runs, is killed, and goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

MODULE = '''
"""A two-headed network, one that starts from it, a method with both, a metric of samples, and a suite."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from oodbench import Benchmark, Conversion, CrossEntropy, LossObjective, OodSet, Part, Recipe, Suite, TrainConfig

OODBENCH_CONTRACT = 2


class TwoHeads(nn.Module):
    def __init__(self, backbone, n_classes, n_features):
        super().__init__()
        self.backbone, self.second = backbone, nn.Linear(n_features, n_classes)

    def outputs(self, images):
        features = self.backbone.features(images)
        return {"features": features, "logits": self.backbone.head(features), "logits_2": self.second(features)}

    def forward(self, images):
        return self.outputs(images)


@dataclass(frozen=True, kw_only=True)
class HeadOfItsOwn(LossObjective):
    name: ClassVar[str] = "two_heads"
    uses_seen_ood: ClassVar[bool] = False
    needs: ClassVar[frozenset] = frozenset({"classes"})

    def build(self, backbone, shape, n_classes, embedding_dim):
        body = backbone(shape, n_classes)
        with torch.no_grad():
            n_features = body.eval().features(torch.zeros(1, *shape)).shape[1]
        return TwoHeads(body, n_classes, n_features)

    def loss(self, outputs, labels, generator):
        loss = nn.functional.cross_entropy
        return loss(outputs["logits"], labels) + loss(outputs["logits_2"], labels)

    def embed(self, outputs):
        return outputs.softmax(dim=1)


@dataclass(frozen=True, kw_only=True)
class StartsFromIt(HeadOfItsOwn):
    name: ClassVar[str] = "two_heads_tuned"

    @property
    def starts_from(self):
        return HeadOfItsOwn()


@dataclass(frozen=True, kw_only=True)
class TwoNetworks:
    title: ClassVar[str] = "Agreement of heads of two networks"
    source: ClassVar[str] = "a test"
    sees: ClassVar[frozenset] = frozenset()
    networks: ClassVar[tuple] = (HeadOfItsOwn(), StartsFromIt())

    def fit(self, inputs):
        assert len(inputs.networks) == 2
        return Agreement()


@dataclass(frozen=True)
class Agreement:
    def score(self, batch):
        first, tuned = batch.members
        return (first.output("logits").softmax(1) * tuned.output("logits_2").softmax(1)).sum(1).double()

    def classify(self, batch):
        return batch.logits.argmax(1)


class WronglyAccepted:
    label, higher_is_better, takes = "OOD images among the better half of the ID images", False, "samples"

    def __call__(self, samples):
        return float(np.mean(samples.scores_ood >= np.median(samples.scores_id[samples.correct])))


def member(known):
    others = tuple(digit for digit in "0123456" if digit not in known)
    return Benchmark(
        name=f"pairs-{known[0]}{known[1]}",
        title="two digits",
        source="a test",
        id_train=Part(dataset="digits", split="train", classes=known),
        id_test=Part(dataset="digits", classes=known),
        ood=(OodSet(name="others", part=Part(dataset="digits", classes=others), role="novelty"),),
        conversion=Conversion(size=(8, 8), channels=1),
        network="tinynet",
        recipes={"default": Recipe(default=TrainConfig(epochs=3, batch_size=64))},
        layout="suite",
    )


PAIRS = Suite(name="pairs", title="pairs of digits", source="a test", members=(member(("0", "1")), member(("2", "3"))))
METRIC = WronglyAccepted()
'''

ENTRIES = {
    "methods": {"two_networks": "stranger:TwoNetworks"},
    "metrics": {"wrongly_accepted": "stranger:METRIC"},
    "suites": {"pairs": "stranger:PAIRS"},
}

LINGERING = """
import time
from pathlib import Path

import stranger
from oodbench import cli

loss = stranger.StartsFromIt.loss


def slow(self, outputs, labels, generator):
    Path("ready").touch()
    time.sleep(60)
    return loss(self, outputs, labels, generator)


stranger.StartsFromIt.loss = slow
cli.main()
"""
COMMAND = ("run", "--in", "pairs", "--method", "two_networks", "--method", "msp", "--device", "cpu")


@pytest.fixture
def stranger(plugins, tmp_path):
    """Install the package for this test, and return the environment of a process that has it as well."""
    plugins("stranger", ENTRIES, {"stranger.py": MODULE})
    return {**os.environ, "PYTHONPATH": str(tmp_path / "site-packages")}


def records(folder):
    return {
        (record["benchmark"]["name"], record["method"]): record
        for record in (json.loads(file.read_text()) for file in Path(folder).rglob("*.json"))
    }


def test_everything_of_a_stranger_runs_and_goes_on_after_a_kill(stranger, oodbench, monkeypatch):
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", LINGERING, *COMMAND, "--results-dir", "results"],
        env=stranger,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not Path("ready").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert Path("ready").exists()
    process.send_signal(signal.SIGKILL)
    process.wait()

    again = oodbench(*COMMAND, "--results-dir", "results")
    monkeypatch.setenv("OODBENCH_CACHE", str(Path("other").absolute()))
    whole = oodbench(*COMMAND, "--results-dir", "whole")

    assert (again.code, whole.code) == (0, 0), again.err + whole.err
    # The network that the other starts from was trained before the kill, and is not trained again.
    assert again.err.count("trained pairs-01 two_heads seed 0") == 0
    assert again.err.count("trained pairs-01 two_heads_tuned seed 0") == 1
    assert whole.err.count("trained pairs-01 two_heads seed 0") == 1
    stored, expected = records("results"), records("whole")
    assert (
        stored.keys()
        == expected.keys()
        == {(benchmark, method) for benchmark in ("pairs-01", "pairs-23") for method in ("two_networks", "msp")}
    )
    for name, record in stored.items():
        assert record["rows"] == expected[name]["rows"]
        assert record["suite"] == "pairs"
        assert "wrongly_accepted" in record["rows"][0]["metrics"]
    assert " two_networks " in again.out
    assert "2 members: pairs-01, pairs-23" in again.out


@pytest.mark.usefixtures("stranger")
def test_a_stranger_keeps_the_contract(oodbench):
    done = oodbench("check", "two_networks", "pairs", "wrongly_accepted")

    assert done.code == 0, done.out + done.err
