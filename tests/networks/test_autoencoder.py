"""Auto-encoders for any size of image."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from oodbench.errors import ConfigError
from oodbench.networks.autoencoder import Autoencoder, Decoder, Encoder, sizes, squared_error

SHAPES = [(1, 8, 8), (3, 9, 14), (1, 28, 28), (3, 33, 64)]


@pytest.mark.parametrize("shape", SHAPES)
def test_decoder_makes_images_of_the_size_that_the_encoder_takes(shape):
    images = torch.rand(2, *shape)

    codes = Encoder(shape, 5, width=4)(images)

    assert codes.shape == (2, 5)
    assert Decoder(shape, 5, width=4)(codes).shape == images.shape
    assert Decoder(shape, 5, width=4, channels=7)(codes).shape == (2, 7, *shape[1:])


def test_maps_are_halved_until_they_are_about_four_pixels_wide():
    assert sizes((1, 8, 8)) == [(8, 8), (4, 4)]
    assert sizes((3, 32, 32)) == [(32, 32), (16, 16), (8, 8), (4, 4)]
    assert sizes((3, 224, 224))[-1] == (7, 7)


@pytest.mark.parametrize("kind", [Encoder, Decoder])
def test_images_that_are_too_small_are_refused(kind):
    with pytest.raises(ConfigError, match="at least 8×8 pixels, and these are 7×12; let the benchmark convert"):
        kind((1, 7, 12), 5)


def test_network_without_bias_has_no_bias_and_gives_a_constant_no_way_in():
    encoder = Encoder((1, 8, 8), 5, width=4, bias=False)

    assert [name for name, _ in encoder.named_parameters() if "bias" in name] == []
    assert all(not m.affine for m in encoder.modules() if isinstance(m, nn.BatchNorm2d))
    assert torch.equal(encoder.eval()(torch.zeros(1, 1, 8, 8)), torch.zeros(1, 5))


def test_error_is_the_mean_squared_difference_by_hand():
    made = torch.tensor([[[[0.0, 0.5], [1.0, 0.0]]], [[[0.1, 0.1], [0.1, 0.1]]]])
    images = torch.tensor([[[[0.0, 0.0], [0.0, 1.0]]], [[[0.1, 0.1], [0.1, 0.5]]]])

    assert squared_error(made, images).tolist() == pytest.approx([(0.25 + 1 + 1) / 4, 0.16 / 4])


def test_outputs_are_code_and_error_of_each_image_and_the_same_alone():
    torch.manual_seed(0)
    network = Autoencoder(Encoder((1, 8, 8), 5, width=4), Decoder((1, 8, 8), 5, width=4), noise=1.0).eval()
    images = torch.rand(6, 1, 8, 8)

    whole, one = network.outputs(images), network.outputs(images[2:3])

    assert whole["code"].shape == (6, 5)
    assert torch.allclose(whole["error"][2], one["error"][0], rtol=1e-5)
    assert torch.allclose(whole["error"], squared_error(network.decode(whole["code"]), images))


def test_noise_is_added_in_training_only_and_to_what_is_encoded_only():
    seen = []

    class Remember(nn.Module):
        def forward(self, images):
            seen.append(images)
            return images.flatten(1)

    network = Autoencoder(Remember(), nn.Unflatten(1, (1, 8, 8)), noise=0.5)
    images = torch.rand(50, 1, 8, 8)

    trained, used = network.train()(images), network.eval()(images)

    assert (seen[0] - images).std().item() == pytest.approx(0.5, rel=0.05)
    assert torch.equal(seen[1], images)
    assert torch.allclose(trained["error"], squared_error(seen[0].sigmoid(), images))
    assert torch.allclose(used["error"], squared_error(images.sigmoid(), images))
