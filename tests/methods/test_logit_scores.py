"""Maximum logit, energy and entropy against their formulas, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.linear_head import batch_of


def score(name, logits, **settings):
    return registry.method(name)(**settings).fit(None).score(batch_of(logits))


def test_max_logit_is_the_largest_logit():
    assert score("max_logit", [[1.0, 3.5, 2.0], [-4.0, -3.0, -5.0]]).tolist() == [3.5, -3.0]


def test_energy_by_hand():
    # exp(f / 2) is 1, 3 and 4, which sum to 8.
    logits = [[0.0, 2 * math.log(3), 2 * math.log(4)]]

    assert score("energy", logits, temperature=2.0).item() == pytest.approx(2 * math.log(8))


@pytest.mark.parametrize("temperature", [0.3, 1.0, 7.0])
def test_energy_is_t_times_the_logsumexp_of_logits_over_t(temperature):
    logits = np.random.default_rng(0).normal(0, 5, (20, 4)).astype(np.float32)

    expected = [temperature * math.log(sum(math.exp(f / temperature) for f in row)) for row in logits.tolist()]

    assert score("energy", logits, temperature=temperature).tolist() == pytest.approx(expected, rel=1e-12)


def test_default_temperature_of_energy_is_that_of_the_paper():
    assert registry.method("energy")().temperature == 1.0


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_energy_refuses_a_temperature_that_is_not_positive(temperature):
    with pytest.raises(ConfigError, match="temperature must be positive"):
        registry.method("energy")(temperature=temperature)


def test_entropy_by_hand():
    # Probabilities 1/2, 1/4 and 1/4: one and a half bits.
    assert score("entropy", [[math.log(2), 0.0, 0.0]]).item() == pytest.approx(-1.5 * math.log(2))


def test_entropy_of_an_undecided_classifier_is_the_logarithm_of_the_number_of_classes():
    assert score("entropy", [[2.0] * 5]).item() == pytest.approx(-math.log(5))


def test_entropy_of_confident_images_does_not_tie():
    # In float32, exp(-110) is 0.
    scores = score("entropy", [[20.0, 0.0], [110.0, 0.0], [150.0, 0.0]])

    assert scores[0] < scores[1] < scores[2] < 0


@pytest.mark.parametrize("name", ["max_logit", "energy", "entropy", "knn", "react", "gradnorm", "vim"])
def test_scores_of_one_classifier_share_its_network_and_see_nothing_else(name):
    method = registry.method(name)()

    assert method.networks[0] == registry.method("msp")().networks[0]
    assert method.sees == frozenset()
