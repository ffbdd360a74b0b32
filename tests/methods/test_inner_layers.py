"""Gram matrices, neuron coverage and COMBOOD, which read inner layers, by hand and against direct implementations."""

from __future__ import annotations

import importlib
import math
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from oodbench.errors import ConfigError
from oodbench.networks.tinynet import TinyNet
from oodbench.plugins import registry
from tests.fitting import batch_of_images, fit_inputs
from tests.linear_head import Classifier, random_features

METHODS = registry.method("msp").__module__.rsplit(".", 1)[0]
readings = importlib.import_module(f"{METHODS}._readings")
nac = importlib.import_module(registry.method("nac").__module__)


def network():
    torch.manual_seed(0)
    return TinyNet((1, 8, 8), 3).eval().requires_grad_(requires_grad=False)


NETWORK = network()
OTHER_READINGS = (
    *registry.method("gram")(layers=("body.1", "body.4"), powers=(1, 2, 3)).reads,
    *registry.method("gram")(powers=(1, 2)).reads,
)


def pixels(n, seed):
    return np.random.default_rng(seed).integers(0, 256, (n, 1, 8, 8), dtype=np.uint8)


def batch(n=60, seed=0):
    return images(pixels(n, seed))


def images(values):
    readings = [reading for name in ("gram", "combood") for reading in registry.method(name)().reads]
    return batch_of_images(NETWORK, values, np.arange(len(values)) % 3, readings=(*readings, *OTHER_READINGS))


def fitted(name, train, **settings):
    return registry.method(name)(**settings).fit(fit_inputs(train, network=NETWORK))


def test_gram_sums_are_row_sums_of_the_gram_matrix():
    # The rows of F Fᵀ are (5, 11) and (11, 25); of the squares F², (17, 73) and (73, 337).
    maps = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])

    sums = readings.gram_sums(maps, (1, 2), "first")

    assert sums[0].tolist() == pytest.approx([16.0, 36.0, math.sqrt(90), math.sqrt(410)])


def test_gram_sums_keep_their_signs_and_stay_finite():
    maps = torch.tensor([[[[-1.0]], [[3.0]]], [[[0.0]], [[0.0]]], [[[1e6]], [[-1e6]]]])

    sums = readings.gram_sums(maps, (1, 3, 9), "first")

    assert sums[0, :2].tolist() == pytest.approx([-2.0, 6.0])
    assert sums[1].tolist() == [0.0] * 6
    assert torch.isfinite(sums).all()


def test_extremes_are_the_largest_and_minus_the_smallest():
    assert readings.extremes(torch.tensor([[[1.0, -4.0], [2.0, 0.0]]])).tolist() == [[2.0, 4.0]]


@pytest.mark.parametrize("name", ["gram", "combood"])
def test_readings_say_what_they_are_and_are_small(name):
    (reading,) = registry.method(name)().reads

    values = batch(4).output(reading.name)

    assert reading == registry.method(name)().reads[0]
    assert reading.name
    assert values.shape == (4, {"gram": 10 * (32 + 64 + 64), "combood": 6}[name])
    assert (
        readings.GramSums(of_layers="all", powers=(1, 2)).name != readings.GramSums(of_layers="all", powers=(12,)).name
    )


def direct_gram(image, label, train, layers, powers):
    """The deviation of each layer from the bounds of a class, with the Gram matrices written out."""

    def sums(images, stop, power):
        maps = NETWORK.body[: stop + 1](images).double().flatten(2) ** power
        rows = (maps @ maps.transpose(1, 2)).sum(dim=2)
        return rows.sign() * rows.abs() ** (1 / power)

    deviations = []
    for stop in layers:
        total = 0.0
        for power in powers:
            shown = sums(train.images[train.labels == label], stop, power)
            low, high, given = shown.amin(dim=0), shown.amax(dim=0), sums(image[None], stop, power)[0]
            total += ((low - given).clamp(min=0) / (low + 1e-6).abs()).sum().item()
            total += ((given - high).clamp(min=0) / (high + 1e-6).abs()).sum().item()
        deviations.append(total)
    return deviations


def test_gram_equals_a_direct_implementation():
    train, test = batch(), batch(10, seed=1)

    scores = fitted("gram", train, layers=("body.1", "body.4"), powers=(1, 2, 3), held_out=0.0).score(test)

    confidence = test.logits.double().softmax(dim=1).amax(dim=1)
    classes = test.logits.argmax(dim=1)
    expected = [
        -sum(direct_gram(image, label, train, (1, 4), (1, 2, 3)))
        for image, label in zip(test.images, classes, strict=True)
    ]
    torch.testing.assert_close(scores, torch.tensor(expected).double() / confidence, rtol=1e-3, atol=1e-3)


def test_layers_are_weighed_by_the_deviation_of_images_that_were_held_out():
    detector = fitted("gram", batch(), powers=(1, 2), held_out=0.2)

    assert detector.expected.shape == (3,)
    assert (detector.expected > 0).all()
    assert not torch.allclose(detector.expected, torch.ones(3).double())
    assert torch.isfinite(detector.score(batch(10, seed=1))).all()


@pytest.mark.parametrize("name", ["gram", "nac", "combood"])
def test_copies_of_one_black_image_give_finite_scores(name):
    black = images(np.zeros((60, 1, 8, 8), dtype=np.uint8))

    if name == "combood":
        with pytest.raises(ConfigError, match="combood needs training images that differ"):
            fitted(name, black)
    else:
        assert torch.isfinite(fitted(name, black).score(batch(10))).all()
    assert torch.isfinite(fitted(name, batch()).score(black)).all()


@pytest.mark.parametrize("settings", [("gram", {}), ("nac", {}), ("nac", {"layers": "all"}), ("combood", {})])
def test_scores_do_not_depend_on_the_batch_and_detectors_can_be_pickled(settings):
    name, given = settings
    detector, test = fitted(name, batch(), **given), batch(11, seed=1)
    whole = detector.score(test)

    parts = torch.cat([detector.score(part) for part in test.split(3)])

    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-4)
    assert torch.equal(pickle.loads(pickle.dumps(detector)).score(test), whole)
    assert not any(module._forward_hooks for module in NETWORK.modules())
    assert all(parameter.grad is None for parameter in NETWORK.parameters())


def test_bins_of_the_public_code_are_narrow_in_the_middle():
    edges = nac.bin_edges(50, "middle")
    half = np.log(np.linspace(1, np.sqrt(1000), 25)) / np.log(1000)

    assert len(edges) == 47
    np.testing.assert_allclose(edges, np.concatenate([half[1:], 1 - half[1:-1][::-1]]))
    assert np.diff(edges).argmin() in (22, 23)
    assert (np.diff(edges) > 0).all()


def test_bins_at_the_ends_are_equal_in_the_logarithm():
    edges = nac.bin_edges(8, "ends")

    assert edges.tolist() == pytest.approx([*np.logspace(-6, math.log10(0.5), 5)[1:], *(1 - edges[:3][::-1])])


def test_coverage_by_hand():
    # Logits are 0 whatever the image, so that p is uniform, the gradient 0 and all states 1/2.
    classifier = Classifier(np.zeros((2, 3)), np.zeros(2))
    inputs = labelled(classifier, random_features(5, 3))

    detector = registry.method("nac")(full=(10.0,)).fit(inputs)

    # Five images of ten that would cover the one bin.
    assert detector.score(classifier.batch(random_features(4, 3, seed=2))).tolist() == [0.5] * 4


def labelled(classifier, features):
    given = classifier.batch(features)
    source = type(given.source)(
        name="train",
        images=given.source.images,
        labels=np.arange(len(features)) % 2,
        class_names=("a", "b"),
    )
    return fit_inputs(type(given)(**{**vars(given), "source": source}), network=classifier, n_classes=2)


def test_coverage_of_inner_layers_equals_a_direct_loop():
    train, test = batch(), batch(8, seed=1)
    settings = {"alpha": (0.5, 20.0), "full": (3.0, 9.0)}

    scores = fitted("nac", train, layers=("body.4", "penultimate"), **settings).score(test)

    def states(image):
        maps = NETWORK.body[:5](image[None]).requires_grad_()
        features = NETWORK.body[5:](maps)
        loss = -NETWORK.head(features).log_softmax(dim=1).mean()
        gradients = torch.autograd.grad(loss, [maps, features])
        sums = [part.double().flatten(2).sum(dim=2)[0] for part in (maps, gradients[0])]
        flat = [part.double()[0] for part in (features, gradients[1])]
        return [torch.sigmoid(0.5 * sums[0] * sums[1]), torch.sigmoid(20.0 * flat[0] * flat[1])]

    edges = torch.tensor(nac.bin_edges(50, "middle"))
    known = [states(image) for image in train.images]
    expected = []
    for image in test.images:
        coverage = []
        for layer, o in ((0, 3.0), (1, 9.0)):
            bins = torch.bucketize(states(image)[layer], edges, right=True)
            seen = torch.stack([torch.bucketize(each[layer], edges, right=True) for each in known])
            coverage.append(((seen == bins).sum(dim=0) / o).clamp(max=1).mean().item())
        expected.append(sum(coverage) / 2)
    # A state next to an edge may be rounded to the other side.
    assert scores.tolist() == pytest.approx(expected, abs=0.01)


def test_a_balanced_sample_of_training_images_is_counted():
    train = batch(60)

    drawn = nac._balanced(fit_inputs(train, network=NETWORK), 20)

    assert torch.bincount(drawn.labels).tolist() == [6, 6, 6]


def test_combood_adds_the_densities_of_neighbours_and_extremes():
    from sklearn.preprocessing import PowerTransformer, StandardScaler

    train, test = batch(), batch(10, seed=1)

    scores = fitted("combood", train, k=5).score(test)

    def extremes(part):
        values = [part.logits, *(NETWORK.body[:stop](part.images).flatten(1) for stop in (1, 3, 7))]
        return np.stack(
            [side(v.double().numpy()) for v in values for side in (lambda x: x.max(1), lambda x: -x.min(1))], 1
        )

    scaler = StandardScaler().fit(extremes(train))
    power = PowerTransformer().fit(scaler.transform(extremes(train)))
    known, given = (power.transform(scaler.transform(extremes(part))) for part in (train, test))
    precision = np.linalg.inv(np.cov(known, rowvar=False) + np.identity(8))
    squared = np.array([row @ precision @ row for row in given])
    sphere = [torch.nn.functional.normalize(part.features.double()) for part in (train, test)]
    fifth = torch.cdist(sphere[1], sphere[0]).sort(dim=1).values[:, 4].numpy()
    expected = -math.sqrt(128) * np.log(fifth**2) - squared
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-3)


def test_combood_scores_copies_of_training_images_finitely():
    train = batch(60)

    assert torch.isfinite(fitted("combood", train, k=1).score(train)).all()


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("gram", {"layers": ()}, "layers must be all"),
        ("gram", {"powers": (0, 1)}, "powers must be different whole numbers"),
        ("gram", {"held_out": 1.0}, "held_out must be at least 0 and below 1"),
        ("nac", {"layers": ()}, "layers must be penultimate"),
        ("nac", {"alpha": ()}, "alpha must be positive"),
        ("nac", {"full": (0.0,)}, "full must be positive"),
        ("nac", {"bins": 2}, "bins must be at least 4"),
        ("nac", {"spacing": "even"}, "spacing must be middle or ends"),
        ("nac", {"fit_images": 0}, "fit_images must be at least 1"),
        ("combood", {"k": 0}, "k must be at least 1"),
        ("combood", {"regularisation": 0.0}, "regularisation must be positive"),
    ],
)
def test_impossible_settings_are_refused(method, settings, message):
    with pytest.raises(ConfigError, match=message):
        registry.method(method)(**settings)


def test_unknown_layers_and_too_few_images_are_refused_with_what_to_do():
    with pytest.raises(ConfigError, match=r"no layer 'body\.99' to look at; its layers are: body\.0"):
        batch_of_images(NETWORK, pixels(2, 0), readings=registry.method("gram")(layers=("body.99",)).reads)
    with pytest.raises(ConfigError, match=r"nac\.alpha has 2 values for 1 layers"):
        fitted("nac", batch(), alpha=(1.0, 2.0))
    with pytest.raises(ConfigError, match=r"k=50 among 20 training images.*--set combood\.k=20"):
        fitted("combood", batch(20))


def test_nac_of_the_penultimate_layer_needs_an_affine_head():
    curved = nn.Sequential(nn.Linear(16, 20), nn.Tanh(), nn.Linear(20, 4))

    with pytest.raises(ConfigError, match="leave nac out"):
        registry.method("nac")().fit(labelled(Classifier(head=curved), random_features()))


def test_large_maps_are_raised_in_parts_as_each_alone():
    maps = torch.randn(3, 4, 200, 200, generator=torch.Generator().manual_seed(0))
    rows = maps.double().flatten(2)
    expected = torch.cat([(rows**p @ (rows**p).transpose(1, 2)).sum(2) for p in (1, 3)], dim=1)
    expected[:, 4:] = expected[:, 4:].sign() * expected[:, 4:].abs() ** (1 / 3)

    assert torch.allclose(readings.gram_sums(maps, (1, 3), "layer").double(), expected, rtol=1e-3, atol=1e-2)
