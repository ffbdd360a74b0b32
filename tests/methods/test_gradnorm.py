"""GradNorm against its formula by hand and against the gradient that PyTorch computes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import kl_div

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.linear_head import Classifier, batch_of, random_features


def score(batch, **settings):
    return registry.method("gradnorm")(**settings).fit(None).score(batch)


@pytest.mark.parametrize(("temperature", "norm"), [(1.0, 1.5), (2.0, 0.75)])
def test_score_by_hand(temperature, norm):
    # Probabilities 3/4 and 1/4 are 1/2 from uniform, and the features have norm 3.
    batch = batch_of([[temperature * math.log(3), 0.0]], [[1.0, -2.0]])

    assert score(batch, temperature=temperature).item() == pytest.approx(norm)


@pytest.mark.parametrize("temperature", [1.0, 0.4])
def test_score_is_the_norm_of_the_gradient_by_the_weights_of_the_last_layer(temperature):
    classifier, features = Classifier.random(n_classes=5), random_features(10)
    weights = classifier.head.weight.double().requires_grad_()
    uniform = torch.full((5,), 0.2, dtype=torch.float64)
    norms = []
    for z in torch.tensor(features).double():
        log_probabilities = ((weights @ z + classifier.head.bias) / temperature).log_softmax(dim=0)
        divergence = kl_div(log_probabilities, uniform, reduction="sum")
        (gradient,) = torch.autograd.grad(divergence, weights)
        norms.append(gradient.abs().sum().item())

    scores = score(classifier.batch(features), temperature=temperature)

    np.testing.assert_allclose(scores.numpy(), norms, rtol=1e-5)


def test_undecided_classifier_has_no_gradient():
    assert score(batch_of([[3.0, 3.0, 3.0]], [[1.0, 2.0]])).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(ConfigError, match="temperature must be positive"):
        registry.method("gradnorm")(temperature=temperature)
