"""Maximum cosine, SHE, NNGuide, fDBD, NCI, pNML and residual against their formulas, by hand and directly."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
from scipy.special import logsumexp, softmax
from torch import nn

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.linear_head import Classifier, random_features
from tests.posthoc import fit, passing_features_on, score

CLASSIFIER = Classifier.random()
TRAIN, TEST = random_features(200), random_features(50, seed=2)
LABELS = np.arange(200) % 4
WEIGHTS, BIAS = (part.double().numpy() for part in (CLASSIFIER.head.weight, CLASSIFIER.head.bias))
TRAIN64, TEST64 = TRAIN.astype(np.float64), TEST.astype(np.float64)
LOGITS = TEST64 @ WEIGHTS.T + BIAS


def on_sphere(features):
    return features / np.linalg.norm(features, axis=1, keepdims=True)


@pytest.mark.parametrize(("prototypes", "cosine"), [("means", 0.8), ("weights", 1.0)])
def test_max_cosine_by_hand(prototypes, cosine):
    # The means are (4, 3) and (0, 1); the weights are the axes.
    train = [[4.0, 3.0], [4.0, 3.0], [0.0, 1.0]]

    scores = score("max_cosine", passing_features_on(), train, [[5.0, 0.0]], prototypes=prototypes)

    assert scores == pytest.approx(cosine)


def test_max_cosine_is_the_largest_over_class_means():
    means = np.stack([TRAIN64[k == LABELS].mean(axis=0) for k in range(4)])

    scores = score("max_cosine", CLASSIFIER, TRAIN, TEST, LABELS)

    np.testing.assert_allclose(scores, (on_sphere(TEST64) @ on_sphere(means).T).max(axis=1), rtol=1e-9)


@pytest.mark.parametrize(
    ("metric", "expected"), [("inner_product", 4.0), ("euclidean", -math.sqrt(18)), ("cosine", 0.8)]
)
def test_she_by_hand(metric, expected):
    # The pattern of class 0 is (1, 0), as the second image of it is taken for class 1. The test image is taken for 0.
    train, labels = [[1.0, 0.0], [1.0, 5.0], [0.0, 1.0]], [0, 0, 1]

    scores = score("she", passing_features_on(), train, [[4.0, 3.0]], labels, metric=metric)

    assert scores == pytest.approx(expected)


def test_she_of_a_class_that_is_never_classified_right_takes_all_its_images():
    train, labels = [[1.0, 0.0], [2.0, 0.0], [3.0, 1.0]], [0, 0, 1]

    assert score("she", passing_features_on(), train, [[0.0, 2.0]], labels) == pytest.approx(2.0)


def test_nnguide_by_hand():
    # Energies are those of logits (0, 0) + log 2, on the axes; the test image has cosine 0.6 with the first axis.
    classifier = Classifier(np.zeros((2, 2)), np.full(2, 0.5))
    energy = 0.5 + math.log(2)

    scores = score("nnguide", classifier, [[2.0, 0.0], [0.0, 9.0], [-1.0, 0.0]], [[3.0, 4.0]], [0, 1, 0], k=2)

    assert scores == pytest.approx(energy * energy * (0.8 + 0.6) / 2)


@pytest.mark.parametrize("k", [1, 10, 200])
def test_nnguide_is_that_of_the_public_code(k):
    bank = on_sphere(TRAIN64) * logsumexp(TRAIN64 @ WEIGHTS.T + BIAS, axis=1, keepdims=True)
    guidance = np.sort(on_sphere(TEST64) @ bank.T, axis=1)[:, -k:].mean(axis=1)

    scores = score("nnguide", CLASSIFIER, TRAIN, TEST, k=k)

    np.testing.assert_allclose(scores, guidance * logsumexp(LOGITS, axis=1), rtol=1e-5)


def test_nnguide_in_parts_is_that_of_the_whole(monkeypatch):
    whole = score("nnguide", CLASSIFIER, TRAIN, TEST)
    module = importlib.import_module(registry.method("nnguide").__module__)
    monkeypatch.setattr(module, "SIMILARITIES_AT_ONCE", 7 * 200)

    np.testing.assert_allclose(score("nnguide", CLASSIFIER, TRAIN, TEST), whole, rtol=1e-6)


def test_bank_of_nnguide_is_a_share_that_the_seed_draws():
    banks = [fit("nnguide", CLASSIFIER, TRAIN, share=0.1, seed=seed).bank for seed in (0, 0, 1)]

    assert [len(bank) for bank in banks] == [20, 20, 20]
    assert banks[0].equal(banks[1])
    assert not banks[0].equal(banks[2])


def test_bank_of_fewer_images_than_neighbours_is_refused():
    with pytest.raises(ConfigError, match=r"10 neighbours in a bank of 2 training images.*--set nnguide\.k=2"):
        fit("nnguide", CLASSIFIER, TRAIN, share=0.01)


@pytest.mark.parametrize(("divisor", "by"), [("distance", 5.0), ("norm", math.sqrt(41)), ("none", 1.0)])
def test_fdbd_by_hand(divisor, by):
    # μ is (1, 1) and ‖z − μ‖ is 5. The logits are 4, 7 and −27, and the boundaries 3 / √2 and 34 / √34 away.
    classifier = Classifier([[1.0, 0.0], [0.0, 1.0], [-3.0, -4.0]], [0.0, 2.0, 5.0])

    scores = score("fdbd", classifier, [[0.0, 0.0], [2.0, 2.0]], [[4.0, 5.0]], divisor=divisor)

    assert scores == pytest.approx((3 / math.sqrt(2) + math.sqrt(34)) / 2 / by)


def test_fdbd_of_classes_with_equal_weights_has_no_boundary_between_them():
    classifier = Classifier([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0.0, 1.0, 0.0])

    scores = score("fdbd", classifier, [[0.0, 0.0]], [[3.0, 0.0]], divisor="none")

    assert scores == pytest.approx(4 / math.sqrt(2) / 2)


def test_nci_by_hand():
    # μ is (1, 1); z − μ is (3, 4), and class 1 is predicted.
    classifier = Classifier([[1.0, 0.0], [0.0, 2.0]], [0.0, 0.0])
    train = [[0.0, 0.0], [2.0, 2.0]]

    assert score("nci", classifier, train, [[4.0, 5.0]], alpha=0.0) == pytest.approx(8 / 5)
    assert score("nci", classifier, train, [[4.0, 5.0]], alpha=0.1) == pytest.approx(8 / 5 + 0.9)
    assert score("nci", classifier, train, [[1.0, 1.0]], alpha=0.0) == pytest.approx(0.0)


def test_default_alpha_of_nci_is_that_of_the_public_code():
    assert registry.method("nci")().alpha == 1e-4


def test_pnml_by_hand():
    # XᵀX = diag(2, 1); z' is the first axis: s = 1/2, κ = 1/3. The logits of z' are log 8 and 0: p = 8/9 and 1/9.
    classifier = Classifier([[math.log(8), 0.0], [0.0, 0.0]], [0.0, 0.0])
    terms = [p / (p + (1 - p) * p ** (1 / 3)) for p in (8 / 9, 1 / 9)]

    scores = score("pnml", classifier, [[1.0, 0.0], [3.0, 0.0], [0.0, 2.0]], [[7.0, 0.0]])

    assert scores == pytest.approx(-math.log(sum(terms)) / math.log(2))


def test_pnml_is_that_of_the_public_code():
    sphere, test = on_sphere(TRAIN64), on_sphere(TEST64)
    s = np.einsum("ni,ij,nj->n", test, np.linalg.inv(sphere.T @ sphere), test)
    p, kappa = softmax(test @ WEIGHTS.T + BIAS, axis=1), (s / (1 + s))[:, None]
    expected = -np.log((p / (p + (1 - p) * p**kappa)).sum(axis=1)) / math.log(4)

    np.testing.assert_allclose(score("pnml", CLASSIFIER, TRAIN, TEST), expected, rtol=1e-5)


def test_residual_by_hand():
    # The logits vanish at the origin, and the third axis is the shortest.
    classifier = Classifier([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [0.0, 0.0])
    train = [[4.0, 0.0, 1.0], [4.0, 0.0, -1.0], [0.0, 2.0, 1.0], [0.0, 2.0, -1.0]]

    assert score("residual", classifier, train, [[5.0, 7.0, -2.0]], dimension=2) == pytest.approx(-2.0)


def test_residual_is_that_of_vim():
    # Its score is the energy less α times the residual.
    vim = fit("vim", CLASSIFIER, TRAIN)
    expected = (score("vim", CLASSIFIER, TRAIN, TEST) - logsumexp(LOGITS, axis=1)) / vim.alpha

    np.testing.assert_allclose(score("residual", CLASSIFIER, TRAIN, TEST), expected, rtol=1e-4)


def test_training_features_without_a_residual_are_refused():
    classifier = Classifier(np.eye(4, 16), np.zeros(4))

    with pytest.raises(ConfigError, match=r"residual finds no residual.*--set residual\.dimension"):
        fit("residual", classifier, TRAIN * (np.arange(16) < 2), dimension=16)


@pytest.mark.parametrize(
    ("name", "settings"), [("fdbd", {}), ("nci", {}), ("residual", {}), ("max_cosine", {"prototypes": "weights"})]
)
def test_head_that_is_not_affine_is_refused_by_name(name, settings):
    curved = Classifier(head=nn.Sequential(nn.Linear(16, 20), nn.Tanh(), nn.Linear(20, 4)))

    with pytest.raises(ConfigError, match=f"^{name} needs logits .* is not; leave {name} out"):
        fit(name, curved, TRAIN, **settings)


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("nnguide", {"k": 0}, "k must be at least 1"),
        ("nnguide", {"share": 0.0}, "share must be above 0 and at most 1"),
        ("nnguide", {"share": 1.5}, "share must be above 0 and at most 1"),
        ("nci", {"alpha": -0.1}, "alpha must be a number from 0 up"),
        ("nci", {"alpha": math.nan}, "alpha must be a number from 0 up"),
        ("residual", {"dimension": 0}, "dimension must be 'auto' or at least 1"),
    ],
)
def test_impossible_settings_are_refused(name, settings, said):
    with pytest.raises(ConfigError, match=said):
        registry.method(name)(**settings)
