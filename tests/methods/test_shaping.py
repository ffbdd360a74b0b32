"""Methods that change features before the head, by hand."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch
from scipy.special import logsumexp, softmax

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.linear_head import Classifier, random_features

TRAIN = np.arange(1.0, 11.0).reshape(5, 2)
UNCHANGED = Classifier(np.eye(4), np.zeros(4))
SHAPING = ("react", "vra", "ash", "scale", "dice")


def score(method, features, classifier=UNCHANGED, train=((1.0, 1.0, 1.0, 1.0),), **settings):
    return classifier.fit(method, train, **settings).score(classifier.batch(features))


@pytest.mark.parametrize(
    ("variant", "left"),
    [
        ("p", [4.0, 3.0, 0.0, 0.0]),
        ("b", [5.0, 5.0, 0.0, 0.0]),
        ("s", [4 * math.exp(10 / 7), 3 * math.exp(10 / 7), 0, 0]),
    ],
)
def test_ash_keeps_the_largest_features_of_each_image(variant, left):
    features = [[3.0, 4.0, 1.0, 2.0], [1.0, 2.0, 3.0, 4.0]]

    scores = score("ash", features, variant=variant, percentile=50)

    assert scores.tolist() == pytest.approx([logsumexp(left)] * 2)


def test_scale_scales_all_features_by_how_much_the_largest_stand_out():
    features = np.array([[3.0, 4.0, 1.0, 2.0]])

    scores = score("scale", features, percentile=50)

    assert scores.item() == pytest.approx(logsumexp(features * math.exp(10 / 7)))


@pytest.mark.parametrize(
    ("settings", "left"),
    [
        ({}, [0.0, 9.1]),
        ({"below": "low"}, [5.5, 9.1]),
        ({"gamma": 2.0}, [0.0, 9.1]),
        ({"below": "low", "thresholds": "unit"}, [5.0, 9.2]),
    ],
)
def test_vra_rectifies_from_both_sides(settings, left):
    # The median of 1..10 is 5.5, and their 90th percentile 9.1; the units alone have 5, 8.2 and 6, 9.2.
    classifier = Classifier(np.eye(2), np.zeros(2))

    scores = score("vra", [[4.0, 10.0]], classifier, TRAIN, low=50, high=90, **settings)

    assert scores.item() == pytest.approx(logsumexp(left))


def test_vra_adds_gamma_to_what_lies_between_the_thresholds():
    classifier = Classifier(np.eye(2), np.zeros(2))

    scores = score("vra", [[6.0, 9.0]], classifier, TRAIN, low=50, high=90, gamma=2.0)

    assert scores.item() == pytest.approx(logsumexp([8.0, 11.0]))


def test_dice_leaves_the_weights_that_contribute_most():
    classifier = Classifier([[1.0, 0.0], [0.0, 2.0]], [0.0, 1.0])

    # Mean features are 5 and 6, contributions 5, 0, 0, 12, and their 75th percentile 6.75.
    scores = score("dice", [[10.0, 2.0]], classifier, TRAIN, percentile=75)

    assert scores.item() == pytest.approx(logsumexp([0.0, 5.0]))


@pytest.mark.parametrize("method", SHAPING)
@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("energy", lambda f: logsumexp(f, axis=1)),
        ("msp", lambda f: softmax(f, axis=1).max(axis=1)),
        ("max_logit", lambda f: f.max(axis=1)),
        ("entropy", lambda f: (softmax(f, axis=1) * (f - logsumexp(f, axis=1, keepdims=True))).sum(axis=1)),
        ("gen", lambda f: registry.method("gen")().score_logits(torch.tensor(f)).numpy()),
        ("doctor", lambda f: registry.method("doctor")().score_logits(torch.tensor(f)).numpy()),
    ],
)
def test_any_logit_score_may_follow(method, word, expected):
    # At a small scale: of logits far apart, float32 leaves the smaller probabilities no digits.
    classifier, train, test = Classifier.random(), 0.1 * random_features(), 0.1 * random_features(30, seed=2)
    detector = classifier.fit(method, train, score=word)

    scores = detector.score(classifier.batch(test)).numpy()

    with torch.no_grad():
        logits = detector.head(torch.tensor(test)).double().numpy()
    np.testing.assert_allclose(scores, expected(logits), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("method", SHAPING)
def test_scores_stay_finite_where_features_are_alike_or_zero_or_negative(method):
    classifier, train = Classifier.random(), random_features()
    test = np.stack([np.zeros(16), np.ones(16), -np.ones(16), np.full(16, 1e4), np.eye(16)[3], -np.eye(16)[3]])

    for known in (train, np.zeros((5, 16)), np.tile(train[:1], (5, 1))):
        scores = score(method, test, classifier, known)
        assert torch.isfinite(scores).all()


def test_at_least_one_feature_is_kept():
    features = np.array([[3.0, 4.0, 1.0, 2.0]])

    assert score("ash", features, variant="p", percentile=99).item() == pytest.approx(logsumexp([4.0, 0, 0, 0]))


def test_equal_features_are_kept_in_their_order():
    detector = UNCHANGED.fit("ash", [[1.0] * 4], variant="b", percentile=50)

    shaped = detector.head.shaped(torch.tensor([[0.0, 2.0, 0.0, 0.0]]))

    assert shaped.tolist() == [[1.0, 1.0, 0.0, 0.0]]


@pytest.mark.parametrize("method", SHAPING)
def test_classes_are_those_of_the_unchanged_logits_and_detectors_can_be_pickled(method):
    classifier, train = Classifier.random(), random_features()
    batch = classifier.batch(train)

    detector = classifier.fit(method, train)

    assert torch.equal(detector.classify(batch), batch.logits.argmax(dim=1))
    assert torch.equal(pickle.loads(pickle.dumps(detector)).score(batch), detector.score(batch))


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("ash", {"percentile": 100.0}, "percentile must be at least 0 and below 100"),
        ("scale", {"percentile": -1.0}, "percentile must be at least 0 and below 100"),
        ("dice", {"percentile": math.nan}, "percentile must be at least 0 and below 100"),
        ("ash", {"variant": "x"}, "variant must be p, b or s"),
        ("react", {"score": "odin"}, "score must be one of energy, msp"),
        ("vra", {"low": 96.0}, "low at most high"),
        ("vra", {"high": 101.0}, "low and high must be from 0 to 100"),
        ("vra", {"below": "cut"}, "below must be zero or low"),
        ("vra", {"thresholds": "class"}, "thresholds must be shared or unit"),
        ("adascale", {"low": 90.0}, "low must be at most high"),
        ("adascale", {"variant": "b"}, "variant must be a or l"),
        ("adascale", {"epsilon": -1.0}, "epsilon must be at least 0"),
        ("adascale", {"share": 2.0}, "share must be from 0 to 1"),
        ("adascale", {"shift_percent": 0.0}, "shift_percent must be above 0"),
        ("adascale", {"fit_images": 0}, "fit_images must be at least 1"),
    ],
)
def test_impossible_settings_are_refused(method, settings, message):
    with pytest.raises(ConfigError, match=message):
        registry.method(method)(**settings)


def test_dice_refuses_a_head_that_is_not_affine():
    from torch import nn

    classifier = Classifier(head=nn.Sequential(nn.Linear(16, 20), nn.Tanh(), nn.Linear(20, 4)))

    with pytest.raises(ConfigError, match="leave dice out"):
        classifier.fit("dice", random_features())
