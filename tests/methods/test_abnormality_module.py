"""The abnormality module: what is distorted, what learns, and what it says."""

from __future__ import annotations

import importlib
import math

import pytest
import torch

from oodbench.errors import ConfigError
from oodbench.networks.tinynet import TinyNet
from oodbench.plugins import registry
from tests.learning import built, learn, noise, stripes
from tests.named_outputs import NamedBatch

home = importlib.import_module(f"{registry.method('abnormality_module').__module__.rpartition('.')[0]}._abnormality")
LABELS = torch.arange(32) % 4


def objective(**settings):
    (found,) = registry.method("abnormality_module")(**{"width": 4, **settings}).networks
    return found


def network_of(found, seed=0):
    return built(found, (1, 8, 8), n_classes=4, backbone=TinyNet, seed=seed)


def test_score_is_the_module_s_logit_and_the_class_the_classifier_s():
    detector = registry.method("abnormality_module")().fit(None)
    batch = NamedBatch({"normality": [2.0, -1.0], "logits": [[0.0, 1.0], [3.0, 1.0]]})
    batch.logits = batch.output("logits")

    assert detector.score(batch).tolist() == [2.0, -1.0]
    assert detector.classify(batch).tolist() == [1, 0]


def test_losses_by_hand():
    outputs = {
        "logits": torch.tensor([[math.log(3), 0.0], [0.0, 0.0]]),
        "error": torch.tensor([0.2, 0.4]),
        "normality": torch.tensor([0.0, math.log(3)]),
    }
    found = objective()

    first = found.starts_from.loss(outputs, torch.tensor([0, 1]), None)
    second = found.loss(outputs, torch.tensor([1, 0]), None)

    assert first.item() == pytest.approx(0.9 * (-math.log(0.75) - math.log(0.5)) / 2 + 0.1 * 0.3)
    assert second.item() == pytest.approx((math.log(2) + math.log(4)) / 2)


def test_outputs_are_those_of_the_classifier_with_error_and_module():
    network = network_of(objective()).eval()
    images = stripes(5)

    made = network.outputs(images)

    assert {name: tuple(values.shape) for name, values in made.items()} == {
        "features": (5, 128),
        "logits": (5, 4),
        "error": (5,),
        "normality": (5,),
    }
    assert torch.allclose(made["logits"], network.classifier(images))
    assert torch.equal(network.head(network.features(images)), made["logits"])


def test_half_of_the_images_get_noise_a_quarter_is_blurred_and_a_quarter_turned():
    images, random = stripes(64), torch.Generator().manual_seed(0)

    result = home.distorted(images, random, turn=True)

    moved = (result - images)[:32]
    assert 0.85 < moved.std() < 1.25
    blurred = result[32:48]
    assert blurred.std() < 0.5 * images[32:48].std()
    assert torch.allclose(blurred.mean(), images[32:48].mean(), atol=0.06)
    for before, after in zip(images[48:], result[48:], strict=True):
        assert torch.equal(after, before.rot90(1, (1, 2))) or torch.equal(after, before.rot90(3, (1, 2)))


def test_images_that_must_not_be_turned_get_noise():
    images = stripes(64)

    result = home.distorted(images, torch.Generator().manual_seed(0), turn=False)

    assert (result - images)[48:].std() > 0.85


def test_images_that_are_not_square_get_noise():
    images = torch.rand(8, 1, 8, 10)

    result = home.distorted(images, torch.Generator().manual_seed(0), turn=True)

    assert result.shape == images.shape
    assert (result - images)[6:].std() > 0.5


def test_blur_is_a_weighted_mean_along_each_side():
    matrix = home._blur_matrix(5, torch.tensor(1.3))
    weights = [math.exp(-0.5 * (i / 1.3) ** 2) for i in (2, 1, 0, 1, 2)]

    assert matrix.sum(dim=1).tolist() == pytest.approx([1] * 5)
    assert matrix[2].tolist() == pytest.approx([w / sum(weights) for w in weights])


def test_module_learns_to_tell_distorted_images_and_nothing_else_moves():
    found = objective()
    start = network_of(found.starts_from)
    learn(found.starts_from, stripes(), LABELS, network=start, steps=30)
    network = network_of(found, seed=1)
    found.begin(network, start)

    _, losses = learn(found, stripes(), LABELS, network=network, steps=60)

    with torch.no_grad():
        familiar, strange = (network.outputs(images)["normality"] for images in (stripes(seed=5), 2 * noise() - 0.5))
    for part in ("classifier", "decoder"):
        states = [getattr(each, part).state_dict().values() for each in (network, start)]
        assert all(torch.equal(a, b) for a, b in zip(*states, strict=True))
    assert losses[-1] < 0.5 * losses[0]
    assert familiar.mean() > 0 > strange.mean()


def test_classifier_learns_to_classify_and_to_draw():
    found = objective().starts_from
    network, _ = learn(found, stripes(), LABELS, network=network_of(found), steps=60)

    made = network.outputs(stripes(seed=5))

    assert (made["logits"].argmax(dim=1) == LABELS).float().mean() > 0.9
    assert made["error"].mean() < network.outputs(noise())["error"].mean()


def test_classes_are_needed():
    method = registry.method("abnormality_module")()

    assert method.needs == {"classes"}
    assert method.networks[0].needs == {"classes"}


@pytest.mark.parametrize("settings", [{"width": 0}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ConfigError, match=f"{next(iter(settings))} must be"):
        registry.method("abnormality_module")(**settings)
