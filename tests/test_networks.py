"""Every installed network has features and a head, and the sizes of its source."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from oodbench.errors import ConfigError
from oodbench.networks.wrn import WideResNet
from oodbench.plugins import registry

SHAPES = {"tinynet": (1, 8, 8), "lenet": (1, 28, 28)}


def network(name, n_outputs=7):
    return registry.network(name)(SHAPES.get(name, (3, 32, 32)), n_outputs).eval()


@pytest.mark.parametrize("name", registry.names("networks"))
def test_output_is_the_head_of_the_features(name):
    built = network(name)
    images = torch.rand(3, *SHAPES.get(name, (3, 32, 32)))

    with torch.no_grad():
        features, outputs = built.features(images), built(images)

    assert features.ndim == 2
    assert torch.equal(outputs, built.head(features))
    assert outputs.shape == (3, 7)


@pytest.mark.parametrize("name", registry.names("networks"))
def test_features_are_the_input_of_the_last_linear_layer(name):
    built = network(name)
    layers = [module for module in built.modules() if isinstance(module, nn.Linear)]

    assert layers[-1] is built.head


@pytest.mark.parametrize(
    ("name", "dropout", "last_pool", "batch_norms"),
    [("vgg13", 0.2, nn.AvgPool2d, 0), ("vgg13_ccag", 0.5, nn.MaxPool2d, 0), ("vgg13_bn", 0.2, nn.AvgPool2d, 10)],
)
def test_vgg_is_that_of_its_paper(name, dropout, last_pool, batch_norms):
    modules = list(network(name).modules())

    def of(kind):
        return [module for module in modules if isinstance(module, kind)]

    assert [conv.out_channels for conv in of(nn.Conv2d)] == [64, 64, 128, 128, 256, 256, 512, 512, 512, 512]
    assert [layer.out_features for layer in of(nn.Linear)] == [512, 512, 7]
    assert {layer.p for layer in of(nn.Dropout)} == {dropout}
    assert isinstance(of((nn.AvgPool2d, nn.MaxPool2d))[-1], last_pool)
    assert len(of(nn.BatchNorm2d)) == batch_norms


@pytest.mark.parametrize(
    ("name", "linear", "bias"),
    # Of the linear layers and of the convolutions; PyTorch draws neither from a normal distribution.
    [("vgg13", 0.1, 0.1), ("vgg13_ccag", 0.01, 0.0)],
)
def test_vgg_starts_from_the_weights_of_its_paper(name, linear, bias):
    torch.manual_seed(0)
    modules = list(network(name).modules())
    convolutions = [module for module in modules if isinstance(module, nn.Conv2d)]
    layers = [module for module in modules if isinstance(module, nn.Linear)]

    assert layers[0].weight.std().item() == pytest.approx(linear, rel=0.02)
    assert layers[2].weight.std().item() == pytest.approx(linear, rel=0.05)
    assert layers[0].bias.std().item() == pytest.approx(0.1 if name == "vgg13" else 0.0, rel=0.2)
    assert all((convolution.bias == torch.tensor(bias)).all() for convolution in convolutions)
    # From 64 to 128 channels: uniform after Glorot and Bengio, or normal after He et al.
    spread = (2 / (9 * (64 + 128))) ** 0.5 if name == "vgg13" else (2 / (9 * 128)) ** 0.5
    assert convolutions[2].weight.std().item() == pytest.approx(spread, rel=0.02)


@pytest.mark.parametrize(("name", "width", "millions"), [("resnet9", 64, 6.57), ("resnet9_half", 32, 1.65)])
def test_resnet9_has_the_convolutions_and_weights_of_its_source(name, width, millions):
    built = network(name, 10)
    convolutions = [module.out_channels for module in built.modules() if isinstance(module, nn.Conv2d)]

    assert convolutions == [width, *[2 * width] * 3, 4 * width, *[8 * width] * 3]
    assert sum(parameter.numel() for parameter in built.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)


@pytest.mark.parametrize(("name", "first", "last"), [("airbench", 64, 256), ("airbench_wide", 128, 384)])
def test_airbench_has_the_widths_of_its_source_and_pools_before_it_normalises(name, first, last):
    modules = list(network(name, 10).modules())
    convolutions = [(module.kernel_size[0], module.out_channels) for module in modules if isinstance(module, nn.Conv2d)]
    after_pools = [type(modules[i + 1]) for i, module in enumerate(modules) if isinstance(module, nn.MaxPool2d)]

    assert convolutions == [(3, first), (3, first), *[(3, last)] * 4]
    assert after_pools == [nn.BatchNorm2d] * 3
    assert registry.network(name)((1, 9, 9), 5).eval().features(torch.rand(2, 1, 9, 9)).shape == (2, last)


@pytest.mark.parametrize("channels", [1, 3])
def test_airbench_looks_at_patches_along_axes_that_it_does_not_learn(channels):
    first = registry.network("airbench")((channels, 32, 32), 10).body[0]
    images = torch.rand(2, channels, 5, 5)
    along = first(images)
    half = 4 * channels

    # Axes at right angles of length 1 keep the length of every patch.
    lengths = nn.functional.unfold(images, 2).square().sum(1)
    torch.testing.assert_close(along[:, :half].square().sum(1).flatten(1), lengths)
    torch.testing.assert_close(along[:, half:], -along[:, :half])
    assert (first(torch.ones(1, channels, 2, 2))[0, :half].abs() > 1e-6).sum() == 1
    assert not list(first.parameters())


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 28, 28), (3, 33, 48)])
def test_resnet9_takes_images_of_any_size(shape):
    built = registry.network("resnet9_half")(shape, 5).eval()

    assert built.features(torch.rand(2, *shape)).shape == (2, 256)


def test_lenet_has_its_usual_filters():
    convolutions = [module.out_channels for module in network("lenet").modules() if isinstance(module, nn.Conv2d)]

    assert convolutions == [20, 50]


def wide_resnet_weights(depth, widening, n_outputs, channels=3):
    """Count the weights as the paper's Table 1 lays them out."""
    blocks, total, width = (depth - 4) // 6, 9 * channels * 16, 16
    for wider in (16 * widening, 32 * widening, 64 * widening):
        # Two convolutions and two batch normalisations a block, and a shortcut where the width changes.
        first = 9 * width * wider + 9 * wider * wider + 2 * width + 2 * wider + width * wider
        total += first + (blocks - 1) * (18 * wider * wider + 4 * wider)
        width = wider
    return total + 2 * width + width * n_outputs + n_outputs


@pytest.mark.parametrize(
    ("name", "depth", "widening", "millions"), [("wrn_28_10", 28, 10, 36.5), ("wrn_16_4", 16, 4, 2.75)]
)
def test_wide_resnet_has_the_depth_and_the_weights_of_its_paper(name, depth, widening, millions):
    built = network(name, 10)
    weights = sum(parameter.numel() for parameter in built.parameters())

    assert sum(isinstance(module, nn.Conv2d) for module in built.modules()) == depth
    assert weights == wide_resnet_weights(depth, widening, 10)
    assert weights / 1e6 == pytest.approx(millions, abs=0.03)


def test_wide_resnet_halves_the_image_twice():
    built = network("wrn_16_4")
    convolutions = [
        module for module in built.modules() if isinstance(module, nn.Conv2d) and module.kernel_size[0] == 3
    ]

    assert [conv.out_channels for conv in convolutions] == [16] + [64] * 4 + [128] * 4 + [256] * 4
    assert [conv.stride[0] for conv in convolutions] == [1] * 5 + [2, 1, 1, 1] * 2


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 28, 28), (3, 32, 32), (3, 48, 48), (3, 40, 33)])
def test_wide_resnet_takes_images_of_any_size(shape):
    built = registry.network("wrn_16_4")(shape, 32).eval()
    images = torch.rand(2, *shape)

    assert built.features(images).shape == (2, 256)
    assert built(images).shape == (2, 32)
    assert torch.equal(built(images), built(images))


def test_wide_resnet_gives_the_same_in_channels_last():
    built = network("wrn_16_4")
    images = torch.rand(2, 3, 32, 32)
    expected = built(images)
    turned = built.to(memory_format=torch.channels_last)

    assert torch.allclose(turned(images.to(memory_format=torch.channels_last)), expected, atol=1e-5)


def test_block_of_a_wide_resnet_adds_its_input_as_it_came():
    first, second = [module for module in network("wrn_16_4").modules() if hasattr(module, "shortcut")][:2]
    nn.init.zeros_(first.residual[-1].weight)
    nn.init.zeros_(second.residual[-1].weight)
    images, wide = torch.randn(2, 16, 8, 8), torch.randn(2, 64, 8, 8)

    # Where the width changes, the input is activated before its 1×1 convolution.
    assert torch.equal(first(images), first.shortcut(first.activation(images)))
    assert torch.equal(second(wide), wide)


def test_wide_resnet_starts_from_the_normal_distribution_of_he():
    convolution = registry.network("wrn_28_10")((3, 32, 32), 10).body[1].residual[0]

    assert convolution.weight.std().item() == pytest.approx((2 / (9 * 160)) ** 0.5, rel=0.02)


def test_dropout_of_a_wide_resnet_lies_between_the_convolutions_of_each_block():
    built = WideResNet((3, 32, 32), 10, depth=16, widening=1, dropout=0.3)
    kinds = [[type(layer).__name__ for layer in m.residual] for m in built.modules() if hasattr(m, "shortcut")]

    assert kinds == [["Conv2d", "BatchNorm2d", "ReLU", "Dropout", "Conv2d"]] * 6
    assert {module.p for module in built.modules() if isinstance(module, nn.Dropout)} == {0.3}
    assert {module.p for module in network("wrn_28_10").modules() if isinstance(module, nn.Dropout)} == {0.0}


@pytest.mark.parametrize("depth", [4, 15, 27])
def test_wide_resnet_of_an_impossible_depth_is_refused(depth):
    with pytest.raises(ConfigError, match=f"depth must be 4 more than a multiple of 6, .* got {depth}"):
        WideResNet((3, 32, 32), 10, depth=depth)
