"""The one forward pass, and the network that it runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from oodbench import batch as module
from oodbench.engine.outputs import KeptOutputs
from oodbench.engine.request import request
from oodbench.engine.runner import prepare
from oodbench.errors import ScoreError
from oodbench.images import ImageSet
from oodbench.jobs import ReadyNetwork
from oodbench.store.workspace import Workspace
from oodbench.training.trained import network_of
from tests.helpers import Listener, small_benchmark

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs")
    prepared = prepare(
        request([small_benchmark()], ["msp"], recipe="short"),
        results_dir=folder / "results",
        workspace=Workspace.of(cache_dir=folder / "cache"),
        device="cpu",
    )
    (job,) = prepared.plan.trainings()
    return network_of(job, prepared.data, prepared.workspace, CPU, pictures=folder)


def images(n=23):
    pixels = np.random.default_rng(0).integers(0, 256, (n, 1, 8, 8), dtype=np.uint8)
    return ImageSet(name="some", images=pixels)


def test_outputs_of_pieces_are_those_of_the_whole(network, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CPU_BATCH_SIZE", 5)
    listener, some = Listener(), images()

    outputs = KeptOutputs(network, some, Workspace.of(cache_dir=tmp_path, report=listener), CPU)

    with torch.no_grad():
        features = network.module.features(torch.tensor(some.images).float() / 255)
        logits = network.module.head(features)
    np.testing.assert_allclose(outputs["features"], features, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(outputs["logits"], logits, rtol=1e-5, atol=1e-6)
    assert [done for _, done, _ in listener.tasks] == [5, 10, 15, 20, 23]


def test_trained_network_is_loaded_in_the_layout_that_it_was_trained_in(network):
    assert isinstance(network, ReadyNetwork)
    kernels = [weights for weights in network.module.parameters() if weights.ndim == 4 and weights.shape[1] > 1]

    assert kernels
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)
    assert not any(weights.requires_grad for weights in network.module.parameters())


@dataclass(frozen=True)
class Broken:
    """A reading that no network can give."""

    name: str = "broken"

    def layers(self, network, shape):
        return ["body.0"]

    def of(self, maps):
        raise ValueError("no such map")


@dataclass(frozen=True)
class FirstLayer:
    """The mean of the first layer."""

    name: str = "first layer"

    def layers(self, network, shape):
        return ["body.0"]

    def of(self, maps):
        return maps["body.0"].flatten(1).mean(dim=1)


def test_a_reading_that_fails_keeps_nothing_else_from_the_pass(network, tmp_path):
    workspace = Workspace.of(cache_dir=tmp_path, report=Listener())
    outputs = KeptOutputs(network, images(), workspace, CPU, [Broken(), FirstLayer()])

    assert set(outputs) == {"features", "logits", "first layer"}
    with pytest.raises(ScoreError, match=r"the reading broken of the network's layers fails: ValueError: no such map"):
        outputs["broken"]


def test_readings_come_from_the_one_pass_and_are_kept(network, tmp_path):
    some, listener = images(), Listener()
    workspace = Workspace.of(cache_dir=tmp_path, report=listener)
    first = KeptOutputs(network, some, workspace, CPU, [FirstLayer()])["first layer"]
    passes = len(listener.tasks)
    again = KeptOutputs(network, some, workspace, CPU, [FirstLayer()])

    with torch.no_grad():
        expected = network.module.body[0](torch.tensor(some.images).float() / 255).flatten(1).mean(dim=1)
    np.testing.assert_allclose(first, expected, rtol=1e-5)
    assert again["logits"].shape == (len(some), 3)
    assert len(listener.tasks) == passes
