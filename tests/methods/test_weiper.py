"""WeiPer against a direct implementation in NumPy, and by hand."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from scipy.special import softmax

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.linear_head import Classifier, random_features

weiper = importlib.import_module(registry.method("weiper").__module__)


def test_histograms_count_what_lies_in_each_bin_and_nothing_beyond():
    values = torch.tensor([[0.0, 0.4, 0.6, 1.0], [-1.0, 0.4, 2.0, 0.2]], dtype=torch.float64)

    shares = weiper.histograms(values, 0.0, 1.0, 2)

    assert shares.tolist() == [[0.5, 0.5], [0.5, 0.0]]


def test_heads_are_as_far_from_the_trained_weights_as_asked_for():
    classifier = Classifier.random()

    heads = classifier.fit("weiper", random_features(), heads=3, distance=0.5).heads

    weights = classifier.head.weight.double()
    gaps = (heads.weights.view(3, *weights.shape) - weights).norm(dim=2)
    torch.testing.assert_close(gaps, (0.5 * weights.norm(dim=1)).expand(3, -1), rtol=1e-5, atol=1e-5)


def direct_divergence(values, train, bins, smooth, epsilon):
    """The divergence as the public code has it, an image at a time."""
    edges = np.linspace(train.min(), train.max() + 1e-8, bins + 1)

    def shares(row):
        return np.histogram(row, edges)[0] / len(row)

    p = np.mean([shares(row) for row in train], axis=0) + epsilon
    p /= p.sum()
    divergences = []
    for row in values:
        before = (smooth - 1) // 2
        padded = np.pad(shares(row), (before, smooth - 1 - before), mode="edge")
        q = np.convolve(padded, np.ones(smooth) / smooth, mode="valid") + epsilon
        q /= q.sum()
        divergences.append(np.sum(p * np.log(p / q)) + np.sum(q * np.log(q / p)))
    return np.array(divergences)


@pytest.mark.parametrize(("s1", "s2"), [(4, 15), (1, 6)])
def test_scores_are_those_of_a_direct_implementation(s1, s2):
    classifier, train, test = Classifier.random(), random_features(), 1.5 * random_features(20, seed=2)
    settings = {"heads": 5, "bins": 30, "smooth_features": s1, "smooth_projections": s2}
    detector = classifier.fit("weiper", train, **settings, weight_msp=0.5)

    scores = detector.score(classifier.batch(test))

    def projections(features):
        return features.astype(np.float64) @ detector.heads.weights.T.numpy() + np.tile(detector.heads.bias.numpy(), 5)

    expected = (
        0.5 * softmax(projections(test).reshape(20, 5, 4), axis=2).max(axis=2).mean(axis=1)
        - direct_divergence(test, train, 30, s1, 0.01)
        - 2.5 * direct_divergence(projections(test), projections(train), 30, s2, 0.025)
    )
    np.testing.assert_allclose(scores, expected, rtol=1e-6, atol=1e-6)


def test_msp_form_is_the_mean_over_the_heads():
    classifier, test = Classifier.random(), random_features(20, seed=2)
    batch = classifier.batch(test)

    still = classifier.fit("weiper", random_features(), score="msp", distance=0.0).score(batch)
    moved = classifier.fit("weiper", random_features(), score="msp").score(batch)

    torch.testing.assert_close(still, batch.logits.double().softmax(dim=1).amax(dim=1), rtol=1e-4, atol=1e-6)
    assert not torch.allclose(still, moved, atol=1e-3)


@pytest.mark.parametrize("train", [np.zeros((5, 16)), np.ones((5, 16)), np.tile(random_features(1), (5, 1))])
def test_scores_stay_finite_where_training_images_are_alike(train):
    classifier = Classifier.random()
    test = np.stack([np.zeros(16), np.full(16, 1e4), -np.ones(16), random_features(1)[0]])

    assert torch.isfinite(classifier.fit("weiper", train, heads=3).score(classifier.batch(test))).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [("score", "x"), ("heads", 0), ("bins", 1), ("smooth_features", 0), ("distance", -1.0), ("weight_msp", -0.1)],
)
def test_impossible_settings_are_refused(name, value):
    with pytest.raises(ConfigError, match=f"{name} must be"):
        registry.method("weiper")(**{name: value})
