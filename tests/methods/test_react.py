"""ReAct against its formula, by hand."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.linear_head import Classifier, random_features

TRAIN = np.arange(1.0, 11.0).reshape(5, 2)
CLASSIFIER = Classifier([[1.0, 0.0], [0.0, 2.0]], [0.0, 1.0])


def test_score_is_the_energy_of_the_head_of_cut_features():
    detector = CLASSIFIER.fit("react", TRAIN, percentile=50)

    score = detector.score(CLASSIFIER.batch([[10.0, 2.0]]))

    # The median of 1..10 is 5.5, and the logits are 5.5 and 2·2 + 1.
    assert detector.head.threshold == 5.5
    assert score.item() == pytest.approx(math.log(math.exp(5.5) + math.exp(5.0)))


def test_default_threshold_is_the_90th_percentile_of_all_training_activations():
    train = random_features(300)
    detector = Classifier.random().fit("react", train)

    assert np.mean(train <= detector.head.threshold) == pytest.approx(0.9, abs=1e-3)


def test_features_below_the_threshold_are_scored_by_their_energy():
    classifier, train = Classifier.random(), random_features()
    batch = classifier.batch(train)
    detector = classifier.fit("react", train, percentile=100)

    torch.testing.assert_close(detector.score(batch), registry.method("energy")().fit(None).score(batch))


def test_classes_are_those_of_the_unchanged_logits():
    detector = CLASSIFIER.fit("react", TRAIN, percentile=10)
    batch = CLASSIFIER.batch([[30.0, 1.5]])

    # Cut at 1.9, the logits would be 1.9 and 4.
    assert detector.head.threshold == pytest.approx(1.9)
    assert detector.classify(batch).tolist() == [0]


def test_detector_takes_its_head_along_when_pickled():
    detector = CLASSIFIER.fit("react", TRAIN)
    batch = CLASSIFIER.batch(TRAIN)

    assert torch.equal(pickle.loads(pickle.dumps(detector)).score(batch), detector.score(batch))


@pytest.mark.parametrize("percentile", [-1, 100.1, math.nan])
def test_percentile_out_of_range_is_refused(percentile):
    with pytest.raises(ConfigError, match="percentile must be from 0 to 100"):
        registry.method("react")(percentile=percentile)
