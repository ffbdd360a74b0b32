"""Hierarchies of flows: the outlier loss, what is shared, and what training moves."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.learning import built, learn, noise, stripes
from tests.named_outputs import NamedBatch


def objective(**settings):
    (found,) = registry.method("flow_hierarchies")(**{"width": 4, "couplings": 1, **settings}).networks
    return found


def seen():
    return (noise(64, seed=7) * 255).round().byte()


def test_score_is_the_difference_of_the_two_likelihoods():
    batch = NamedBatch({"log_likelihood": [-2.0, -5.0], "log_likelihood_general": [-3.0, -1.0]})
    detector = registry.method("flow_hierarchies")().fit(None)

    assert detector.score(batch).tolist() == [1.0, -4.0]
    assert detector.classify(batch) is None


def test_loss_by_hand():
    outputs = {
        "log_likelihood": torch.tensor([-1.0, -3.0, -2.0, -4.0]),
        "log_likelihood_general": torch.tensor([0.0, 0.0, -1.0, -6.0]),
    }
    labels = torch.tensor([0, 1, -1, -1])

    def softplus(x):
        return math.log(1 + math.exp(x))

    # Gaps of 1 and −2 bits at temperature 2: −log σ(0.5) and −log σ(−1).
    expected = 2 + 3 * (softplus(-0.5) + softplus(1)) / 2
    assert objective(outlier_weight=3.0, temperature=2.0).loss(outputs, labels, None).item() == pytest.approx(expected)
    assert objective(outlier_weight=0.0).loss(outputs, labels, None).item() == pytest.approx(2)


def test_general_flow_learns_the_seen_images_and_others_by_their_share():
    def learnt_from(images, share):
        return learn(objective(id_share=share).starts_from, images, steps=10, seen=seen())[0]

    def same(share):
        first, second = (learnt_from(images, share) for images in (stripes(), torch.zeros(32, 1, 8, 8)))
        return all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))

    assert same(0.0)
    assert not same(0.5)


def test_general_flow_is_shown_the_share_of_id_images():
    shown = []

    class Remember(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))

        def forward(self, images):
            shown.append(images)
            return {"log_likelihood": self.weight * images.sum()}

    learn(objective(id_share=0.25).starts_from, stripes(), network=Remember(), steps=1, seen=seen() * 0 + 255)

    assert (shown[0] < 1).flatten(1).any(dim=1).sum() == 8
    assert len(shown[0]) == 32


def test_both_flows_begin_as_the_general_one_and_only_one_is_trained():
    found = objective()
    start, _ = learn(found.starts_from, stripes(), steps=5, seen=seen())
    network = built(found, (1, 8, 8))
    found.begin(network, start)
    images = noise()

    with torch.no_grad():
        equal = network.eval().outputs(images)
    learn(found, stripes(), network=network, steps=5, seen=seen())

    def same(one, other):
        return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))

    assert torch.equal(equal["log_likelihood"], equal["log_likelihood_general"])
    assert same(network.general, start)
    assert not same(network.flow, start)


def test_training_raises_the_ratio_of_its_kind_of_image_and_the_outlier_loss_lowers_that_of_others():
    gaps = {}
    for weight in (0.0, 2.8):
        found = objective(outlier_weight=weight)
        network = built(found, (1, 8, 8))
        found.begin(network, learn(found.starts_from, stripes(), steps=10, seen=seen())[0])
        learn(found, stripes(), network=network, steps=40, seen=seen(), learning_rate=1e-2)
        with torch.no_grad():
            ratios = [
                (made["log_likelihood"] - made["log_likelihood_general"]).mean().item()
                for made in map(network.outputs, (stripes(seed=5), noise(seed=9)))
            ]
        assert ratios[0] > max(0, ratios[1])
        gaps[weight] = np.subtract(*ratios)

    assert gaps[2.8] > gaps[0.0]


def test_seen_images_are_declared():
    method = registry.method("flow_hierarchies")()

    assert method.sees == {"seen_ood"}
    assert method.networks[0].uses_seen_ood
    assert method.networks[0].starts_from.uses_seen_ood


@pytest.mark.parametrize(
    "settings", [{"outlier_weight": -1.0}, {"id_share": 1.0}, {"temperature": 0.0}, {"width": 0}, {"couplings": 0}]
)
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ConfigError, match=f"{next(iter(settings))} must be"):
        registry.method("flow_hierarchies")(**settings)
