"""Minimum others score against the formulas of Huang & Li (CVPR 2021), by hand."""

from __future__ import annotations

import importlib
import math

import pytest
import torch
from torch import nn

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.hand_made_outputs import batch_of
from tests.training_steps import SHAPE, backbone, built, id_images, seen_images, setting_of, trained

HOME = registry.method("mos").__module__.rpartition(".")[0]
grouping = importlib.import_module(f"{HOME}._groups")


def objective(**settings):
    (found,) = registry.method("mos")(**settings).networks
    return found


class Given(nn.Module):
    """Its features are its images, and so are its logits."""

    def features(self, images):
        return images.flatten(1)

    def head(self, features):
        return features


def network(groups, n_groups):
    return grouping.GroupedClasses(Given(), torch.tensor(groups), n_groups)


def logits_of(*weights):
    return torch.tensor([weights]).log().reshape(1, 1, 1, -1)


def test_each_group_has_a_softmax_of_its_classes_and_others():
    # Classes 0 and 2 in the first group with weights 1 and 3, class 1 in the second with 2; others 4 and 6.
    outputs = network([0, 1, 0], 2)(logits_of(1.0, 2.0, 3.0, 4.0, 6.0))

    assert outputs["logits"].exp().tolist() == [pytest.approx([1 / 8, 2 / 8, 3 / 8])]
    assert outputs["others"].exp().tolist() == [pytest.approx([4 / 8, 6 / 8])]


def test_loss_by_hand():
    groups = torch.tensor([0, 1, 0])
    outputs = network([0, 1, 0], 2)(logits_of(1.0, 2.0, 3.0, 4.0, 6.0).repeat(2, 1, 1, 1))
    # Class 2: 3/8 in its group, "others" 6/8 in the second. Class 1: 2/8 in its group, "others" 4/8 in the first.
    expected = -(math.log(3 / 8) + math.log(6 / 8) + math.log(2 / 8) + math.log(4 / 8)) / 2

    assert grouping.group_loss(outputs, torch.tensor([2, 1]), groups).item() == pytest.approx(expected, rel=1e-6)


def test_gradient_is_finite_where_a_group_has_no_class():
    images = torch.randn(2, 1, 1, 4, requires_grad=True)
    groups = torch.tensor([0, 0])

    grouping.group_loss(network([0, 0], 2)(images), torch.tensor([0, 1]), groups).backward()

    assert torch.isfinite(images.grad).all()


def test_score_is_minus_the_smallest_others_and_the_class_is_the_surest():
    batch = batch_of(logits=[[math.log(1 / 8), math.log(3 / 8)]], others=[[math.log(1 / 4), math.log(3 / 4)]])
    detector = registry.method("mos")().fit(None)

    assert detector.score(batch).item() == pytest.approx(-1 / 4)
    assert detector.classify(batch).tolist() == [1]


def test_groups_are_read_from_text():
    assert grouping.read_groups("0 3 | 1 2") == ((0, 3), (1, 2))
    assert grouping.given_groups(((0, 3), (1, 2)), 4).tolist() == [0, 1, 1, 0]
    assert objective(groups="0 2 | 1").build(backbone, SHAPE, 3, 3).groups.tolist() == [0, 1, 0]


def test_kmeans_puts_classes_with_near_means_together():
    means = torch.tensor([[0.0, 0.0], [9.0, 9.0], [0.1, 0.0], [9.0, 9.2], [0.0, 0.2]])

    assert grouping.kmeans_groups(means, 2, seed=0).tolist() == [0, 1, 0, 1, 0]


def test_random_groups_are_of_nearly_equal_sizes():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        groups = grouping.random_groups(7, 3)

    assert sorted(torch.bincount(groups).tolist()) == [2, 2, 3]


@pytest.mark.parametrize(("n_classes", "n_groups"), [(2, 2), (3, 2), (10, 3), (100, 10), (1000, 32)])
def test_there_are_about_as_many_groups_as_classes_in_a_group(n_classes, n_groups):
    assert objective().build(backbone, SHAPE, n_classes, 3).n_groups == n_groups


def test_groups_are_found_in_the_features_that_the_network_begins_with():
    found = objective()
    network = built(found)
    start = trained(found.starts_from, steps=20)
    found.begin(network, start)
    images, labels = id_images()
    means = torch.stack([start.features(images)[labels == k].mean(dim=0) for k in range(3)])
    learner = found.learner(network.train(), setting_of())

    learner.step(images[labels < 2], labels[labels < 2])
    assert (network.groups == -1).all()
    assert learner.parts()["schedule"].last_epoch == 0
    learner.step(images, labels)

    assert network.groups.tolist() == grouping.kmeans_groups(means, 2, seed=0).tolist()
    assert learner.parts()["schedule"].last_epoch == 1
    assert network.state_dict()["groups"].tolist() == network.groups.tolist()


def test_class_that_an_epoch_does_not_show_leaves_the_groups_found_nevertheless():
    found = objective()
    network = built(found, n_classes=4)
    images, labels = id_images()
    learner = found.learner(network.train(), setting_of(1, n_classes=4))

    learner.step(images, labels)

    assert (network.groups >= 0).all()


@pytest.mark.parametrize("settings", [{}, {"groups": "random"}, {"groups": "0 1 | 2"}])
def test_training_gives_id_images_a_group_and_outliers_less_of_one(settings):
    network = trained(objective(**settings), steps=60)
    images, labels = id_images(30, seed=7)
    id_outputs, outlier_outputs = (network.outputs(x) for x in (images, seen_images(30, seed=8).float() / 255))

    assert (id_outputs["logits"].argmax(1) == labels).all()
    assert id_outputs["others"].exp().amin(1).mean() < 0.1
    assert outlier_outputs["others"].exp().amin(1).mean() > id_outputs["others"].exp().amin(1).mean()


@pytest.mark.parametrize(
    ("groups", "named"), [("0 1", "class 2 is in none"), ("0 1 | 2 3", "class 3 does not exist"), ("0 | 2", "class 1")]
)
def test_groups_that_do_not_cover_the_classes_are_refused(groups, named):
    with pytest.raises(ConfigError, match=named):
        objective(groups=groups).build(backbone, SHAPE, 3, 3)


def test_more_groups_than_classes_are_refused():
    with pytest.raises(ConfigError, match="give at most 3"):
        objective(n_groups=4).build(backbone, SHAPE, 3, 3)


@pytest.mark.parametrize(
    "settings",
    [
        {"groups": "0 1 | 1 2"},
        {"groups": "0 | "},
        {"groups": "a b"},
        {"groups": "0 1 | 2", "n_groups": 3},
        {"n_groups": 0},
    ],
)
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ConfigError, match="groups"):
        registry.method("mos")(**settings)
