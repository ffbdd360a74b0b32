"""The ensemble: the mean softmax of several networks, each with a seed of its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from oodbench.batch import Batch
from oodbench.engine.request import request
from oodbench.engine.runner import prepare
from oodbench.errors import ConfigError
from oodbench.images import ImageSet
from oodbench.plugins import registry
from tests.helpers import small_benchmark

Ensemble = registry.method("ensemble")


def batch(*logits):
    images = ImageSet(name="two", images=np.zeros((2, 1, 2, 2), np.uint8))
    members = [{"logits": np.array(values, np.float32), "features": np.zeros((2, 1), np.float32)} for values in logits]
    return Batch.of(images, members[0], torch.device("cpu"), tuple(members[1:]))


def test_score_is_the_largest_mean_probability():
    log = np.log
    # Probabilities (0.9, 0.1) and (0.5, 0.5) average to (0.7, 0.3); (0.2, 0.8) and (0.6, 0.4) to (0.4, 0.6).
    two = batch([log([0.9, 0.1]), log([0.2, 0.8])], [log([0.5, 0.5]), log([0.6, 0.4])])

    detector = Ensemble(members=2).fit(None)

    assert detector.score(two).tolist() == pytest.approx([0.7, 0.6])
    assert detector.classify(two).tolist() == [0, 1]
    assert detector.score(two.at(slice(1, 2))).tolist() == pytest.approx([0.6])


def test_of_one_member_it_is_the_maximum_softmax_probability():
    one = batch([[2.0, -1.0], [0.0, 3.0]])
    msp = registry.method("msp")().fit(None)

    assert torch.equal(Ensemble(members=1).fit(None).score(one), msp.score(one))


def test_ensembles_of_two_seeds_have_no_network_in_common():
    plan = prepare(request([small_benchmark()], [Ensemble(members=3), "msp"], seeds=2)).plan

    seeds = {cell.seed: [job.seed for job in cell.networks] for cell in plan.cells if cell.method_name == "ensemble"}
    assert seeds == {0: [0, 1, 2], 1: [3, 4, 5]}
    # The classifiers of the other methods are among them.
    assert len(plan.trainings()) == 6


def test_an_ensemble_has_a_member():
    with pytest.raises(ConfigError, match="members must be from 1 to 1,000, got 0"):
        Ensemble(members=0)
