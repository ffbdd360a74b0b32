"""Background resampling against the formulas of Li & Vasconcelos (CVPR 2020), by hand."""

from __future__ import annotations

import importlib
import math

import pytest
import torch

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.training_steps import CORNERS, built, id_images, seen_images, setting_of, squares, trained

HOME = registry.method("background_resampling").__module__.rpartition(".")[0]
resampling = importlib.import_module(f"{HOME}._resampling")


def objective(**settings):
    (found,) = registry.method("background_resampling")(**settings).networks
    return found


def mixed(count=48):
    """Return black images and, after them, as many that look like the three classes."""
    black = torch.zeros(count, 1, 8, 8, dtype=torch.uint8)
    return torch.cat([black, squares(count, CORNERS[:3], seed=9)[0]])


def test_uniformity_loss_by_hand():
    # Probabilities 1/4 and 3/4.
    expected = -(math.log(1 / 4) + math.log(3 / 4)) / 2 - math.log(2)

    losses = resampling.uniformity(torch.tensor([[0.0, math.log(3)], [5.0, 5.0]]))

    assert losses.tolist() == pytest.approx([expected, 0.0], abs=1e-6)


class TwoLogits(torch.nn.Module):
    """Logits (b, 0) with b the brightness of the first pixel, times a weight that is learnt."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, images):
        first = self.weight * images[:, 0, 0, :1]
        return torch.cat([first, torch.zeros_like(first)], dim=1)


def test_one_step_of_the_search_by_hand():
    # Two outliers, of brightness 1 and 0; all weights are log 2 at first, so that each loss weighs 1.
    seen = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    seen[0] = 255
    images, labels = torch.ones(4, 1, 8, 8), torch.zeros(4, dtype=torch.int64)
    search = resampling.WeightSearch(TwoLogits(), 0.5, 100.0, setting_of(seen=seen))

    loss = search.step(images, labels)

    p = math.e / (1 + math.e)
    bright = -(math.log(p) + math.log(1 - p)) / 2 - math.log(2)
    drawn = (loss.item() + math.log(p)) / (0.5 * bright) * 4
    assert drawn == pytest.approx(round(drawn), abs=1e-4)  # as many of the four drawn outliers are bright
    assert 0 < round(drawn) < 4
    weights = search.weights()
    assert weights[0] > math.log(2) > weights[1]


def test_outliers_that_look_like_classes_get_the_larger_weights_and_are_kept():
    found = objective(keep=0.25, search=0.6)
    learner = found.learner(built(found).train(), setting_of(60, seen=mixed()))
    images, labels = id_images()

    for _ in range(37):
        learner.step(images, labels)

    weights = learner.search.weights()
    assert weights[48:].mean() > weights[:48].mean()
    assert len(learner.training.kept) == 24
    assert (learner.training.kept >= 48).float().mean() > 0.9


def test_search_leaves_the_classifier_as_it_was():
    found = objective(search=0.5)
    network = built(found).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    learner = found.learner(network, setting_of(10))
    images, labels = id_images()

    for _ in range(5):
        learner.step(images, labels)
    assert all(tensor.equal(before[name]) for name, tensor in network.state_dict().items())
    learner.step(images, labels)
    assert not all(tensor.equal(before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("steps_before", [3, 7])
def test_training_goes_on_from_a_checkpoint_as_if_nothing_had_happened(steps_before):
    found = objective(search=0.5, keep=0.5)
    images, labels = id_images(24)

    def begun():
        return found.learner(built(found).train(), setting_of(10))

    def go(learner, steps, random_state=None):
        setting = learner.training._setting
        if random_state is not None:
            setting.random.set_state(random_state)
        losses = [learner.step(images, labels).item() for _ in range(steps)]
        return losses, setting.random.get_state()

    whole, first, second = begun(), begun(), begun()
    expected, _ = go(whole, 10)
    _, random_state = go(first, steps_before)
    second.load_state_dict(first.state_dict())
    rest, _ = go(second, 10 - steps_before, random_state)

    assert rest == expected[steps_before:]


def test_training_makes_the_classifier_undecided_about_outliers():
    network = trained(objective(weight=1.0, keep=0.5), steps=80)
    images, labels = id_images(30, seed=7)

    assert (network(images).argmax(1) == labels).all()
    assert network(seen_images(30, seed=8).float() / 255).softmax(1).amax(1).mean() < 0.55


def test_at_least_one_outlier_is_kept():
    found = objective(keep=0.001)
    learner = found.learner(built(found).train(), setting_of(4))
    images, labels = id_images()

    for _ in range(4):
        learner.step(images, labels)

    assert len(learner.training.kept) == 1


@pytest.mark.parametrize(
    "settings",
    [{"weight": 0.0}, {"keep": 0.0}, {"keep": 1.5}, {"search": 0.0}, {"search": 1.0}, {"weights_rate": 0.0}],
)
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        registry.method("background_resampling")(**settings)
