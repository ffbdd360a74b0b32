"""Nearest neighbours against distances by hand and scikit-learn's."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.linear_head import Classifier, random_features

CLASSIFIER = Classifier.random()
CLASSIFIER_OF_4 = Classifier.random(n_features=4)


def score(train, test, k):
    classifier = Classifier.random(n_features=np.shape(train)[1])
    return classifier.fit("knn", train, k=k).score(classifier.batch(test)).numpy()


@pytest.mark.parametrize(("k", "distance"), [(1, 0.0), (2, 0.0), (3, math.sqrt(2)), (4, 2.0)])
def test_score_is_minus_the_distance_to_the_kth_neighbour_on_the_unit_sphere(k, distance):
    train = [[-1.0, 0.0], [2.0, 0.0], [0.0, 3.0], [5.0, 0.0]]

    assert score(train, [[7.0, 0.0]], k).item() == pytest.approx(-distance)


@pytest.mark.parametrize("k", [1, 7, 200])
def test_scores_are_those_of_scikit_learn(k):
    train, test = random_features(200), random_features(50, seed=2)
    sphere = normalize(train.astype(np.float64)), normalize(test.astype(np.float64))
    expected = NearestNeighbors(n_neighbors=k, algorithm="kd_tree").fit(sphere[0]).kneighbors(sphere[1])[0][:, -1]

    np.testing.assert_allclose(score(train, test, k), -expected, rtol=1e-9)


def test_images_close_together_keep_their_distances():
    # In float32 the squared distance, 1e-8, would be lost beside the norms, 1.
    train = np.array([[1.0, 0.0]], dtype=np.float32)
    test = np.array([[1.0, 1e-4]], dtype=np.float32)

    assert score(train, test, 1).item() == pytest.approx(-1e-4, rel=1e-6)


def test_near_and_far_images_of_one_batch_have_the_distances_of_scikit_learn():
    # A tight cluster, whose images float32 does not tell apart, and two images far from it.
    cluster = 1 + 1e-4 * random_features(300)
    train, test = cluster[:250], np.concatenate([cluster[250:], random_features(2, seed=3)])
    sphere = normalize(train.astype(np.float64)), normalize(test.astype(np.float64))
    expected = NearestNeighbors(n_neighbors=5, algorithm="kd_tree").fit(sphere[0]).kneighbors(sphere[1])[0][:, -1]

    assert (expected < 1e-3).sum() == 50
    np.testing.assert_allclose(score(train, test, k=5), -expected, rtol=1e-6)


def test_features_that_are_all_zero_are_as_far_from_every_training_image():
    assert score(random_features(20), np.zeros((1, 16)), k=5).item() == pytest.approx(-1.0)


def test_pieces_that_fit_the_memory_have_the_scores_of_the_whole(monkeypatch):
    train, test = random_features(200), random_features(50, seed=2)
    whole = score(train, test, k=5)
    # Parts of 40 training images, 8 for each that is kept, and of 2 test images.
    monkeypatch.setattr(sys.modules["oodbench.methods._neighbours"], "VALUES_AT_ONCE", 100)

    np.testing.assert_allclose(score(train, test, k=5), whole, rtol=1e-12)


def test_a_part_of_the_training_images_is_kept_at_random_or_far_from_each_other():
    # Two clusters, one with 190 of 200 images; a coreset of two has one of each, whatever the seed.
    directions = np.array([[1.0, 0.0], [0.0, 1.0]])[np.repeat([0, 1], [190, 10])]
    train = (directions + 1e-3 * np.random.default_rng(0).random((200, 2))).astype(np.float32)
    classifier = Classifier.random(n_features=2)

    def kept(**settings):
        return classifier.fit("knn", train, **settings).train.features.numpy()

    assert len(kept(max_images=20)) == 20
    assert len(kept(max_images=300)) == 200
    np.testing.assert_array_equal(kept(max_images=20), kept(max_images=20))
    assert kept(max_images=2, chosen="coreset").argmax(axis=1).tolist() == [0, 1]


def test_a_coreset_is_the_greedy_one():
    train = random_features(60, n_features=8)
    sphere = normalize(train.astype(np.float64))
    chosen = Classifier.random(n_features=8).fit("knn", train, k=1, max_images=9, chosen="coreset").train.features
    order = [int((np.abs(train - row).sum(axis=1)).argmin()) for row in chosen.numpy()]
    # From one of them on, the greedy choice goes through all others.
    assert any(set(greedy(sphere, start, 9)) == set(order) for start in order)


def greedy(points, start, count):
    chosen = [start]
    while len(chosen) < count:
        to_chosen = np.linalg.norm(points[:, None] - points[chosen], axis=2).min(axis=1)
        chosen.append(int(to_chosen.argmax()))
    return chosen


def test_copies_are_not_chosen_twice():
    train = np.ones((5, 4), dtype=np.float32)
    assert len(CLASSIFIER_OF_4.fit("knn", train, k=1, max_images=4, chosen="coreset").train) == 4


def test_faiss_finds_the_same_neighbours():
    pytest.importorskip("faiss", reason="faiss is not installed: pip install 'oodbench[faiss]'")
    train, test = random_features(2000), np.concatenate([random_features(50, seed=2), np.zeros((1, 16), np.float32)])
    classifier = Classifier.random()

    def scores(**settings):
        detector = classifier.fit("knn", train, k=7, **settings)
        return detector.score(classifier.batch(test)).numpy()

    np.testing.assert_allclose(scores(search="faiss"), scores(), rtol=1e-6)


def test_faiss_that_is_not_installed_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ConfigError, match=r"search=faiss needs faiss, .* pip install 'oodbench\[faiss\]'"):
        CLASSIFIER.fit("knn", random_features(20), search="faiss")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_images": 0}, "max_images must be at least 1, or none for all, got 0"),
        ({"chosen": "first"}, "chosen must be random or coreset, got 'first'"),
        ({"search": "slowly"}, "search must be torch or faiss, got 'slowly'"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        registry.method("knn")(**settings)


def test_too_few_training_images_are_refused_with_a_k_that_works():
    with pytest.raises(ConfigError, match=r"k=50 among 49 training images.*--set knn\.k=49"):
        CLASSIFIER.fit("knn", random_features(49), k=50)

    assert CLASSIFIER.fit("knn", random_features(49), k=49).k == 49


@pytest.mark.parametrize(("n", "k"), [(1, 1), (323, 1), (1499, 1), (1600, 2), (10_000, 10)])
def test_k_follows_the_number_of_training_images_and_is_noted_as_a_number(n, k):
    assert CLASSIFIER.fit("knn", random_features(n)).k == k


def test_k_below_1_is_refused():
    with pytest.raises(ConfigError, match="k must be 'auto' or at least 1"):
        registry.method("knn")(k=0)
