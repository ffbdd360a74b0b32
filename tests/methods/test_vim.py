"""ViM against its formula by hand and against a direct implementation in NumPy."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from torch import nn

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.linear_head import Classifier, random_features

HOME = registry.method("vim").__module__.rpartition(".")[0]
principal_dimension = importlib.import_module(f"{HOME}._residual_space").principal_dimension


def test_score_by_hand():
    classifier = Classifier([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [0.0, 0.0])
    # The logits vanish at the origin, where the third axis is the shortest; the mean largest logit is 3.
    train = [[4.0, 0.0, 1.0], [4.0, 0.0, -1.0], [0.0, 2.0, 1.0], [0.0, 2.0, -1.0]]

    detector = classifier.fit("vim", train, dimension=2)
    score = detector.score(classifier.batch([[1.0, 0.0, 2.0]]))

    assert detector.alpha == pytest.approx(3.0)
    assert score.item() == pytest.approx(math.log(math.e + 1) - 3 * 2)


def test_origin_is_the_shortest_vector_whose_logits_vanish():
    classifier = Classifier([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]], [1.0, -4.0])

    detector = classifier.fit("vim", random_features(n_features=3), dimension=1)

    np.testing.assert_allclose(detector.space.origin, [-1.0, 2.0, 0.0], atol=1e-6)


def test_origin_stays_near_where_rounding_alone_keeps_class_weights_from_adding_up_to_0():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(4, 6))
    weights -= weights.mean(axis=0)
    # Rounded to float32, the weights of all classes add up to some 1e-8, and those of the bias do not.
    bias = np.array([1.0, 0.0, 0.0, 0.0])
    classifier = Classifier(weights.tolist(), bias.tolist())

    detector = classifier.fit("vim", random_features(n_features=6), dimension=1)

    np.testing.assert_allclose(detector.space.origin, -np.linalg.pinv(weights, rcond=1e-6) @ bias, atol=1e-5)


def direct_vim(classifier, train, test, dimension):
    """ViM as its paper says it, with projections on the principal space instead of on its complement."""
    weights, bias = (part.double().numpy() for part in (classifier.head.weight, classifier.head.bias))
    origin = -np.linalg.pinv(weights) @ bias
    principal = np.linalg.svd(train - origin, full_matrices=False)[2][:dimension]

    def residual_norms(features):
        centred = features - origin
        return np.linalg.norm(centred - centred @ principal.T @ principal, axis=1)

    alpha = (train @ weights.T + bias).max(axis=1).sum() / residual_norms(train).sum()
    return logsumexp(test @ weights.T + bias, axis=1) - alpha * residual_norms(test), alpha * residual_norms(test)


@pytest.mark.parametrize("dimension", [1, 5, 15])
def test_scores_are_those_of_a_direct_implementation(dimension):
    classifier, train, test = Classifier.random(), random_features(), random_features(30, seed=2)
    expected, _ = direct_vim(classifier, train.astype(np.float64), test.astype(np.float64), dimension)

    scores = classifier.fit("vim", train, dimension=dimension).score(classifier.batch(test))

    np.testing.assert_allclose(scores, expected, rtol=1e-6, atol=5e-6)


def test_scores_rank_as_the_probability_of_the_virtual_logit():
    classifier, train, test = Classifier.random(), random_features(), random_features(30, seed=2)
    _, virtual = direct_vim(classifier, train.astype(np.float64), test.astype(np.float64), 8)
    batch = classifier.batch(test)
    with_virtual = torch.cat([batch.logits.double(), torch.tensor(virtual)[:, None]], dim=1)

    scores = classifier.fit("vim", train).score(batch)

    torch.testing.assert_close(with_virtual.softmax(dim=1)[:, -1], 1 / (1 + scores.exp()), rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize(("n_features", "dimension"), [(128, 64), (767, 383), (768, 512), (2047, 512), (2048, 1000)])
def test_automatic_dimension_is_that_of_the_public_code_or_half(n_features, dimension):
    assert principal_dimension("auto", n_features, n_features) == dimension


@pytest.mark.parametrize(("n_features", "rank", "dimension"), [(128, 65, 64), (128, 64, 32), (2048, 1000, 500)])
def test_automatic_dimension_is_half_of_the_rank_where_dead_units_would_leave_no_residual(n_features, rank, dimension):
    assert principal_dimension("auto", n_features, rank) == dimension


def test_automatic_dimension_leaves_half_of_the_directions_as_residual():
    assert Classifier.random().fit("vim", random_features()).space.directions.shape == (16, 8)


def test_head_of_several_linear_layers_is_read_as_one():
    single = Classifier.random()
    wide = nn.Linear(16, 20)
    layers = Classifier(head=nn.Sequential(wide, nn.Linear(20, 4)))
    with torch.no_grad():
        layers.head[1].weight[:] = single.head.weight @ torch.linalg.pinv(wide.weight)
        layers.head[1].bias[:] = single.head.bias - layers.head[1].weight @ wide.bias
    train = random_features()

    scores = [each.fit("vim", train).score(each.batch(train)) for each in (single, layers)]

    torch.testing.assert_close(*scores, rtol=1e-3, atol=1e-3)


def test_head_that_is_not_affine_is_refused():
    classifier = Classifier(head=nn.Sequential(nn.Linear(16, 20), nn.Tanh(), nn.Linear(20, 4)))

    with pytest.raises(ConfigError, match="head is not; leave vim out"):
        classifier.fit("vim", random_features())


@pytest.mark.parametrize("dimension", [3, 16, 99])
def test_training_features_without_a_residual_are_refused(dimension):
    train = random_features() * (np.arange(16) < 2)
    # The origin is one more direction: without a bias it is 0.
    classifier = Classifier(np.eye(4, 16), np.zeros(4))

    with pytest.raises(ConfigError, match=r"no residual.*--set vim\.dimension"):
        classifier.fit("vim", train, dimension=dimension)


def test_dimension_below_1_is_refused():
    with pytest.raises(ConfigError, match="dimension must be 'auto' or at least 1"):
        registry.method("vim")(dimension=0)
