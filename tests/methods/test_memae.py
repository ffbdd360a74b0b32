"""The memory of MemAE against its equations."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
import torch

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.learning import learn, noise, stripes
from tests.named_outputs import NamedBatch

HOME = registry.method("memae").__module__.rpartition(".")[0]
Memory = importlib.import_module(f"{HOME}._memory").Memory


def objective(**settings):
    (found,) = registry.method("memae")(**{"width": 4, "items": 10, **settings}).networks
    return found


def memory(items, shrinkage):
    made = Memory(len(items), len(items[0]), shrinkage)
    made.items.data = torch.tensor(items)
    return made


def test_score_is_minus_the_error():
    detector = registry.method("memae")().fit(None)

    assert detector.score(NamedBatch({"error": [0.5, 0.0]})).tolist() == [-0.5, 0.0]


def test_weights_are_the_softmax_of_cosines_without_those_below_the_threshold():
    # Cosines 1, 0 and −1, whatever the lengths.
    made = memory([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]], shrinkage=0.2)
    exponentials = [math.e, 1.0, 1 / math.e]
    softmax = [value / sum(exponentials) for value in exponentials]
    kept = softmax[0] + softmax[1]

    weights = made.weights(torch.tensor([[5.0, 0.0]]))

    assert softmax[2] < 0.2 < softmax[1]
    assert weights[0].tolist() == pytest.approx([softmax[0] / kept, softmax[1] / kept, 0.0], abs=1e-6)


def test_without_shrinkage_all_items_count():
    made = memory([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]], shrinkage=0.0)

    assert made.weights(torch.tensor([[5.0, 0.0]])).sum().item() == pytest.approx(1)
    assert (made.weights(torch.randn(20, 2)) > 0).all()


def test_weights_that_are_all_below_the_threshold_give_zeros_and_no_number_that_is_none():
    made = memory([[1.0, 0.0], [1.0, 0.0]], shrinkage=0.9)

    assert made.weights(torch.ones(1, 2)).tolist() == [[0.0, 0.0]]


def test_loss_by_hand():
    outputs = {"error": torch.tensor([0.1, 0.3]), "entropy": torch.tensor([1.0, 2.0])}

    assert objective(entropy_weight=0.1).loss(outputs, None, None).item() == pytest.approx(0.2 + 0.15)


def test_entropy_is_that_of_the_weights():
    network, _ = learn(objective(), stripes(), steps=1)
    images = stripes(4)

    made = network.outputs(images)

    weights = network.memory.weights(made["code"])
    expected = [-sum(w * math.log(w) for w in row if w > 0) for row in weights.tolist()]
    assert made["entropy"].tolist() == pytest.approx(expected, rel=1e-4)


def test_training_makes_better_pictures_of_its_kind_of_image_and_moves_the_memory():
    network, losses = learn(objective(), stripes(), steps=60, learning_rate=1e-2)

    with torch.no_grad():
        familiar, strange = (network.outputs(images)["error"] for images in (stripes(seed=5), noise()))
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    assert familiar.mean() < strange.mean()
    assert network.memory.items.abs().max() > 1 / math.sqrt(10)


@pytest.mark.parametrize(
    "settings", [{"items": 0}, {"shrinkage": -1.0}, {"shrinkage": 100.0}, {"entropy_weight": -1.0}, {"code_dim": 0}]
)
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ConfigError, match=f"{next(iter(settings))} must be"):
        registry.method("memae")(**settings)
