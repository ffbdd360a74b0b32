"""The mixture of Gaussians on pixels: a distribution, fitted as scikit-learn fits it."""

from __future__ import annotations

import importlib
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.learning import built, learn, noise, stripes
from tests.named_outputs import NamedBatch

HOME = registry.method("pixel_gmm").__module__.rpartition(".")[0]
PixelMixture = importlib.import_module(f"{HOME}._pixel_mixture").PixelMixture


def objective(**settings):
    (found,) = registry.method("pixel_gmm")(**settings).networks
    return found


def test_score_is_the_log_likelihood():
    detector = registry.method("pixel_gmm")().fit(None)

    assert detector.score(NamedBatch({"log_likelihood": [-3.0, -8.0]})).tolist() == [-3.0, -8.0]


def test_bits_are_the_mass_of_each_bin_by_hand():
    mixture = PixelMixture(1, 2)
    mixture.means.copy_(torch.tensor([[10.0, 200.0]]))
    mixture.variances.copy_(torch.tensor([[4.0, 9.0]]))
    mixture.weights.copy_(torch.tensor([[0.25, 0.75]]))

    def below(x):
        return 0.25 * math.erfc((10 - x) / math.sqrt(8)) / 2 + 0.75 * math.erfc((200 - x) / math.sqrt(18)) / 2

    bits = mixture.bits()[0]

    for value in (8, 12, 199):
        assert bits[value].exp2().item() == pytest.approx(below(value + 1) - below(value), rel=1e-9)
    assert torch.isfinite(bits).all()


@pytest.mark.parametrize("components", [1, 3])
def test_probabilities_of_all_values_add_up_to_1_in_each_channel(components):
    network, _ = learn(objective(components=components), noise(channels=3), steps=5)

    assert network.bits().exp2().sum(dim=1).tolist() == pytest.approx([1, 1, 1])


def test_likelihood_is_the_mean_of_the_pixels_bits():
    network, _ = learn(objective(), stripes(channels=3), steps=3)
    image = noise(1, channels=3)
    levels = (image * 255).round().long()[0]

    expected = np.mean([network.bits()[c, v].item() for c in range(3) for v in levels[c].flatten().tolist()])

    assert network.outputs(image)["log_likelihood"].item() == pytest.approx(expected, rel=1e-6)


def test_expectation_maximisation_finds_what_scikit_learn_finds():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(40, 8, 3000), rng.normal(120, 12, 2000), rng.normal(220, 6, 1000)])
    levels = np.clip(values, 0, 255).astype(np.int64)
    images = torch.tensor(levels, dtype=torch.float32).reshape(6, 1, 20, 50) / 255

    network, losses = learn(objective(), images, steps=40)

    reference = GaussianMixture(3, means_init=[[42.7], [128], [213.3]], tol=1e-9, max_iter=500).fit(
        levels[:, None] + 0.5
    )
    assert network.means[0].tolist() == pytest.approx(reference.means_.ravel(), rel=1e-3)
    assert network.weights[0].tolist() == pytest.approx(reference.weights_, rel=1e-2)
    # The values of a bin are spread over it.
    assert network.variances[0].tolist() == pytest.approx(reference.covariances_.ravel() + 1 / 12, rel=1e-2)
    assert all(later <= earlier + 1e-6 for earlier, later in pairwise(losses))


def test_images_of_one_value_are_learnt_without_a_number_that_is_none():
    network, losses = learn(objective(), torch.zeros(4, 1, 8, 8), steps=20)

    assert np.isfinite(losses).all()
    assert network.outputs(torch.zeros(1, 1, 8, 8))["log_likelihood"].item() > -0.1
    assert torch.isfinite(network.outputs(torch.ones(1, 1, 8, 8))["log_likelihood"]).all()


def test_batches_may_come_in_any_order():
    images = stripes(32)
    forwards, backwards = (built(objective(), (1, 8, 8)) for _ in range(2))

    forwards.count(images)
    for part in images.flip(0).split(5):
        backwards.count(part)

    assert torch.equal(forwards.counts, backwards.counts)
    assert forwards.counts.sum() == images.numel()


def test_familiar_pixels_are_more_likely():
    network, _ = learn(objective(), stripes(), steps=30)

    familiar, strange = (network.outputs(images)["log_likelihood"] for images in (stripes(seed=5), noise()))

    assert familiar.min() > strange.max()


def test_no_components_are_refused():
    with pytest.raises(ConfigError, match="components must be at least 1, got 0"):
        registry.method("pixel_gmm")(components=0)
