"""Scores are those of pytorch-ood with equal hyper-parameters, up to the sign: there, higher means OOD.

Its Entropy clips probabilities at 1e-7, so that logits are kept moderate here. It computes in float32.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from oodbench.plugins import registry
from tests.fitting import batch_of, batch_of_images, fit_inputs
from tests.linear_head import Classifier, random_features
from tests.posthoc import fit, seen_by

peers = pytest.importorskip(
    "pytorch_ood.detector", reason="pytorch-ood is not installed: pip install oodbench[peers]", exc_type=ImportError
)

CLASSIFIER = Classifier.random()
TRAIN = torch.tensor(random_features(400))
LABELS = torch.zeros(400, dtype=torch.int64)
HEAD = CLASSIFIER.head


def gradnorm(features, temperature):
    # It takes all parameters unless it is told which.
    detector = peers.GradNorm(HEAD, param_filter=lambda name: name == "weight", temperature=temperature)
    return detector.predict(features)


@pytest.mark.parametrize(
    ("name", "settings", "peer"),
    [
        ("msp", {}, lambda z: peers.MaxSoftmax.score(HEAD(z))),
        ("max_logit", {}, lambda z: peers.MaxLogit.score(HEAD(z))),
        ("energy", {}, lambda z: peers.EnergyBased.score(HEAD(z))),
        ("energy", {"temperature": 3.0}, lambda z: peers.EnergyBased.score(HEAD(z), t=3.0)),
        ("entropy", {}, lambda z: peers.Entropy.score(HEAD(z))),
        ("knn", {"k": 50}, lambda z: peers.KNN(None).fit_features(TRAIN, LABELS).predict_features(z)),
        ("knn", {"k": 3}, lambda z: peers.KNN(None, k=3).fit_features(TRAIN, LABELS).predict_features(z)),
        ("react", {}, lambda z: peers.ReAct(None, HEAD).fit_feature_maps(TRAIN, LABELS).predict_feature_maps(z)),
        (
            "react",
            {"percentile": 70.0},
            lambda z: peers.ReAct(None, HEAD, percentile=0.7).fit_feature_maps(TRAIN, LABELS).predict_feature_maps(z),
        ),
        ("gradnorm", {}, lambda z: gradnorm(z, 1.0)),
        ("gradnorm", {"temperature": 2.0}, lambda z: gradnorm(z, 2.0)),
        (
            "vim",
            {"dimension": 5},
            lambda z: peers.ViM(None, 5, HEAD.weight, HEAD.bias).fit_features(TRAIN, LABELS).predict_features(z),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_scores_agree(name, settings, peer):
    test = random_features(60, seed=2)

    ours = CLASSIFIER.fit(name, TRAIN, **settings).score(CLASSIFIER.batch(test)).numpy()
    theirs = -peer(torch.tensor(test)).double().numpy()

    # Where energy and virtual logit cancel, nothing is left to be relative to: there the spread of the scores counts.
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5 * ours.std())


# Classes of different sizes, and some images that the classifier takes for another class.
CLASSES = np.where(np.arange(400) % 5 > 0, HEAD(TRAIN).argmax(dim=1).numpy(), np.arange(400) % 4)


def features_of(detector):
    """Return how a detector of features scores, fitted to the training features with their classes."""
    return detector.fit_features(TRAIN, torch.tensor(CLASSES)).predict_features


def logits_of(detector):
    """Return how a detector of logits scores features, fitted to the logits of the training features."""
    fitted = detector.fit_logits(HEAD(TRAIN), torch.tensor(CLASSES))
    return lambda z: fitted.predict_logits(HEAD(z))


@pytest.mark.parametrize(
    ("name", "settings", "peer", "ours_to_theirs"),
    [
        (
            "temperature_scaling",
            {"solver": "pytorch_ood"},
            lambda: logits_of(peers.TemperatureScaling(None)),
            # The probability of which ours are the log-odds.
            torch.sigmoid,
        ),
        # Sums where it has means. In float32 its 1 − p keeps few digits.
        ("gen", {"top": "all", "floor": 1e-7}, lambda: lambda z: peers.GEN.score(HEAD(z).double()), lambda s: s / 4),
        (
            "gen",
            {"gamma": 0.5, "top": 2, "floor": 1e-7},
            lambda: lambda z: peers.GEN.score(HEAD(z).double(), gamma=0.5, M=2),
            lambda s: s / 2,
        ),
        ("klm", {"fit_to": "train"}, lambda: logits_of(peers.KLMatching(None)), None),
        # Sums of squares where we have means.
        ("rmds", {}, lambda: features_of(peers.RMD(None)), lambda s: s / 400),
        ("gmm", {}, lambda: features_of(peers.GMM(None)), None),
        ("gmm", {"ridge": 0.1}, lambda: features_of(peers.GMM(None, reg=0.1)), None),
        ("she", {}, lambda: features_of(peers.SHE(None, HEAD)), None),
        ("nnguide", {}, lambda: features_of(peers.NNGuide(None, HEAD)), None),
        ("nnguide", {"k": 100}, lambda: features_of(peers.NNGuide(None, HEAD, k=100)), None),
        ("fdbd", {}, lambda: features_of(peers.fDBD(None, HEAD)), None),
        ("nci", {"alpha": 0.0}, lambda: features_of(peers.NCI(None, HEAD)), None),
        ("nci", {"alpha": 0.01}, lambda: features_of(peers.NCI(None, HEAD, alpha=0.01)), None),
        ("pnml", {}, lambda: features_of(peers.PNML(None, HEAD)), None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_scores_of_methods_that_are_fitted_agree(name, settings, peer, ours_to_theirs):
    test = random_features(60, seed=2)

    detector = fit(name, CLASSIFIER, TRAIN, CLASSES, validation=(TRAIN, CLASSES), **settings)
    ours = detector.score(seen_by(CLASSIFIER, test))
    ours = (ours if ours_to_theirs is None else ours_to_theirs(ours)).numpy()
    theirs = -peer()(torch.tensor(test)).detach().double().numpy()

    # Relative distances are small differences of large ones, of which float32 leaves few digits.
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=(1e-3 if name == "rmds" else 1e-5) * ours.std())


N, N_CLASSES = 300, 4


def clustered(n, dim, seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % N_CLASSES
    values = rng.normal(size=(n, dim)).astype(np.float32)
    values[np.arange(n), labels] += 6
    return values, labels


def test_mahalanobis_of_features_agrees():
    (train, labels), (query, _) = clustered(N, 10, seed=0), clustered(50, 10, seed=1)
    fitted = peers.Mahalanobis(None).fit_features(torch.tensor(train), torch.tensor(labels))
    theirs = fitted.predict_features(torch.tensor(query))

    inputs = fit_inputs(batch_of(train, labels=labels, n_classes=N_CLASSES), n_classes=N_CLASSES)
    ours = registry.method("mahalanobis")().fit(inputs).score(batch_of(query))

    # Half the squared distance, and a covariance that is a sum instead of a mean.
    assert (-ours / (2 * N)).tolist() == pytest.approx(theirs.tolist(), rel=1e-4)


def test_openmax_of_logits_agrees():
    (train, labels), (query, _) = clustered(N, N_CLASSES, seed=0), clustered(50, N_CLASSES, seed=1)
    # It takes all training images, we those that are classified right.
    right = train.argmax(axis=1) == labels
    train, labels = train[right], labels[right]
    # In float32 theirs loses the digits behind the 10 000 that it adds to distances.
    fitted = peers.OpenMax(None, tailsize=20, alpha=10).fit_logits(torch.tensor(train).double(), torch.tensor(labels))
    theirs = fitted.predict_logits(torch.tensor(query).double())

    inputs = fit_inputs(batch_of(train, labels=labels, n_classes=N_CLASSES), n_classes=N_CLASSES)
    ours = registry.method("openmax")().fit(inputs).score(batch_of(query))

    assert torch.sigmoid(-ours).tolist() == pytest.approx(theirs.tolist(), rel=1e-4)


class Curved(nn.Module):
    """A small network whose confidence bends with its images."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(1, 6, 3), nn.Tanh(), nn.Flatten(), nn.Linear(96, 8), nn.Tanh())
        self.head = nn.Linear(8, N_CLASSES)
        # Confident enough for a step of the input to show in the score.
        self.head.weight.data *= 20
        self.eval().requires_grad_(requires_grad=False)

    def features(self, images):
        return self.body(images)

    def forward(self, images):
        return self.head(self.features(images))


@pytest.mark.parametrize(("epsilon", "temperature"), [(0.0014, 1000.0), (0.05, 1000.0), (0.05, 2.0)])
def test_odin_of_images_agrees(epsilon, temperature):
    network = Curved()
    images = np.random.default_rng(0).integers(0, 256, (50, 1, 6, 6), dtype=np.uint8)
    peer = peers.ODIN(network, eps=epsilon, temperature=temperature)
    theirs = -peer.predict(torch.tensor(images).float() / 255).double()

    batch = batch_of_images(network, images)
    method = registry.method("odin")(epsilon=epsilon, temperature=temperature)
    ours = method.fit(fit_inputs(batch, network=network, n_classes=N_CLASSES)).score(batch)

    # From 1/C, which all scores are next to at a high temperature; float32 keeps seven digits of the whole.
    scores = ours.numpy() - 1 / N_CLASSES
    np.testing.assert_allclose(scores, theirs.numpy() - 1 / N_CLASSES, rtol=1e-4, atol=3e-7)


class Masked(nn.Module):
    """A head that drops other features each time, as the masks say one after another."""

    def __init__(self, masks):
        super().__init__()
        self.masks = iter(masks)

    def forward(self, features):
        return HEAD(features * next(self.masks))


def test_monte_carlo_dropout_with_equal_masks_agrees():
    test = random_features(60, seed=2)
    detector = CLASSIFIER.fit("mc_dropout", TRAIN, passes=7)
    theirs = -peers.MCD(Masked(detector.masks), samples=7, mode="mean").predict(torch.tensor(test)).double()

    ours = detector.score(CLASSIFIER.batch(test))

    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-4)
