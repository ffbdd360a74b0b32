"""Settings of a training: their ranges, what contradicts what, and the learning rate they give."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from oodbench.errors import ConfigError
from oodbench.training.config import TrainConfig
from oodbench.training.learner import Setting

REFUSED = [
    ({"epochs": 0}, "epochs must be at least 1, got 0"),
    ({"epochs": 10**9}, "epochs must be at most 1,000,000, got 1,000,000,000"),
    ({"steps": 0}, "steps must be at least 1, got 0"),
    ({"epochs": 3, "steps": 7}, "epochs=3 contradicts steps=7"),
    ({"batch_size": 1}, "batch_size must be at least 2, got 1"),
    ({"max_images": 1}, "max_images must be at least 2, got 1"),
    ({"learning_rate": 0}, "learning_rate must be positive and at most 100, got 0"),
    ({"learning_rate": math.nan}, "learning_rate must be positive"),
    ({"gamma": -1.0}, "gamma must be positive and at most 1, got -1.0"),
    ({"gamma": 2.0}, "gamma must be positive and at most 1, got 2.0"),
    ({"momentum": 1.0}, "momentum must be at least 0 and below 1, got 1.0"),
    ({"label_smoothing": -0.1}, "label_smoothing must be at least 0 and below 1, got -0.1"),
    ({"weight_decay": -1}, "weight_decay must not be negative, got -1"),
    ({"schedule": "steps", "milestones": (-3, 5)}, "milestones must be whole numbers from 1 up"),
    ({"schedule": "steps", "milestones": (5, 5)}, "each larger than the last, got 5,5"),
    ({"schedule": "steps"}, "schedule=steps needs milestones, such as 60,80"),
    ({"milestones": (3,)}, "schedule=one-cycle takes no milestones; give none"),
    ({"warmup": -1.0}, "warmup must not be negative, got -1.0"),
    ({"warmup": 1.0}, "warmup must be 0 with schedule=one-cycle"),
    ({"warmup": 10.0, "schedule": "cosine"}, "warmup must be shorter than the training of 10 epochs, got 10"),
    ({"augment": ("flip", "flip")}, "augment names 'flip' twice"),
    ({"optimizer": "sgd", "momentum": 0.0}, "nesterov looks ahead along a momentum"),
]


@pytest.mark.parametrize(("settings", "message"), REFUSED, ids=lambda value: str(value)[:40])
def test_a_value_out_of_its_range_is_refused_in_one_sentence(settings, message):
    with pytest.raises(ConfigError) as caught:
        TrainConfig(**settings)

    assert message in str(caught.value)


def test_a_training_goes_by_epochs_or_by_steps():
    assert (TrainConfig().length, TrainConfig().total_steps(7)) == ("10 epochs", 70)
    assert (TrainConfig(steps=1200).length, TrainConfig(steps=1200).total_steps(7)) == ("1,200 steps", 1200)


def setting_of(config, steps=3, steps_per_epoch=3):
    return Setting(
        config=config,
        shape=(1, 1, 2),
        n_classes=2,
        steps=steps,
        steps_per_epoch=steps_per_epoch,
        seen=None,
        random=torch.Generator(),
    )


def rates(config, steps_per_epoch=4, lr=None):
    """Return the learning rate of each step, as the optimizer sees it."""
    network = nn.Linear(2, 2)
    steps = config.total_steps(steps_per_epoch)
    given = {} if lr is None else {"lr": lr}
    optimizer, schedule = setting_of(config, steps, steps_per_epoch).optimizer(network, **given)
    out = []
    for _ in range(steps):
        out.append(optimizer.param_groups[0]["lr"])
        network(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        schedule.step()
    return out


def test_drops_of_the_learning_rate_stand_at_epochs():
    config = TrainConfig(epochs=5, schedule="steps", milestones=(1, 3), learning_rate=1.0)

    assert rates(config) == pytest.approx([1.0] * 4 + [0.1] * 8 + [0.01] * 8)


def test_drops_stand_at_steps_where_steps_say_how_long():
    config = TrainConfig(steps=6, schedule="steps", milestones=(2, 5), gamma=0.5, learning_rate=1.0)

    assert rates(config) == pytest.approx([1.0, 1.0, 0.5, 0.5, 0.5, 0.25])


def test_cosine_goes_down_on_half_a_wave():
    config = TrainConfig(steps=4, schedule="cosine", learning_rate=2.0)

    assert rates(config) == pytest.approx([1 + math.cos(math.pi * k / 4) for k in range(4)])


def test_warm_up_rises_evenly_to_the_peak():
    config = TrainConfig(epochs=3, schedule="constant", warmup=0.5, learning_rate=1.0)

    assert rates(config)[:4] == pytest.approx([0.5, 1.0, 1.0, 1.0])


def test_warm_up_before_a_cosine_ends_at_its_peak():
    config = TrainConfig(steps=6, schedule="cosine", warmup=2, learning_rate=1.0)

    assert rates(config) == pytest.approx([0.5, 1.0, *[0.5 * (1 + math.cos(math.pi * k / 4)) for k in range(4)]])


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
def test_a_learning_rate_of_its_own_follows_the_same_schedule(schedule):
    config = TrainConfig(steps=10, schedule=schedule, learning_rate=1.0)

    assert rates(config, lr=0.25) == pytest.approx([0.25 * rate for rate in rates(config)])


@pytest.mark.parametrize(
    ("settings", "kind", "values"),
    [
        ({"optimizer": "adam"}, torch.optim.Adam, {"weight_decay": 0.01}),
        ({"optimizer": "adamw"}, torch.optim.AdamW, {"weight_decay": 0.01}),
        ({"optimizer": "sgd", "momentum": 0.8}, torch.optim.SGD, {"momentum": 0.8, "nesterov": True}),
        ({"optimizer": "sgd", "momentum": 0, "nesterov": False}, torch.optim.SGD, {"nesterov": False}),
    ],
)
def test_the_optimizer_is_the_one_that_is_named(settings, kind, values):
    config = TrainConfig(weight_decay=0.01, **settings)
    setting = setting_of(config)

    optimizer, _ = setting.optimizer(nn.Linear(2, 2))
    always_adam, _ = setting.optimizer(nn.Linear(2, 2), "adam", betas=(0.5, 0.999))

    assert type(optimizer) is kind
    assert {name: optimizer.param_groups[0][name] for name in values} == values
    assert type(always_adam) is torch.optim.Adam
    assert always_adam.param_groups[0]["betas"] == (0.5, 0.999)


def test_what_takes_no_gradients_is_not_trained():
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    network[0].requires_grad_(requires_grad=False)
    setting = Setting(
        config=TrainConfig(),
        shape=(1, 1, 2),
        n_classes=2,
        steps=3,
        steps_per_epoch=3,
        seen=None,
        random=torch.Generator(),
    )

    optimizer, _ = setting.optimizer(network)

    assert sum(len(group["params"]) for group in optimizer.param_groups) == 2
