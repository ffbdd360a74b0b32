"""Methods that are scikit-learn's outlier detectors against scikit-learn itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.cluster import DBSCAN
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM
from torch import nn

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.fitting import batch_of, batch_of_images, fit_inputs

NAMES = ("isolation_forest", "lof", "oc_svm", "dbscan")
RNG = np.random.default_rng(0)
# A dead unit, and scales that differ.
TRAIN = np.float32(RNG.normal(size=(150, 4)) * [1, 10, 0.1, 0])
QUERY = np.float32(RNG.normal(size=(20, 4)) * [2, 20, 0.2, 0])


def score(name, train=TRAIN, query=QUERY, seed=0, **settings):
    batch = batch_of(train, labels=np.arange(len(train)) % 3)
    return registry.method(name)(**settings).fit(fit_inputs(batch, seed=seed)).score(batch_of(query)).tolist()


def scaled(train=TRAIN, query=QUERY):
    scaler = StandardScaler().fit(train.astype(np.float64))
    return scaler.transform(train.astype(np.float64)), scaler.transform(query.astype(np.float64))


def test_isolation_forest_is_scikit_learns_on_features_as_they_are():
    expected = IsolationForest(random_state=5, max_samples=150).fit(TRAIN).decision_function(QUERY)

    assert score("isolation_forest", seed=5) == pytest.approx(expected.tolist())


def test_lof_is_scikit_learns_on_standardised_features():
    train, query = scaled()

    expected = LocalOutlierFactor(novelty=True).fit(train).decision_function(query)

    assert score("lof") == pytest.approx(expected.tolist())


def test_lof_of_a_point_in_a_grid_by_hand():
    # On a line, k = 2: the neighbours of −9 are 0 and 1, at a mean reachability distance of 9.5. Those of 0 are 1 and
    # 2, at 1 and 2; those of 1 are 0, at 2 (the second neighbour of 0 is so far), and 2, at 1. Both means are 1.5.
    train = np.arange(8.0)[:, None]
    outlier = 3 / 2 - np.mean([9.5 / 1.5, 9.5 / 1.5])

    assert score("lof", train, [[-9.0]], n_neighbors=2) == pytest.approx([outlier])


def test_oc_svm_is_scikit_learns_on_standardised_features():
    train, query = scaled()

    expected = OneClassSVM(nu=0.2).fit(train).decision_function(query)

    assert score("oc_svm", nu=0.2) == pytest.approx(expected.tolist())
    assert score("oc_svm", nu=0.2, gamma=3.0) != pytest.approx(expected.tolist())


def test_dbscan_is_the_distance_to_the_nearest_core_sample():
    train, query = scaled()
    core = DBSCAN(eps=0.7).fit(train).components_
    assert 0 < len(core) < 150

    expected = [-min(np.linalg.norm(core - point, axis=1)) for point in query]

    assert score("dbscan", eps=0.7) == pytest.approx(expected)


def test_dbscan_chooses_the_radius_that_makes_a_share_of_the_images_core_samples():
    batch = batch_of(TRAIN, labels=np.arange(150) % 3)
    for share in (0.5, 0.9, 1.0):
        detector = registry.method("dbscan")(core_share=share).fit(fit_inputs(batch))
        samples = detector.estimator[-1]

        # A hair wider: at the radius itself rounding decides.
        core = DBSCAN(eps=samples.eps_ * (1 + 1e-9)).fit(scaled()[0]).core_sample_indices_
        smaller = DBSCAN(eps=samples.eps_ * 0.999).fit(scaled()[0]).core_sample_indices_

        assert len(samples.nearest_._fit_X) == len(core) == share * 150
        assert len(smaller) < len(core)


def test_dbscan_takes_images_that_are_all_alike():
    train = np.ones((20, 3))

    assert score("dbscan", train, [[1.0, 1.0, 1.0], [1.0, 1.0, 3.0]]) == pytest.approx([0.0, -2.0])


def test_dbscan_without_a_core_sample_says_what_to_do():
    with pytest.raises(ConfigError, match=r"give a larger dbscan\.eps, or leave it at auto"):
        score("dbscan", eps=1e-6)


class Flat(nn.Module):
    """A network that sums pixels up, so that its features are not the pixels."""

    def features(self, images):
        return images.flatten(1).sum(dim=1, keepdim=True)

    def head(self, features):
        return features * torch.tensor([[1.0, -1.0, 0.0]])


@pytest.mark.parametrize("name", NAMES)
def test_pixels_are_used_where_asked_for(name):
    network = Flat()
    train = batch_of_images(network, RNG.integers(0, 100, (60, 1, 2, 2)).astype(np.uint8), np.arange(60) % 3)
    query = batch_of_images(network, RNG.integers(0, 256, (9, 1, 2, 2)).astype(np.uint8))

    detector = registry.method(name)(on="pixels").fit(fit_inputs(train, network=network))

    assert detector.score(query).tolist() == pytest.approx(
        score(name, train.images.flatten(1).numpy(), query.images.flatten(1).numpy())
    )
    assert detector.classify(query).tolist() == query.logits.argmax(dim=1).tolist()


@pytest.mark.parametrize("name", NAMES)
def test_no_more_than_max_images_are_fitted_and_the_seed_draws_them(name):
    few = score(name, max_images=80)

    assert few == score(name, max_images=80)
    assert few != score(name, max_images=80, seed=1)
    assert few != score(name)
    assert score(name, max_images=150) == score(name, max_images=None)


@pytest.mark.parametrize("name", NAMES)
def test_score_depends_on_the_image_alone(name):
    detector = registry.method(name)().fit(fit_inputs(batch_of(TRAIN, labels=np.arange(150) % 3)))
    query = batch_of(QUERY)

    alone = torch.cat([detector.score(part) for part in query.split(1)])

    assert alone.tolist() == pytest.approx(detector.score(query).tolist(), rel=1e-6)
    assert registry.method(name)().sees == frozenset()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *((name, {"max_images": 1}) for name in NAMES),
        ("isolation_forest", {"n_trees": 0}),
        ("isolation_forest", {"tree_images": 1}),
        ("lof", {"n_neighbors": 0}),
        ("oc_svm", {"nu": 0.0}),
        ("oc_svm", {"nu": 1.1}),
        ("oc_svm", {"gamma": 0.0}),
        ("dbscan", {"eps": 0.0}),
        ("dbscan", {"core_share": 0.0}),
        ("dbscan", {"core_share": 1.1}),
        ("dbscan", {"min_samples": 0}),
    ],
)
def test_impossible_settings_are_refused(name, settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        registry.method(name)(**settings)


@pytest.mark.parametrize(("name", "setting"), [("lof", "n_neighbors"), ("dbscan", "min_samples")])
def test_more_neighbours_than_images_are_refused(name, setting):
    with pytest.raises(ConfigError, match=f"--set {name}.{setting}="):
        score(name, **{setting: 151})
