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
