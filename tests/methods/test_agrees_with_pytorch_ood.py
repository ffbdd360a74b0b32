"""Scores are those of pytorch-ood, up to the sign: there, higher means OOD.

Its GradNorm averages over the classes as ours does, and takes all parameters unless it is told otherwise. Its Entropy
clips probabilities at 1e-7, so that logits are kept moderate here. It computes in float32.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.linear_head import Classifier, random_features

peers = pytest.importorskip(
    "pytorch_ood.detector", reason="pytorch-ood is not installed: pip install oodbench[peers]", exc_type=ImportError
)

CLASSIFIER = Classifier.random()
TRAIN = torch.tensor(random_features(400))
LABELS = torch.zeros(400, dtype=torch.int64)
HEAD = CLASSIFIER.head


def gradnorm(features, temperature):
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
        ("knn", {}, lambda z: peers.KNN(None).fit_features(TRAIN, LABELS).predict_features(z)),
        ("knn", {"k": 3}, lambda z: peers.KNN(None, k=3).fit_features(TRAIN, LABELS).predict_features(z)),
        ("react", {}, lambda z: peers.ReAct(None, HEAD).fit_feature_maps(TRAIN, LABELS).predict_feature_maps(z)),
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
