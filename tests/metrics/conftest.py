"""Samples to compute metrics of: some random ones with many ties, and one small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest

from oodbench.metrics import Samples


def random_samples(seed: int, *, n_id: int = 60, n_ood: int = 45, n_classes: int = 4, ties: bool = True) -> Samples:
    """Return samples of a classifier that is right on about two thirds, and surer where it is."""
    random = np.random.default_rng(seed)
    true = random.integers(n_classes, size=n_id)
    predicted = np.where(random.random(n_id) < 0.6, true, random.integers(n_classes, size=n_id))
    scores_id, scores_ood = random.normal(2, 2, n_id) + (predicted == true), random.normal(0, 2, n_ood)
    return Samples(
        scores_id=np.round(scores_id) if ties else scores_id,
        scores_ood=np.round(scores_ood) if ties else scores_ood,
        n_classes=n_classes,
        predicted_id=predicted,
        true_id=true,
        predicted_ood=random.integers(n_classes, size=n_ood),
        true_ood=random.integers(10, 13, size=n_ood),
        probabilities_id=random.dirichlet(np.ones(n_classes), n_id),
    )


@pytest.fixture(params=[(0, True), (1, True), (2, False)], ids=["ties", "other ties", "no ties"])
def samples(request) -> Samples:
    """Random samples, with and without ties."""
    seed, ties = request.param
    return random_samples(seed, ties=ties)


@pytest.fixture
def untied() -> Samples:
    """Random samples whose scores are all distinct."""
    return random_samples(3, ties=False)


@pytest.fixture
def tiny() -> Samples:
    """At 95% TPR all ID images are accepted, and with them the OOD images of scores 5 and 2, one of them tied.

    From the highest score down: right ID 6, OOD 5, right ID 4, wrong ID 3 (class 0 taken for 1), right ID and OOD at 2,
    OOD 1.
    """
    return Samples(
        scores_id=[6, 4, 3, 2],
        scores_ood=[5, 2, 1],
        n_classes=3,
        predicted_id=[0, 1, 1, 2],
        true_id=[0, 1, 0, 2],
        predicted_ood=[1, 2, 0],
        true_ood=[5, 5, 9],
        probabilities_id=[[0.9, 0.1, 0.0], [0.2, 0.6, 0.2], [0.3, 0.7, 0.0], [0.25, 0.25, 0.5]],
    )
