"""Fitted scores against pytorch-ood's, where the definitions agree; that package's scores have the other sign."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from oodbench import registry
from tests.fitting import batch_of, fit_inputs

pytest.importorskip("pytorch_ood", reason="pytorch-ood is not installed: pip install --no-deps pytorch-ood")

N, N_CLASSES = 300, 4


def clustered(n, dim, seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % N_CLASSES
    values = rng.normal(size=(n, dim)).astype(np.float32)
    values[np.arange(n), labels] += 6
    return values, labels


def test_mahalanobis_of_features_agrees():
    from pytorch_ood.detector import Mahalanobis

    (train, labels), (query, _) = clustered(N, 10, seed=0), clustered(50, 10, seed=1)
    theirs = (
        Mahalanobis(None).fit_features(torch.tensor(train), torch.tensor(labels)).predict_features(torch.tensor(query))
    )

    inputs = fit_inputs(batch_of(train, labels=labels, n_classes=N_CLASSES), n_classes=N_CLASSES)
    ours = registry.method("mahalanobis")().fit(inputs).score(batch_of(query))

    # Half the squared distance, and a covariance that is a sum instead of a mean.
    assert (-ours / (2 * N)).tolist() == pytest.approx(theirs.tolist(), rel=1e-4)


def test_openmax_of_logits_agrees():
    from pytorch_ood.detector import OpenMax

    (train, labels), (query, _) = clustered(N, N_CLASSES, seed=0), clustered(50, N_CLASSES, seed=1)
    right = train.argmax(axis=1) == labels
    train, labels = train[right], labels[right]
    # In float32 theirs loses the digits behind the 10 000 that it adds to distances.
    fitted = OpenMax(None, tailsize=20, alpha=10).fit_logits(torch.tensor(train).double(), torch.tensor(labels))
    theirs = fitted.predict_logits(torch.tensor(query).double())

    inputs = fit_inputs(batch_of(train, labels=labels, n_classes=N_CLASSES), n_classes=N_CLASSES)
    ours = registry.method("openmax")().fit(inputs).score(batch_of(query))

    assert torch.sigmoid(-ours).tolist() == pytest.approx(theirs.tolist(), rel=1e-4)
