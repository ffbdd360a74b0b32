"""Methods that change features or read inner layers give the scores of pytorch-ood, up to the sign."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from oodbench.plugins import registry
from tests.fitting import batch_of_images, fit_inputs
from tests.linear_head import Classifier, random_features

peers = pytest.importorskip(
    "pytorch_ood.detector", reason="pytorch-ood is not installed: pip install oodbench[peers]", exc_type=ImportError
)

CLASSIFIER = Classifier.random()
TRAIN = random_features(400)
LABELS = torch.zeros(400, dtype=torch.int64)
HEAD = CLASSIFIER.head


def flat_head(maps):
    return HEAD(maps.flatten(1))


def maps(features):
    return torch.tensor(features)[:, :, None, None]


def ash(variant, percentile):
    return lambda z: peers.ASH(None, flat_head, variant=variant, percentile=percentile).predict_feature_maps(maps(z))


def dice(p):
    peer = peers.DICE(None, HEAD.weight, HEAD.bias, p=p).fit_features(torch.tensor(TRAIN), LABELS)
    return lambda z: peer.predict_features(torch.tensor(z))


def vra(low, high):
    peer = peers.VRA(None, flat_head, lower_percentile=low, upper_percentile=high)
    return lambda z: peer.fit_feature_maps(maps(TRAIN), LABELS).predict_feature_maps(maps(z))


def react(detector):
    peer = peers.ReAct(None, HEAD, detector=detector).fit_feature_maps(torch.tensor(TRAIN), LABELS)
    return lambda z: peer.predict_feature_maps(torch.tensor(z))


UNIT = {"below": "low", "thresholds": "unit"}


@pytest.mark.parametrize(
    ("name", "settings", "peer"),
    [
        ("ash", {"variant": "p", "percentile": 65.0}, ash("ash-p", 0.65)),
        ("ash", {"variant": "b", "percentile": 65.0}, ash("ash-b", 0.65)),
        ("ash", {"variant": "s", "percentile": 65.0}, ash("ash-s", 0.65)),
        ("ash", {}, ash("ash-s", 0.9)),
        ("scale", {"percentile": 65.0}, lambda z: peers.SCALE(None, flat_head).predict_feature_maps(maps(z))),
        ("dice", {"percentile": 70.0}, dice(0.7)),
        ("dice", {}, dice(0.9)),
        ("vra", {"low": 1.0, "high": 99.0, **UNIT}, vra(0.01, 0.99)),
        ("vra", {"low": 20.0, "high": 80.0, **UNIT}, vra(0.2, 0.8)),
        ("react", {"score": "msp"}, react(peers.MaxSoftmax.score)),
        ("react", {"score": "max_logit"}, react(peers.MaxLogit.score)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_scores_of_features_agree(name, settings, peer):
    # Positive: of equal features, theirs keeps any.
    test = random_features(60, seed=2) + 0.01 * np.random.default_rng(0).random((60, 16), dtype=np.float32)

    ours = CLASSIFIER.fit(name, TRAIN, **settings).score(CLASSIFIER.batch(test)).numpy()
    theirs = -peer(test).detach().double().numpy()

    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5 * ours.std())


class Convolutional(nn.Module):
    """Two maps before the features."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Sequential(nn.Conv2d(1, 5, 3, padding=1), nn.ReLU())
        self.second = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(5, 7, 3, padding=1), nn.ReLU())
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(7, 3)
        self.eval().requires_grad_(requires_grad=False)

    def features(self, images):
        return self.pool(self.second(self.first(images)))

    def forward(self, images):
        return self.head(self.features(images))


def fitted(name, n=60, **settings):
    network = Convolutional()
    images = np.random.default_rng(0).integers(0, 256, (n, 1, 8, 8), dtype=np.uint8)
    with torch.no_grad():
        labels = network(torch.tensor(images).float() / 255).argmax(dim=1).numpy()
    # All classes, whatever the network says.
    labels[:6] = np.arange(6) % 3
    method = registry.method(name)(**settings)
    readings = getattr(method, "reads", ())
    train = batch_of_images(network, images, labels, readings=readings)
    others = np.random.default_rng(1).integers(0, 256, (20, 1, 8, 8), dtype=np.uint8)
    test = batch_of_images(network, others, readings=readings)
    return network, train, test, method.fit(fit_inputs(train, network=network))


@pytest.mark.parametrize("layer", ["first", "second"])
def test_rankfeat_agrees(layer):
    network, _, test, detector = fitted("rankfeat", layers=(layer,))
    rest = nn.Sequential(network.second, network.pool, network.head) if layer == "first" else None
    rest = rest or nn.Sequential(network.pool, network.head)
    backbone = network.first if layer == "first" else nn.Sequential(network.first, network.second)

    theirs = -peers.RankFeat(backbone, rest).predict(test.images).double()

    torch.testing.assert_close(detector.score(test), theirs, rtol=1e-4, atol=1e-5)


def test_gram_agrees():
    layers, powers = ("first", "second"), (1, 2, 3)
    network, train, test, detector = fitted(
        "gram", layers=layers, powers=powers, divide_by_confidence=False, held_out=0.0
    )
    peer = peers.Gram(
        nn.Sequential(network.pool, network.head), [network.first, network.second], 3, num_poles_list=list(powers)
    )
    # It draws what it holds out from the global generator.
    peer.validation_fraction = 0.0
    peer.to("cpu")
    peer.fit([(train.images, train.labels)])

    theirs = -peer.predict(test.images).double()

    torch.testing.assert_close(detector.score(test), theirs, rtol=1e-4, atol=1e-5)


def test_nac_of_the_penultimate_layer_agrees():
    network, train, test, detector = fitted("nac", spacing="ends", alpha=(30.0,), full=(7.0,))
    peer = peers.NACUE(network, [network.pool], alpha=30.0, o_star=7)
    # It needs gradients of layers, and the weights take none.
    peer.fit([(train.images.requires_grad_(), train.labels)])

    theirs = -peer.predict(test.images.requires_grad_()).double()

    torch.testing.assert_close(detector.score(test), theirs, rtol=1e-4, atol=1e-5)
