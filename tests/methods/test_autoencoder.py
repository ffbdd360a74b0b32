"""The auto-encoder's objective and score."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.learning import built, learn, noise, stripes
from tests.named_outputs import NamedBatch


def objective(**settings):
    (found,) = registry.method("autoencoder")(**{"width": 4, **settings}).networks
    return found


def test_score_is_minus_the_error():
    detector = registry.method("autoencoder")().fit(None)
    batch = NamedBatch({"error": [0.5, 0.0]})

    assert detector.score(batch).tolist() == [-0.5, 0.0]
    assert detector.classify(batch) is None


def test_loss_is_the_mean_error_of_the_batch():
    outputs = {"error": torch.tensor([0.1, 0.2, 0.6]), "code": torch.zeros(3, 2)}

    assert objective().loss(outputs, None, None).item() == pytest.approx(0.3)


@pytest.mark.parametrize("settings", [{}, {"denoise": 0.2}])
def test_training_makes_better_pictures_of_its_kind_of_image_than_of_others(settings):
    network, losses = learn(objective(**settings), stripes(), steps=60)

    with torch.no_grad():
        familiar, strange = (network.outputs(images)["error"] for images in (stripes(seed=5), noise()))
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
    assert familiar.max() < strange.min()


def test_network_has_the_size_that_is_asked_for_and_the_image_s_otherwise():
    def code_dim(shape, **settings):
        return built(objective(**settings), shape).eval().outputs(torch.zeros(1, *shape))["code"].shape[1]

    assert code_dim((1, 28, 28)) == 32
    assert code_dim((3, 32, 32)) == 128
    assert code_dim((1, 8, 8), code_dim=3) == 3


def test_images_that_are_too_small_are_refused():
    with pytest.raises(ConfigError, match="at least 8×8 pixels, and these are 6×6"):
        built(objective(), (1, 6, 6))


@pytest.mark.parametrize("settings", [{"code_dim": 0}, {"width": 0}, {"denoise": -0.1}, {"denoise": float("nan")}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        registry.method("autoencoder")(**settings)
