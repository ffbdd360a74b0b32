"""AdaSCALE against a direct loop over images, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from oodbench.plugins import registry
from tests.fitting import batch_of_images, fit_inputs


class Net(nn.Module):
    """A small network whose features move when the image does."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(1, 6, 3), nn.Tanh(), nn.Flatten(), nn.Linear(96, 40), nn.ReLU())
        self.head = nn.Linear(40, 3)
        self.eval().requires_grad_(requires_grad=False)

    def features(self, images):
        return self.body(images)

    def forward(self, images):
        return self.head(self.features(images))


NETWORK = Net()


def batch(n, seed):
    images = np.random.default_rng(seed).integers(0, 256, (n, 1, 6, 6), dtype=np.uint8)
    return batch_of_images(NETWORK, images, np.arange(n) % 3)


def fitted(train, **settings):
    return registry.method("adascale")(**settings).fit(fit_inputs(train, network=NETWORK))


def direct(image, known, variant, shift_percent=5.0, feature_percent=10.0):
    """Return Q of an image, or its score where Q of training images is given, as the paper says it."""
    x = image[None].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(NETWORK(x).max(), x)
    gradient = gradient.flatten()
    step = torch.zeros(36)
    for i in gradient.abs().argsort()[: int(36 * 0.25)]:
        step[i] = 0.1 * gradient[i].sign()
    z, changed = NETWORK.features(image[None])[0], NETWORK.features(image[None] + step.view(1, 1, 6, 6))[0]
    order = z.argsort(descending=True)
    shifted, corrected = order[: int(40 * shift_percent / 100)], order[: int(40 * feature_percent / 100)]
    q = 10 * (changed - z).abs()[shifted].sum().item() + changed.clamp(min=0)[corrected].sum().item()
    if known is None:
        return q
    percentile = 60 + (1 - np.mean(np.array(known) <= q)) * (90 - 60)
    ratio = z.sum() / z.sort(descending=True).values[: 40 - round(40 * percentile / 100)].sum()
    logits = NETWORK.head(z) * ratio**2 if variant == "l" else NETWORK.head(z * ratio.exp())
    return logits.logsumexp(dim=0).item()


@pytest.mark.parametrize("variant", ["a", "l"])
def test_scores_equal_a_direct_loop(variant):
    train, test = batch(30, seed=0), batch(12, seed=1)
    settings = {"low": 60.0, "high": 90.0, "epsilon": 0.1, "share": 0.25, "shift_percent": 5.0, "feature_percent": 10.0}

    scores = fitted(train, variant=variant, **settings).score(test)

    known = [direct(image, None, variant) for image in train.images]
    assert scores.tolist() == pytest.approx([direct(image, known, variant) for image in test.images], rel=1e-5)


def test_images_that_shift_more_get_a_lower_percentile():
    detector = fitted(batch(4, seed=0), low=60.0, high=80.0)
    detector = type(detector)(
        method=detector.method,
        logit_method=detector.logit_method,
        shifts=detector.shifts,
        known=torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64),
    )

    assert detector.percentiles(torch.tensor([0.0, 2.0, 9.0]).double()).tolist() == [80.0, 70.0, 60.0]


def test_a_training_set_of_one_image_is_enough():
    assert torch.isfinite(fitted(batch(1, seed=0)).score(batch(5, seed=1))).all()


def test_distribution_is_of_as_many_images_as_are_asked_for():
    train = batch(30, seed=0)

    assert len(fitted(train, fit_images=7).known) == 7
    assert len(fitted(train).known) == 30


def test_images_move_only_where_the_gradient_is_smallest():
    shifts = fitted(batch(4, seed=0), share=0.25, epsilon=0.1).shifts
    images = batch(5, seed=1).images

    moved = (shifts.changed(images) - images).flatten(1).abs()

    assert ((moved > 0).sum(dim=1) == 9).all()
    assert moved.max().item() == pytest.approx(0.1, rel=1e-5)
    assert not math.isnan(moved.sum().item())
