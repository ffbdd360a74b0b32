"""Relative Mahalanobis distance and Gaussian mixture against their formulas, by hand and directly."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.linear_head import Classifier, random_features
from tests.posthoc import fit, passing_features_on, score

HOME = registry.method("msp").__module__.rpartition(".")[0]
moments = importlib.import_module(f"{HOME}._moments")
gmm = importlib.import_module(registry.method("gmm").__module__)
CLASSIFIER = Classifier.random()
TRAIN, TEST, LABELS = random_features(200), random_features(50, seed=2), np.arange(200) % 4
TRAIN64, TEST64 = TRAIN.astype(np.float64), TEST.astype(np.float64)
MEANS = np.stack([TRAIN64[k == LABELS].mean(axis=0) for k in range(4)])
WITHIN = np.cov((TRAIN64 - MEANS[LABELS]).T, bias=True)
CROSS = [[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]]
"""Mean 0 and variances 1/2 and 2."""


def squared_distances(features, mean, covariance):
    return np.einsum("ni,ij,nj->n", features - mean, np.linalg.inv(covariance), features - mean)


def test_rmds_by_hand():
    # The means are (0, 0) and (4, 0), and Σ is diag(1/2, 2). All images: the mean is (2, 0), the variances 9/2 and 2.
    train = np.concatenate([CROSS, np.add(CROSS, [4.0, 0.0])])

    scores = score("rmds", passing_features_on(), train, [[1.0, 4.0]], [0] * 4 + [1] * 4)

    # The nearest class is at 1 / (1/2) + 16/2, everything at 1 / (9/2) + 16/2.
    assert scores == pytest.approx(2 / 9 - 2)


def test_rmds_is_the_distance_to_the_nearest_class_less_that_to_everything():
    nearest = np.min([squared_distances(TEST64, mean, WITHIN) for mean in MEANS], axis=0)
    everything = squared_distances(TEST64, TRAIN64.mean(axis=0), np.cov(TRAIN64.T, bias=True))

    np.testing.assert_allclose(score("rmds", CLASSIFIER, TRAIN, TEST, LABELS), everything - nearest, rtol=1e-6)


def test_rmds_of_classes_without_spread_is_refused():
    with pytest.raises(ConfigError, match="rmds needs training images of one class with different features"):
        fit("rmds", passing_features_on(), [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])


def test_gmm_by_hand():
    # Class 0 has variances 1/2 and 2 around 0 and four of six images, class 1 has 1 and 0 around (9, 0).
    train, labels = [*CROSS, [8.0, 0.0], [10.0, 0.0]], [0] * 4 + [1] * 2

    scores = score("gmm", passing_features_on(), train, [[1.0, 2.0]], labels)

    # The second class is 2 away where its standard deviation is 0.001, and adds nothing.
    assert scores == pytest.approx(math.log(4 / 6) - (1 / 0.5 + 4 / 2) / 2 - math.log(2 * math.pi), rel=1e-5)


@pytest.mark.parametrize("covariance", ["full", "tied"])
def test_gmm_of_classes_is_their_likelihood(covariance):
    logs = []
    for k, mean in enumerate(MEANS):
        own = np.cov(TRAIN64[k == LABELS].T, bias=True) if covariance == "full" else WITHIN
        logs.append(math.log(1 / 4) + multivariate_normal(mean, own + 1e-6 * np.eye(16)).logpdf(TEST64))

    scores = score("gmm", CLASSIFIER, TRAIN, TEST, LABELS, covariance=covariance)

    np.testing.assert_allclose(scores, logsumexp(logs, axis=0), rtol=1e-6)


@pytest.mark.parametrize("covariance", ["full", "tied"])
def test_gmm_of_components_is_that_of_scikit_learn(covariance):
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(3, covariance_type=covariance, random_state=5).fit(TRAIN64)

    scores = score("gmm", CLASSIFIER, TRAIN, TEST, components=3, covariance=covariance, seed=5)

    np.testing.assert_allclose(scores, mixture.score_samples(TEST64), rtol=1e-5)


def test_gmm_of_openood_keeps_the_principal_directions():
    detector = fit("gmm", CLASSIFIER, TRAIN, components=50, covariance="tied", dimension=5)
    principal = np.linalg.svd(TRAIN64 - TRAIN64.mean(axis=0), full_matrices=False)[2][:5]

    directions = detector.directions.numpy()
    np.testing.assert_allclose(directions @ directions.T, principal.T @ principal, atol=1e-6)
    assert (len(detector.groups), len(detector.groups[0].means)) == (1, 50)


def test_gmm_is_the_same_in_all_directions_as_in_none_left_out():
    scores = [score("gmm", CLASSIFIER, TRAIN, TEST, LABELS, dimension=d) for d in ("all", 16, 99)]

    np.testing.assert_allclose(scores[1], scores[0], rtol=1e-9)
    np.testing.assert_allclose(scores[2], scores[0], rtol=1e-9)


def test_gmm_does_not_tie_far_away():
    # In OpenOOD both are log(0 + 1e-45).
    scores = score("gmm", CLASSIFIER, TRAIN, [np.full(16, 1e3), np.full(16, 2e3)], LABELS)

    assert scores[1] < scores[0] < -1000


def test_gmm_that_fits_no_memory_is_refused(monkeypatch):
    monkeypatch.setattr(gmm, "LARGEST", 4 * 16**2 * 8 - 1)

    with pytest.raises(ConfigError, match=r"GiB for 4 covariances of 16 features.*covariance=tied.*dimension"):
        fit("gmm", CLASSIFIER, TRAIN, LABELS)
    fit("gmm", CLASSIFIER, TRAIN, LABELS, covariance="tied")
    fit("gmm", CLASSIFIER, TRAIN, LABELS, dimension=8)


def test_more_components_than_images_are_refused():
    with pytest.raises(ConfigError, match=r"3 components to 2 training images; give fewer: --set gmm\.components=1"):
        fit("gmm", CLASSIFIER, TRAIN[:2], components=3)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"components": 0}, "components must be classes or at least 1"),
        ({"dimension": 0}, "dimension must be all or at least 1"),
        ({"ridge": 0.0}, "ridge must be positive"),
        ({"ridge": math.nan}, "ridge must be positive"),
    ],
)
def test_impossible_settings_are_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        registry.method("gmm")(**settings)


FITTED = ["max_cosine", "she", "nnguide", "fdbd", "nci", "pnml", "residual", "vim", "rmds", "gmm"]


@pytest.mark.parametrize("name", FITTED)
def test_moments_in_parts_give_the_scores_of_the_whole(name, monkeypatch):
    whole = score(name, CLASSIFIER, TRAIN, TEST, LABELS)
    monkeypatch.setattr(moments, "VALUES_AT_ONCE", 7 * 16)

    np.testing.assert_allclose(score(name, CLASSIFIER, TRAIN, TEST, LABELS), whole, rtol=1e-6)


def duplicates():
    return np.repeat(TRAIN[:20], 10, axis=0)


def constant_units():
    # Some dead, some always the same, one a copy of another.
    features = TRAIN * (np.arange(16) < 10) + 3 * (np.arange(16) >= 13)
    features[:, 1] = features[:, 0]
    return features.astype(np.float32)


@pytest.mark.parametrize("make", [duplicates, constant_units, lambda: TRAIN[:12], lambda: 1e4 * TRAIN])
@pytest.mark.parametrize("name", [*FITTED, "temperature_scaling", "doctor", "gen", "klm"])
def test_awkward_training_images_leave_scores_finite(name, make):
    train = make()
    labels = np.arange(len(train)) % 4
    test = np.concatenate([TEST, train[:5], np.zeros((1, 16), np.float32), train.mean(axis=0, keepdims=True)])

    scores = score(name, CLASSIFIER, train, test, labels, validation=(train, labels))

    assert np.isfinite(scores).all()


@pytest.mark.parametrize("settings", [{"covariance": "tied"}, {"components": 8}, {"components": 8, "dimension": 3}])
def test_other_forms_of_gmm_survive_duplicates(settings):
    assert np.isfinite(score("gmm", CLASSIFIER, np.repeat(TRAIN[:5], 10, axis=0), TEST, **settings)).all()


@pytest.mark.parametrize("name", sorted({*FITTED, "doctor", "gen"} - {"rmds"}))
def test_images_that_are_all_alike_leave_scores_finite(name):
    scores = score(name, CLASSIFIER, np.repeat(TRAIN[:1], 20, axis=0), TEST, np.arange(20) % 4)

    assert np.isfinite(scores).all()
