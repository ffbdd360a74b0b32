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


def test_isolation_forest_is_scikit_learns_on_standardised_features():
    train, query = scaled()

    expected = IsolationForest(random_state=5, max_samples=150).fit(train).decision_function(query)

    assert score("isolation_forest", seed=5) == pytest.approx(expected.tolist())


def test_isolation_forest_on_standardised_features_is_that_on_features_as_they_are():
    expected = IsolationForest(random_state=5, max_samples=150).fit(TRAIN).decision_function(QUERY)

    assert score("isolation_forest", seed=5) == pytest.approx(expected.tolist(), abs=0.01)


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

    assert score("oc_svm", nu=0.2, gamma="scale") == pytest.approx(expected.tolist())
    assert score("oc_svm", nu=0.2, gamma=3.0) != pytest.approx(expected.tolist())


def test_kernel_of_oc_svm_reaches_to_the_tenth_neighbour():
    # On a circle of 40 images, all have their tenth neighbour at the same distance: five steps away.
    angles = 2 * np.pi * np.arange(40) / 40
    train = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    step = 2 * np.sqrt(2) * np.sin(np.pi * 5 / 40)  # standardised, the radius is √2

    fitted = registry.method("oc_svm")().fit(fit_inputs(batch_of(train, labels=np.arange(40) % 3)))

    assert fitted.gamma == pytest.approx(1 / step**2, rel=1e-5)
    assert fitted.gamma == fitted.estimator[-1].gamma


def test_oc_svm_finds_what_lies_between_two_clusters():
    rng = np.random.default_rng(0)
    train = np.concatenate([rng.normal(-5, 0.5, (80, 2)), rng.normal(5, 0.5, (80, 2))])
    between = [[0.0, 0.0]]

    assert score("oc_svm", train, between)[0] < min(score("oc_svm", train, [[-5.0, -5.0], [5.0, 5.0]]))


def test_radius_of_dbscan_is_noted():
    fitted = registry.method("dbscan")().fit(fit_inputs(batch_of(TRAIN, labels=np.arange(150) % 3)))

    assert fitted.eps == fitted.estimator[-1].eps_ > 0


@pytest.mark.parametrize("name", NAMES)
def test_copies_of_one_image_do_not_make_all_others_strange(name):
    copies = np.concatenate([TRAIN, np.repeat(TRAIN[:1], 40, axis=0)])
    # As a network gives them in batches of different sizes.
    copies[150:] *= 1 + 1e-7 * np.float32(np.arange(40) % 3)[:, None]
    usual = np.float32(RNG.normal(size=(50, 4)) * [1, 10, 0.1, 0])
    far = np.float32([[30, 300, 3, 0]] * 10)

    scores = np.array(score(name, copies, np.concatenate([usual, far])))

    assert np.isfinite(scores).all()
    assert np.abs(scores).max() < 1000
    assert scores[50:].max() < np.quantile(scores[:50], 0.2)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_scores_do_not_depend_on_the_scale_of_features(name, scale):
    # Powers of two change no digit of a float32.
    factor = np.float32(2.0 ** round(np.log2(scale)))

    assert score(name, TRAIN * factor, QUERY * factor) == pytest.approx(score(name), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "lof"])
@pytest.mark.parametrize("n", [5, 20])
def test_training_images_that_are_all_alike_give_finite_scores(name, n):
    scores = score(name, np.ones((n, 3)), [[1.0, 1.0, 1.0], [1.0, 1.0, 3.0]])

    assert np.isfinite(scores).all()
    assert scores[0] >= scores[1]


def test_lof_of_images_that_are_all_alike_is_refused():
    with pytest.raises(ConfigError, match="lof needs two training images that differ"):
        score("lof", np.ones((30, 3)), [[1.0, 1.0, 1.0]])


def test_lof_says_how_many_different_images_there_are():
    train = np.concatenate([np.eye(5), np.eye(5), np.eye(5), np.eye(5), np.eye(5)])

    with pytest.raises(ConfigError, match=r"more than the 5 different training images.*--set lof\.n_neighbors=4"):
        score("lof", train, np.zeros((1, 5)))


@pytest.mark.parametrize("name", ["isolation_forest", "oc_svm", "dbscan"])
def test_one_training_image_is_enough_or_refused_in_one_sentence(name):
    try:
        assert np.isfinite(score(name, [[1.0, 2.0]], [[1.0, 2.0], [5.0, 5.0]])).all()
    except ConfigError as error:
        assert f"--set {name}." in str(error)  # noqa: PT017  # either is fine


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
