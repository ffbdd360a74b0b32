"""SSD against the formulas of Sehwag et al. (ICLR 2021), by hand."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
import torch

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.fitting import batch_of, fit_inputs
from tests.training_steps import id_images, seen_images, trained

HOME = registry.method("ssd").__module__.rpartition(".")[0]
learning = importlib.import_module(f"{HOME}._contrastive_views")
views = importlib.import_module(f"{HOME}._views")


def objective(**settings):
    (found,) = registry.method("ssd")(**settings).networks
    return found


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def unit(*degrees):
    return torch.tensor([[math.cos(math.radians(d)), math.sin(math.radians(d))] for d in degrees])


def test_ntxent_of_two_images_by_hand():
    # Views of the first image at 0° and 60°, of the second at 90° and 180°; τ = 1/2.
    projections = unit(0, 90, 60, 180)
    cosines = projections @ projections.T
    expected = 0.0
    for i, partner in ((0, 2), (1, 3), (2, 0), (3, 1)):
        total = sum(math.exp(cosines[i, k] / 0.5) for k in range(4) if k != i)
        expected -= math.log(math.exp(cosines[i, partner] / 0.5) / total) / 4

    loss = learning.contrastive_loss(projections, torch.tensor([0, 1, 0, 1]), 0.5)

    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_supervised_loss_averages_over_all_other_views_of_the_class():
    classes, projections = [0, 0, 0, 1, 1], unit(0, 45, 90, 180, 200)
    cosines = projections @ projections.T
    expected = 0.0
    for i in range(5):
        total = sum(math.exp(cosines[i, k]) for k in range(5) if k != i)
        same = [j for j in range(5) if j != i and classes[j] == classes[i]]
        expected -= sum(math.log(math.exp(cosines[i, j]) / total) for j in same) / len(same) / 5

    loss = learning.contrastive_loss(projections, torch.tensor(classes), 1.0)

    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shape", [(20, 1, 8, 8), (20, 3, 9, 12)])
def test_views_have_the_shape_and_range_of_the_images_and_differ_from_each_other(shape):
    images = torch.rand(shape, generator=generator())

    first, second = (views.view(images, True, random) for random in [generator(1)] * 2)

    assert first.shape == shape
    assert 0 <= first.min() <= first.max() <= 1
    assert not first.equal(second)
    assert views.view(images, True, generator(1)).equal(views.view(images, True, generator(1)))


def test_views_are_mirrored_only_where_they_may_be():
    # Brightness grows from left to right, and whatever is cropped keeps that unless it is mirrored.
    ramp = torch.linspace(0, 0.6, 16).repeat(1, 1, 16, 1).expand(200, 1, 16, 16)

    def mirrored(flip):
        seen = views.view(ramp, flip, generator(3))
        return (seen[:, 0, 8, 0] > seen[:, 0, 8, -1]).float().mean().item()

    assert mirrored(False) == 0
    assert mirrored(True) == pytest.approx(0.5, abs=0.1)


def clusters_of(features, **settings):
    return registry.method("ssd")(**settings).fit(fit_inputs(batch_of(features), n_classes=1))


def features(n=200, seed=0):
    rng = np.random.default_rng(seed)
    return (np.array([3.0, 1.0, 2.0]) + rng.normal(0, [0.3, 0.5, 0.1], (n, 3))).astype(np.float32)


def test_score_is_the_mahalanobis_distance_of_standardised_unit_features():
    train, other = features().astype(np.float64), features(5, seed=1).astype(np.float64) + 0.5
    unit_train, unit_other = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (train, other))
    mean, std = unit_train.mean(axis=0), unit_train.std(axis=0)
    z_train, z_other = (unit_train - mean) / std, (unit_other - mean) / std
    inverse = np.linalg.pinv(np.cov(z_train.T, bias=True))
    expected = [-row @ inverse @ row for row in z_other]

    scores = clusters_of(features()).score(batch_of(features(5, seed=1) + 0.5))

    assert scores.tolist() == pytest.approx(expected, rel=1e-3)


def test_nearest_cluster_counts():
    rng = np.random.default_rng(0)
    centres = np.array([[5.0, 0.0, 1.0], [0.0, 5.0, 1.0]])
    two = centres[np.arange(100) % 2] + rng.normal(0, 0.1, (100, 3))

    detector = clusters_of(two, clusters=2)

    assert (detector.score(batch_of(centres)) > -10).all()
    assert detector.score(batch_of([[3.0, 3.0, 1.0]])) < -50
    assert detector.classify(batch_of(centres)) is None


def test_known_outliers_add_their_distance():
    train, seen = batch_of(features()), batch_of(features(20, seed=2) + np.array([-3, 2, 0]))
    detector = registry.method("ssd")(few_shot=10).fit(fit_inputs(train, seen_ood=seen, n_classes=1))

    id_scores, ood_scores = (detector.score(batch).mean() for batch in (train, seen))

    assert id_scores > ood_scores
    assert ood_scores < 0


def test_only_known_outliers_are_declared_as_seen():
    assert registry.method("ssd")().sees == frozenset()
    assert registry.method("ssd")(few_shot=5).sees == {"seen_ood"}
    assert objective().needs == frozenset()
    assert objective(supervised=True).needs == {"classes"}


@pytest.mark.parametrize("supervised", [False, True])
def test_training_brings_views_of_one_image_together(supervised):
    images, _ = id_images(24)
    found = objective(supervised=supervised, flip=False)
    ratios = []
    for steps in (0, 40):
        network = trained(found, steps=steps) if steps else trained(found, steps=1, learning_rate=1e-9)
        first, second = (network(views.view(images, False, generator(seed))) for seed in (1, 2))
        cosines = first @ second.T
        ratios.append((cosines.diagonal().mean() - cosines.mean()).item())

    assert ratios[1] > 2 * ratios[0]


def test_trained_network_tells_outliers_from_id_images():
    network = trained(objective(supervised=True, flip=False), steps=40)
    images, _ = id_images(200)
    batches = [network.features(x).numpy() for x in (images, id_images(30, seed=7)[0], seen_images(30).float() / 255)]
    detector = registry.method("ssd")(clusters=3).fit(fit_inputs(batch_of(batches[0]), n_classes=1))

    id_scores, ood_scores = (detector.score(batch_of(batch)).median() for batch in batches[1:])

    assert id_scores > ood_scores


def test_fewer_seen_images_than_asked_for_are_refused():
    with pytest.raises(ConfigError, match="ssd.few_shot=5"):
        registry.method("ssd")(few_shot=5).fit(fit_inputs(batch_of(features()), n_classes=1))


def test_more_clusters_than_images_are_refused():
    with pytest.raises(ConfigError, match="ssd.clusters=9"):
        clusters_of(features(5), clusters=9)


def test_images_that_are_all_alike_are_refused():
    with pytest.raises(ConfigError, match="all alike"):
        clusters_of(np.ones((5, 3)))


@pytest.mark.parametrize(
    "settings", [{"clusters": 0}, {"few_shot": 1}, {"few_shot": -1}, {"temperature": 0.0}, {"projection": 0}]
)
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        registry.method("ssd")(**settings)


def test_known_outliers_with_several_clusters_are_refused():
    with pytest.raises(ConfigError, match="needs clusters=1"):
        registry.method("ssd")(few_shot=5, clusters=2)
