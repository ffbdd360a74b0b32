"""Parts of a batch that suit the device."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from oodbench import batch as module
from oodbench.batch import Batch, batch_size, pass_size
from oodbench.images import ImageSet
from oodbench.scoring import BATCH_SIZE as SCORED_TOGETHER

N = 23
CPU = torch.device("cpu")


@pytest.fixture
def batch():
    """Images whose only pixel is their number."""
    images = np.arange(N, dtype=np.uint8)[:, None, None, None]
    outputs = {"logits": np.zeros((N, 2), np.float32), "features": np.zeros((N, 3), np.float32)}
    return Batch.of(ImageSet(name="some", images=images), outputs, CPU)


def numbers(batch):
    return (255 * batch.images.flatten()).round().int().tolist()


def test_passes_go_over_all_images_once_and_in_order(batch, monkeypatch):
    monkeypatch.setattr(module, "CPU_BATCH_SIZE", 10)

    assert list(batch.in_passes(numbers)) == [[*range(10)], [*range(10, 20)], [*range(20, 23)]]


def test_large_images_pass_in_small_parts():
    assert batch_size((3, 32, 32), 200) == 200
    assert batch_size((3, 2000, 2000), 200) == 1
    assert batch_size((3, 9000, 9000)) == 1


def with_memory_for(most, tried):
    def run(batch):
        tried.append(len(batch))
        if len(batch) > most:
            raise torch.cuda.OutOfMemoryError
        return numbers(batch)

    return run


def test_passes_that_need_too_much_memory_are_halved_and_nothing_is_lost(batch, monkeypatch):
    monkeypatch.setattr(module, "CPU_BATCH_SIZE", 20)
    tried = []

    parts = list(batch.in_passes(with_memory_for(6, tried)))

    assert tried == [20, 10, 5, 5, 5, 5, 3]
    assert [number for part in parts for number in part] == [*range(N)]


def test_one_image_that_needs_too_much_memory_is_an_error(batch):
    with pytest.raises(torch.cuda.OutOfMemoryError):
        list(batch.in_passes(with_memory_for(0, [])))


def test_smaller_batches_divide_larger_ones():
    # A detector scores pieces of a set, and its passes must be those of the run, to the last bit.
    for side in (1, 28, 32, 48, 64, 96, 100, 160, 224, 299, 500, 1000, 4000):
        for channels in (1, 3):
            size = pass_size((channels, side, side), CPU)
            assert 1 <= size <= 256
            assert batch_size((channels, side, side), SCORED_TOGETHER) % size == 0
            assert batch_size((channels, side, side)) % size == 0


def test_few_large_images_pass_through_a_processor_together():
    assert pass_size((3, 224, 224), CPU) == 4
    assert pass_size((3, 32, 32), CPU) == 256
    assert pass_size((3, 224, 224), torch.device("cuda")) == 64
