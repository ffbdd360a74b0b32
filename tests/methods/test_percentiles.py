"""Percentiles of features that are looked at a part at a time, against NumPy's of the whole."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from oodbench.plugins import registry
from tests.linear_head import batch_of

PERCENTS = [0, 1, 33.3, 50, 90, 99.9, 100]


@pytest.fixture
def percentiles(monkeypatch):
    registry.method("vra")  # imports the package
    __import__("oodbench.methods._percentiles")
    # Parts of three images, and two units at once.
    monkeypatch.setattr(sys.modules["oodbench.methods._moments"], "VALUES_AT_ONCE", 48)
    monkeypatch.setattr(sys.modules["oodbench.methods._percentiles"], "VALUES_AT_ONCE", 200)
    return sys.modules["oodbench.methods._percentiles"]


def values_of(kind):
    rng = np.random.default_rng(0)
    values = {
        "normal": rng.normal(size=(101, 16)),
        "rectified": np.maximum(rng.normal(size=(101, 16)), 0),
        "ties": rng.integers(-2, 3, (101, 16)),
        "alike": np.full((101, 16), -0.25),
        "wide": rng.normal(size=(101, 16)) * 10.0 ** rng.integers(-30, 30, (101, 16)),
        "zeros of both signs": np.where(rng.random((101, 16)) < 0.5, 0.0, -0.0),
    }
    return values[kind].astype(np.float32)


@pytest.mark.parametrize("kind", ["normal", "rectified", "ties", "alike", "wide", "zeros of both signs"])
def test_percentiles_are_those_of_numpy(percentiles, kind):
    values = values_of(kind)
    batch = batch_of(values)
    exact = values.astype(np.float64)

    np.testing.assert_allclose(
        percentiles.shared_percentiles(batch, PERCENTS), np.percentile(exact, PERCENTS), rtol=1e-12
    )
    np.testing.assert_allclose(
        percentiles.percentiles_of_units(batch, PERCENTS), np.percentile(exact, PERCENTS, axis=0), rtol=2e-6
    )


def test_one_image_with_one_feature_has_its_value(percentiles):
    batch = batch_of(np.array([[3.5]]))
    assert percentiles.shared_percentiles(batch, [0, 50, 100]).tolist() == [3.5, 3.5, 3.5]
