"""Every installed network has features and a head, and the sizes of its source."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from oodbench import registry

SHAPES = {"tinynet": (1, 8, 8), "lenet": (1, 28, 28)}


def network(name, n_outputs=7):
    return registry.network(name)(SHAPES.get(name, (3, 32, 32)), n_outputs).eval()


@pytest.mark.parametrize("name", registry.names("networks"))
def test_output_is_the_head_of_the_features(name):
    built = network(name)
    images = torch.rand(3, *SHAPES.get(name, (3, 32, 32)))

    features = built.features(images)

    assert features.ndim == 2
    assert torch.equal(built(images), built.head(features))
    assert built(images).shape == (3, 7)


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


def test_lenet_has_its_usual_filters():
    convolutions = [module.out_channels for module in network("lenet").modules() if isinstance(module, nn.Conv2d)]

    assert convolutions == [20, 50]
