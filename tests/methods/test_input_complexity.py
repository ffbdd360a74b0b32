"""Input complexity: lengths of codes, and their sum with a likelihood."""

from __future__ import annotations

import importlib
import io

import numpy as np
import pytest
import torch
from PIL import Image, features

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.learning import noise
from tests.named_outputs import NamedBatch

home = importlib.import_module(registry.method("input_complexity").__module__)
BOTH = ("png", "jpeg2000")


def detector(**settings):
    return registry.method("input_complexity")(**settings).fit(None)


def test_score_is_likelihood_plus_length_of_the_code():
    images = noise(3, channels=3)
    batch = NamedBatch({"log_likelihood": [-8.0, -2.0, 0.0]}, images=images)
    lengths = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy()).save(buffer, "PNG", compress_level=9)
        lengths.append(8 * len(buffer.getvalue()) / (3 * 8 * 8))

    scores = detector(compressor="png").score(batch)

    assert scores.tolist() == pytest.approx([-8 + lengths[0], -2 + lengths[1], lengths[2]])
    assert detector().classify(batch) is None


def test_smallest_code_counts():
    x = np.arange(64)
    smooth = (127 + 60 * np.sin(x[:, None] / 9) + 60 * np.cos(x / 7)).astype(np.uint8)[:, :, None]
    flat = np.zeros((64, 64, 1), dtype=np.uint8)

    for image, best in ((smooth, "jpeg2000"), (flat, "png")):
        lengths = {name: home.code_length(image, (name,)) for name in BOTH}
        assert min(lengths, key=lengths.get) == best
        assert home.code_length(image, BOTH) == lengths[best]


@pytest.mark.parametrize("side", [8, 9, 31, 32, 33])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_all_sizes_are_compressed_without_loss(side, channels):
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, channels)).astype(np.uint8)
    picture = Image.fromarray(pixels.squeeze())
    saved = []
    picture.save = lambda buffer, **options: saved.append((buffer, Image.Image.save(picture, buffer, **options)))

    for name in BOTH:
        home._compressed(picture, name)

    assert all(np.array_equal(np.asarray(Image.open(buffer)), pixels.squeeze()) for buffer, _ in saved)
    assert len(saved) == 2


def test_noise_has_longer_codes_than_one_colour():
    flat = np.zeros((32, 32, 1), dtype=np.uint8)
    rough = np.random.default_rng(0).integers(0, 256, (32, 32, 1)).astype(np.uint8)

    assert home.code_length(flat, BOTH) < 1
    assert home.code_length(rough, BOTH) > 8


@pytest.mark.parametrize("density", ["flow", "vae"])
def test_network_is_that_of_the_density(density):
    method = registry.method("input_complexity")(density=density)

    assert method.networks == registry.method(density)().networks


def test_other_numbers_of_channels_are_refused():
    batch = NamedBatch({"log_likelihood": [0.0]}, images=torch.zeros(1, 2, 8, 8))

    with pytest.raises(ConfigError, match="images of 1 or 3 channels, and these have 2"):
        detector().score(batch)


def test_pillow_without_jpeg_2000_is_refused(monkeypatch):
    monkeypatch.setattr(features, "check", lambda name: False)

    with pytest.raises(ConfigError, match="cannot write JPEG 2000; take --set input_complexity.compressor=png"):
        detector()
    detector(compressor="png")
