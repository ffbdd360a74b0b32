"""OpenMax against a direct implementation of Bendale & Boult (CVPR 2016), Algorithms 1 and 2."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.spatial import distance as spd
from scipy.stats import weibull_min

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.fitting import batch_of, fit_inputs

N_CLASSES = 5
weibull = importlib.import_module(f"{registry.method('openmax').__module__.rpartition('.')[0]}._weibull")


def openmax(**settings):
    return registry.method("openmax")(**settings)


def clustered(n=200, seed=0, spread=1.5):
    """Return logits around 4 in the class's own place, with a few that are classified wrong, and labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % N_CLASSES
    logits = rng.normal(size=(n, N_CLASSES)) * spread
    logits[np.arange(n), labels] += 4
    return logits.astype(np.float32), labels


def fitted(**settings):
    logits, labels = clustered()
    return openmax(**settings).fit(fit_inputs(batch_of(logits, labels=labels, n_classes=5), n_classes=5))


DISTANCES = {
    "euclidean": spd.euclidean,
    "cosine": spd.cosine,
    "eucos": lambda a, b: spd.euclidean(a, b) / 200 + spd.cosine(a, b),
}


def weibull_fit(values):
    """Return shape and scale where the derivatives of the likelihood vanish."""
    log = np.log(values / values.max())

    def derivative(shape):
        weights = np.exp(shape * log)
        return 1 / shape + log.mean() - (weights * log).sum() / weights.sum()

    shape = brentq(derivative, 1, 1e9, rtol=1e-12)
    return shape, values.max() * np.exp(shape * log).mean() ** (1 / shape)


def direct(query, tail_size, alpha, distance):
    """Return P of the unknown class and the recalibrated known activations, an image and a class at a time."""
    logits, labels = clustered()
    logits = logits.astype(np.float64)
    measure, classes = DISTANCES[distance], []
    for k in range(N_CLASSES):
        right = [v for v, y in zip(logits, labels, strict=True) if y == k and v.argmax() == k]
        mean = np.mean(right, axis=0)
        tail = np.sort([measure(v, mean) for v in right])[-tail_size:]
        shift = 10000 - tail[0]
        shape, scale = weibull_fit(tail + shift)
        classes.append((mean, shift, shape, scale))
    unknowns, knowns = [], []
    for v in query.astype(np.float64):
        known, unknown = v.copy(), 0.0
        for i, k in enumerate(np.argsort(-v)[:alpha], start=1):
            mean, shift, shape, scale = classes[k]
            extreme = weibull_min.cdf(measure(v, mean) + shift, shape, scale=scale)
            weight = 1 - (alpha + 1 - i) / alpha * extreme
            known[k] = v[k] * weight
            unknown += v[k] * (1 - weight)
        unknowns.append(math.exp(unknown) / (math.exp(unknown) + sum(math.exp(value) for value in known)))
        knowns.append(known)
    return np.array(unknowns), np.array(knowns)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize(("tail_size", "alpha"), [(20, 5), (10, 2)])
def test_score_and_class_equal_a_direct_implementation(tail_size, alpha, distance):
    query, _ = clustered(40, seed=1, spread=3)
    unknown, known = direct(query, tail_size, alpha, distance)

    detector = fitted(tail_size=tail_size, alpha=alpha, distance=distance)

    # P_0 is the logistic function of minus the score.
    assert torch.sigmoid(-detector.score(batch_of(query))).tolist() == pytest.approx(unknown.tolist(), rel=1e-5)
    assert detector.classify(batch_of(query)).tolist() == known.argmax(axis=1).tolist()


def test_tail_is_the_maximum_likelihood_fit():
    tail = np.sort(np.random.default_rng(0).gamma(3, size=300))[-20:]
    found = weibull.WeibullTail.of(tail, 20)

    def likelihood(shape, scale):
        return weibull_min.logpdf(tail + found.shift, shape, scale=scale).sum()

    best = likelihood(found.shape, found.scale)
    assert found.shift == pytest.approx(10000 - tail[0])
    # SciPy's own search comes near, and never above.
    shape, _, scale = weibull_min.fit(tail + found.shift, floc=0)
    assert likelihood(shape, scale) <= best + 1e-9
    assert likelihood(shape, scale) == pytest.approx(best, abs=1e-3)
    assert found.cdf(torch.tensor(tail)).tolist() == pytest.approx(
        weibull_min.cdf(tail + found.shift, found.shape, scale=found.scale).tolist()
    )


def test_tail_holds_the_largest_values_only():
    tail = np.arange(20.0, 40.0)

    assert weibull.WeibullTail.of(np.concatenate([tail, np.zeros(50)]), 20) == weibull.WeibullTail.of(tail, 20)


def test_image_at_a_class_mean_is_known_and_a_far_one_is_not():
    detector = fitted()
    means = detector.means.numpy()
    far = means.mean(axis=0, keepdims=True) + 30

    assert (detector.score(batch_of(means)) > detector.score(batch_of(far)) + 2).all()


def test_wrongly_classified_training_images_do_not_count():
    logits, labels = clustered()
    right = logits.argmax(axis=1) == labels
    assert not right.all()
    query, _ = clustered(20, seed=2)

    def score(rows):
        batch = batch_of(logits[rows], labels=labels[rows], n_classes=5)
        return openmax().fit(fit_inputs(batch, n_classes=5)).score(batch_of(query))

    assert torch.equal(score(slice(None)), score(right))


@pytest.mark.parametrize("n_right", [0, 1, 2])
def test_class_that_is_hardly_ever_right_is_described_by_all_of_its_images(n_right):
    logits, labels = clustered()
    logits[np.flatnonzero(labels == 0)[n_right:], 0] = -20
    logits[np.flatnonzero(labels == 0)[:n_right], 0] = 20
    batch = batch_of(logits, labels=labels, n_classes=5)

    detector = openmax().fit(fit_inputs(batch, n_classes=5))

    assert detector.means[0].tolist() == pytest.approx(logits[labels == 0].mean(axis=0).tolist(), rel=1e-5)
    assert torch.isfinite(detector.score(batch)).all()


def test_class_of_equal_images_is_refused_by_name():
    logits, labels = clustered(10)
    batch = batch_of(logits[:5], labels=labels[:5], n_classes=5)

    with pytest.raises(ConfigError, match="three different training images of each class .* class '0' has fewer"):
        openmax().fit(fit_inputs(batch, n_classes=5))


def test_images_that_are_known_or_unknown_for_sure_do_not_tie():
    # Far on the axis of a class everything goes to the unknown one, whose probability rounds to 1.
    scores = fitted().score(batch_of(np.eye(5)[:1] * [[40.0], [50.0]]))

    assert scores.tolist() == pytest.approx([-40 + math.log(5), -50 + math.log(5)])


def test_score_depends_on_the_image_alone():
    query, _ = clustered(30, seed=1)
    batch, detector = batch_of(query), fitted()

    alone = torch.cat([detector.score(part) for part in batch.split(1)])

    assert alone.tolist() == pytest.approx(detector.score(batch).tolist(), rel=1e-9)


@pytest.mark.parametrize("settings", [{"tail_size": 1}, {"alpha": 0}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        openmax(**settings)
