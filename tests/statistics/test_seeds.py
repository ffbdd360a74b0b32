"""Differences over seeds: the noise of seeds and of images, alone and together."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, ttest_rel

from oodbench.errors import MetricError
from oodbench.statistics import over_seeds


def test_without_noise_of_images_it_is_the_paired_t_test():
    first, second = [0.90, 0.91, 0.92], [0.92, 0.95, 0.93]
    found = over_seeds(first, second, np.zeros((3, 3)))
    known = ttest_rel(second, first)

    assert found.p == pytest.approx(known.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(known.confidence_interval(0.95)))
    assert found.test == "DeLong over 3 seeds"


def test_without_noise_of_seeds_it_is_the_test_of_the_images():
    found = over_seeds([0.5, 0.5], [0.6, 0.6], np.full((2, 2), 0.05**2))

    assert found.p == pytest.approx(2 * norm.sf(2))


def test_both_noises_add_up_with_the_degrees_of_freedom_of_hillis():
    from scipy.stats import t

    # Differences 0.1, 0.2, 0.3: variance of their mean 0.01 / 3; covariance of the images 0.002.
    found = over_seeds([0, 0, 0], [0.1, 0.2, 0.3], np.full((3, 3), 0.002) + 0.01 * np.eye(3))
    variance, df = 0.01 / 3 + 0.002, 2 * ((0.01 / 3 + 0.002) / (0.01 / 3)) ** 2

    assert found.estimate == pytest.approx(0.2)
    assert found.p == pytest.approx(2 * t.sf(0.2 / variance**0.5, df))


def test_one_seed_knows_the_noise_of_images_only():
    found = over_seeds([0.8], [0.9], [[0.05**2]])

    assert found.p == pytest.approx(2 * norm.sf(2))
    assert found.test == "DeLong"


def test_a_covariance_below_zero_does_not_make_it_surer():
    negative = over_seeds([0, 0], [0.1, 0.2], [[0.01, -0.01], [-0.01, 0.01]])

    assert negative.p == over_seeds([0, 0], [0.1, 0.2], np.zeros((2, 2))).p


def test_seeds_that_do_not_pair_are_refused():
    with pytest.raises(MetricError, match="pass one value a seed, of the same seeds"):
        over_seeds([0.5, 0.6], [0.5], np.zeros((2, 2)))
