"""Memory: sets that are larger than what is allowed go through a network piece by piece."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib.format import open_memmap

from oodbench.batch import Batch
from oodbench.engine.evaluation import scores_of
from oodbench.engine.outputs import KeptOutputs
from oodbench.images import ImageSet
from oodbench.jobs import ReadyNetwork
from oodbench.plugins import registry
from oodbench.progress import SILENT
from oodbench.store.workspace import Workspace

STATUS = Path("/proc/self/status")
N, SIDE = 40_000, 64
LIMIT = 200 << 20


class Means(torch.nn.Module):
    """A network that costs next to nothing: a few means of the image."""

    def features(self, images):
        return torch.nn.functional.avg_pool2d(images, SIDE // 2).flatten(1)

    def head(self, features):
        return features[:, :4]


def own_memory():
    """Return the bytes that the process holds by itself, without files that are mapped into it."""
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) << 10


@pytest.mark.skipif(not STATUS.exists(), reason="only Linux tells a process's own memory from mapped files")
def test_a_set_larger_than_the_memory_it_is_given_is_scored(tmp_path):
    images = open_memmap(tmp_path / "images.npy", mode="w+", dtype=np.uint8, shape=(N, 3, SIDE, SIDE))
    assert images.nbytes > 2 * LIMIT
    large = ImageSet(name="large", images=images)
    network = ReadyNetwork(module=Means().eval(), digest="means", facts={})
    cpu = torch.device("cpu")
    highest, running = [own_memory()], True

    def watch():
        while running:
            highest.append(own_memory())
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    before = own_memory()
    watcher.start()
    try:
        batch = Batch.of(
            large, KeptOutputs(network, large, Workspace.of(cache_dir=tmp_path / "cache", report=SILENT), cpu), cpu
        )
        scores = scores_of(registry.method("energy")().fit(None), batch, "energy")
    finally:
        running = False
        watcher.join()

    assert scores.shape == (N,)
    assert max(highest) - before < LIMIT
