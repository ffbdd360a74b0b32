"""The neural relation graph by hand and against a direct loop."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch
from scipy.special import softmax

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.linear_head import Classifier, random_features


def test_score_by_hand():
    # Probabilities do not depend on the features: they are 1/2 and 1/2, so that p · p' is 1/2.
    classifier = Classifier(np.zeros((2, 2)), [0.0, 0.0])
    train = [[3.0, 0.0], [2.0, 2.0], [0.0, 1.0], [-1.0, 0.0]]

    scores = classifier.fit("relation", train).score(classifier.batch([[5.0, 0.0]]))

    # Cosines are 1, √½, 0 and −1.
    assert scores.item() == pytest.approx((1 + math.sqrt(0.5)) / 2)


@pytest.mark.parametrize(("power", "threshold"), [(1.0, 0.03), (4.0, 0.03), (1.0, 0.2)])
def test_scores_equal_a_direct_loop(power, threshold):
    classifier, train, test = Classifier.random(), random_features(50), random_features(10, seed=2)
    weights, bias = classifier.head.weight.numpy(), classifier.head.bias.numpy()

    scores = classifier.fit("relation", train, power=power, threshold=threshold).score(classifier.batch(test))

    def relation(a, b):
        cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        return max(cosine, 0) * (softmax(weights @ a + bias) @ softmax(weights @ b + bias))

    expected = [sum(r**power for z in train if (r := relation(x, z)) > threshold) for x in test]
    assert scores.tolist() == pytest.approx(expected, rel=1e-4)


def test_pieces_that_fit_the_memory_have_the_scores_of_the_whole(monkeypatch):
    classifier, train, test = Classifier.random(), random_features(50), random_features(10, seed=2)
    detector = classifier.fit("relation", train)
    whole = detector.score(classifier.batch(test))
    monkeypatch.setattr(sys.modules[registry.method("relation").__module__], "VALUES_AT_ONCE", 30 * 7)

    torch.testing.assert_close(detector.score(classifier.batch(test)), whole)


def test_as_many_training_images_are_kept_as_are_asked_for():
    classifier, train = Classifier.random(), random_features(50)

    assert len(classifier.fit("relation", train, max_images=7).features) == 7
    assert len(classifier.fit("relation", train, max_images=70).features) == 50


def test_features_of_zeros_have_no_relations():
    classifier = Classifier.random()

    assert classifier.fit("relation", random_features()).score(classifier.batch(np.zeros((2, 16)))).tolist() == [0, 0]


@pytest.mark.parametrize("settings", [{"power": 0.0}, {"threshold": 1.0}, {"max_images": 0}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        registry.method("relation")(**settings)
