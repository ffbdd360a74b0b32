"""Memory: sets that are larger than what is allowed go through a network, and into fits, piece by piece."""

from __future__ import annotations

import ctypes
import importlib
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from numpy.lib.format import open_memmap
from PIL import Image

import oodbench
from oodbench import batch, image_rows
from oodbench.api import FitInputs
from oodbench.batch import Batch
from oodbench.engine.evaluation import scores_of
from oodbench.engine.outputs import KeptOutputs
from oodbench.engine.request import request
from oodbench.images import ImageSet
from oodbench.jobs import ReadyNetwork
from oodbench.plugins import registry
from oodbench.progress import SILENT
from oodbench.store.workspace import Workspace
from tests.linear_head import Classifier

N, SIDE = 40_000, 64
LIMIT = 200 << 20


class Means(torch.nn.Module):
    """A network that costs next to nothing: a few means of the image."""

    def features(self, images):
        return torch.nn.functional.avg_pool2d(images, SIDE // 2).flatten(1)

    def head(self, features):
        return features[:, :4]


class InUse(ctypes.Structure):
    """What `mallinfo2` returns: `hblkhd` are the bytes of large arrays in use, `uordblks` those of all else."""

    _fields_: ClassVar = [
        ("before", ctypes.c_size_t * 4),
        ("hblkhd", ctypes.c_size_t),
        ("between", ctypes.c_size_t * 2),
        ("uordblks", ctypes.c_size_t),
        ("after", ctypes.c_size_t * 2),
    ]


try:
    in_use = ctypes.CDLL(None).mallinfo2
    in_use.restype = InUse
except (AttributeError, OSError):
    pytest.skip("only glibc 2.33 and later tell how many bytes are in use", allow_module_level=True)


def own_memory():
    """Return the bytes that the process has in use, without files that are mapped into it.

    Not those that the system counts: glibc keeps what was freed, the more the smaller a network is, since arrays of
    one size leave holes between which nothing fits (its bug 14581).
    """
    found = in_use()
    return found.hblkhd + found.uordblks


def test_a_set_larger_than_the_memory_it_is_given_is_scored(tmp_path):
    images = open_memmap(tmp_path / "images.npy", mode="w+", dtype=np.uint8, shape=(N, 3, SIDE, SIDE))
    assert images.nbytes > 2 * LIMIT
    large = ImageSet(name="large", images=images)
    network = ReadyNetwork(module=Means().eval(), digest="means", facts={})
    cpu = torch.device("cpu")
    with growth() as highest:
        batch = Batch.of(
            large, KeptOutputs(network, large, Workspace.of(cache_dir=tmp_path / "cache", report=SILENT), cpu), cpu
        )
        scores = scores_of(registry.method("energy")().fit(None), batch, "energy")

    assert scores.shape == (N,)
    assert max(highest) < LIMIT


@contextmanager
def growth():
    """Give, after the block, by how much the memory of the process had grown at many moments within it."""
    before, running = own_memory(), True
    highest = [0]

    def watch():
        while running:
            highest.append(own_memory() - before)
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield highest
    finally:
        running = False
        watcher.join()


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    """Return a batch of mapped outputs, 80 MB of features, and the network whose head gives its logits."""
    folder = tmp_path_factory.mktemp("rows")
    features = open_memmap(folder / "features.npy", mode="w+", dtype=np.float32, shape=(N, 512))
    logits = open_memmap(folder / "logits.npy", mode="w+", dtype=np.float32, shape=(N, 10))
    torch.manual_seed(0)
    network = Classifier(head=torch.nn.Linear(512, 10))
    labels = np.arange(N) % 10
    for start in range(0, N, 1000):
        rng = np.random.default_rng(start)
        part = rng.random((1000, 512), dtype=np.float32)
        part[np.arange(1000), labels[start : start + 1000]] += 2
        features[start : start + 1000] = part
        logits[start : start + 1000] = network.head(torch.from_numpy(part))
    images = np.broadcast_to(np.zeros(1, np.uint8), (N, 1, 1, 1))
    source = ImageSet(name="rows", images=images, labels=labels, class_names=tuple("abcdefghij"))
    return Batch.of(source, {"features": features, "logits": logits}, torch.device("cpu")), network


@pytest.mark.parametrize(
    ("method", "kept"),
    [
        *[
            ("react", 0),
            ("vra", 0),
            ("openmax", 0),
            ("klm(fit_to=train)", 0),
            ("she", 0),
            ("mahalanobis", 0),
            ("vim", 0),
        ],
        # These keep the features of training images, once.
        *[("knn", 1), ("nnguide", 1), ("relation", 1)],
    ],
)
def test_fitting_to_mapped_features_holds_no_more_than_it_keeps(method, kept, mapped, monkeypatch):
    train, network = mapped
    (entry,) = request(["digits"], [method]).methods["digits"]
    monkeypatch.setattr(importlib.import_module("oodbench.methods._moments"), "VALUES_AT_ONCE", 2**20)
    inputs = FitInputs(
        networks=(network,), train=train, validation=None, seen_ood=None, ood_test={}, n_classes=10, seed=0
    )
    # What is imported and allocated once does not count.
    entry.method.fit(replace(inputs, train=train.at(slice(2000))))
    with growth() as highest:
        entry.method.fit(inputs)

    whole = train.outputs["features"].nbytes
    # What is in work has a size of its own, here up to 60 MB.
    assert max(highest) < (kept + 0.9) * whole


FILES_LIMIT, FILES_SIDE = 48 << 20, 256


def write_photos(place, count):
    """Write files of one colour each, half of them test images and half others."""
    for i in range(count):
        file = place / ("test" if i % 2 else "other") / f"class {i // 2 % 4}" / f"{i:05}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (FILES_SIDE, FILES_SIDE), (i % 256, i // 256, 7)).save(file)
    return place


@pytest.fixture(scope="module")
def many_photos(tmp_path_factory):
    """Files whose pixels take four times the memory that their evaluation is given."""
    return write_photos(tmp_path_factory.mktemp("photos"), 4 * FILES_LIMIT // (3 * FILES_SIDE**2))


class Shown(torch.nn.Module):
    """A few means of the image, and a linear layer."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(12, 4)

    def forward(self, images):
        return self.layer(torch.nn.functional.avg_pool2d(images, FILES_SIDE // 2).flatten(1))


@pytest.mark.parametrize(("methods", "room"), [(["msp"], "1GB"), (["odin"], "0"), (["odin"], "1GB")])
def test_files_with_four_times_the_pixels_are_evaluated(many_photos, tmp_path, monkeypatch, methods, room):
    monkeypatch.setattr(image_rows, "READ_AHEAD", 8 << 20)
    monkeypatch.setattr(batch, "VALUES_AT_ONCE", 4 * 3 * FILES_SIDE**2)

    def evaluate(place, cache):
        return oodbench.evaluate(
            Shown(), place / "test", {"other": place / "other"}, methods=methods, normalise="none",
            image_size=FILES_SIDE, cache_dir=tmp_path / cache, pixel_cache=room, report=SILENT,
        )  # fmt: skip

    # What is imported and allocated once does not count.
    evaluate(write_photos(tmp_path / "few", 32), "of few")
    with growth() as highest:
        frame = evaluate(many_photos, "of many")

    assert 3 * FILES_SIDE**2 * (frame["n_id"][0] + frame["n_ood"][0]) > 3.9 * FILES_LIMIT
    assert max(highest) < FILES_LIMIT
