"""Temperature scaling, DOCTOR, GEN and KL matching against their formulas, by hand and directly."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from scipy.stats import entropy

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.fitting import batch_of, fit_inputs

HOME = registry.method("msp").__module__.rpartition(".")[0]
log_probabilities = importlib.import_module(f"{HOME}._probabilities").log_probabilities
LOGITS = np.random.default_rng(0).normal(0, 3, (40, 5)).astype(np.float32)
LABELS = np.random.default_rng(1).integers(0, 5, 40)
EIGHTHS = [[math.log(5), math.log(2), 0.0]]
"""Logits of the probabilities 5/8, 2/8 and 1/8."""


def score(name, logits, fitted=LOGITS, labels=LABELS, **settings):
    batch = batch_of(fitted, labels=labels, n_classes=np.shape(fitted)[1])
    detector = registry.method(name)(**settings).fit(fit_inputs(batch, validation=batch))
    return detector.score(batch_of(logits)).numpy()


def test_probabilities_are_those_of_the_softmax():
    log_p, log_rest = log_probabilities(torch.tensor(LOGITS))

    np.testing.assert_allclose(log_p, log_softmax(LOGITS.astype(np.float64), axis=1), rtol=1e-12)
    np.testing.assert_allclose(log_rest.exp(), 1 - softmax(LOGITS.astype(np.float64), axis=1), rtol=1e-10)


def test_probabilities_next_to_1_keep_what_is_left():
    log_p, log_rest = log_probabilities(torch.tensor([[0.0, 500.0, 100.0]]))

    assert log_rest[0, 1].item() == pytest.approx(-400)
    assert log_p[0].tolist() == pytest.approx([-500, 0, -400])
    assert log_rest[0, 0].item() == pytest.approx(0, abs=1e-200)


def test_temperature_scaling_by_hand():
    # At T = 2 the probabilities are 3/4 and 1/4.
    assert score("temperature_scaling", [[2 * math.log(3), 0.0]], temperature=2.0) == pytest.approx(math.log(3))


def test_fitted_temperature_has_the_least_cross_entropy():
    def loss(temperature):
        return -log_softmax(LOGITS / temperature, axis=1)[np.arange(40), LABELS].mean()

    batch = batch_of(LOGITS, labels=LABELS, n_classes=5)
    detector = registry.method("temperature_scaling")().fit(fit_inputs(batch, validation=batch))

    best = minimize_scalar(loss, bounds=(0.01, 100), method="bounded", options={"xatol": 1e-8}).x
    assert detector.temperature == pytest.approx(best, rel=1e-5)


def test_temperature_stops_where_colder_would_be_better_without_end():
    batch = batch_of(LOGITS, labels=LOGITS.argmax(axis=1), n_classes=5)
    detector = registry.method("temperature_scaling")().fit(fit_inputs(batch, validation=batch))
    scores = detector.score(batch)

    assert detector.temperature == pytest.approx(0.01)
    assert len(scores.unique()) == 40


@pytest.mark.parametrize(("solver", "start"), [("openood", 1.5), ("pytorch_ood", 1.0)])
def test_steps_of_peers_end_between_their_start_and_the_best(solver, start):
    batch = batch_of(LOGITS, labels=LABELS, n_classes=5)
    method = registry.method("temperature_scaling")
    exact, peer = (method(solver=each).fit(fit_inputs(batch, validation=batch)) for each in ("exact", solver))

    assert start < peer.temperature < exact.temperature


def test_temperature_is_fitted_to_held_out_images_only():
    method = registry.method("temperature_scaling")
    train = batch_of(LOGITS, labels=LABELS, n_classes=5)

    assert method().sees == {"id_validation"}
    assert method(temperature=2.0).sees == frozenset()
    assert method(temperature=2.0).fit(fit_inputs(train)).temperature == 2.0
    with pytest.raises(ConfigError, match=r"holds none out; give one: --set temperature_scaling\.temperature"):
        method().fit(fit_inputs(train))


@pytest.mark.parametrize(("variant", "odds"), [("alpha", (64 - 30) / 30), ("beta", 3 / 5)])
def test_doctor_by_hand(variant, odds):
    # 25/64 + 4/64 + 1/64 = 30/64.
    assert score("doctor", EIGHTHS, variant=variant) == pytest.approx(-math.log(odds))


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_doctor_ranks_as_the_sum_of_squared_probabilities(temperature):
    squares = np.square(softmax(LOGITS.astype(np.float64) / temperature, axis=1)).sum(axis=1)

    scores = score("doctor", LOGITS, temperature=temperature)

    np.testing.assert_allclose(scores, np.log(squares / (1 - squares)), rtol=1e-9)


def test_gen_by_hand():
    terms = [(p / 8 * (1 - p / 8)) ** 0.5 for p in (5, 2, 1)]

    assert score("gen", EIGHTHS, gamma=0.5) == pytest.approx(-sum(terms))
    assert score("gen", EIGHTHS, gamma=0.5, top=2) == pytest.approx(-sum(terms[:2]))


@pytest.mark.parametrize("settings", [{}, {"gamma": 0.5, "top": 3}, {"top": "all"}])
def test_gen_is_that_of_the_public_code(settings):
    gamma, top = settings.get("gamma", 0.1), settings.get("top", 100)
    p = np.sort(softmax(LOGITS.astype(np.float64), axis=1), axis=1)[:, -top if top != "all" else None :]

    np.testing.assert_allclose(score("gen", LOGITS, **settings), -(p**gamma * (1 - p) ** gamma).sum(axis=1))


def test_defaults_of_gen_are_those_of_the_paper():
    method = registry.method("gen")()

    assert (method.gamma, method.top, method.floor) == (0.1, 100, 0.0)


def test_klm_by_hand():
    # Both fitted images are taken for class 0; d = (2/3 + 1/2 + 1/4·0) makes (7/12, 5/12) of 2/3, 1/3 and 1/2, 1/2.
    fitted = [[math.log(2), 0.0], [1e-6, 0.0]]

    scores = score("klm", [[0.0, math.log(3)]], fitted, [0, 1])

    assert scores == pytest.approx(-(math.log((1 / 4) / (7 / 12)) / 4 + 3 * math.log((3 / 4) / (5 / 12)) / 4), abs=1e-6)


@pytest.mark.parametrize("fit_to", ["validation", "train"])
def test_klm_is_the_least_entropy_relative_to_a_class(fit_to):
    p = softmax(LOGITS.astype(np.float64), axis=1)
    typical = [p[p.argmax(axis=1) == k].mean(axis=0) for k in range(5)]
    expected = [-min(entropy(row, d) for d in typical) for row in p]

    np.testing.assert_allclose(score("klm", LOGITS, fit_to=fit_to), expected, rtol=1e-9)


def test_klm_leaves_out_classes_that_are_never_predicted():
    scores = score("klm", [[0.0, 9.0, 0.0]], [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], [0, 1])

    assert np.isfinite(scores).all()


def test_klm_in_parts_is_that_of_the_whole(monkeypatch):
    whole = score("klm", LOGITS)
    monkeypatch.setattr(importlib.import_module(registry.method("klm").__module__), "IMAGES_AT_ONCE", 7)

    np.testing.assert_allclose(score("klm", LOGITS), whole, rtol=1e-12)


def test_klm_says_what_it_sees_and_what_to_do_without_it():
    train = batch_of(LOGITS, labels=LABELS, n_classes=5)

    assert registry.method("klm")().sees == {"id_validation"}
    assert registry.method("klm")(fit_to="train").sees == frozenset()
    with pytest.raises(ConfigError, match=r"none out; take training images: --set klm\.fit_to=train"):
        registry.method("klm")().fit(fit_inputs(train))


@pytest.mark.parametrize(
    ("name", "settings"),
    [("temperature_scaling", {}), ("doctor", {}), ("doctor", {"variant": "beta"}), ("gen", {})],
)
def test_confident_images_do_not_tie(name, settings):
    # In float64 the first probability of all four is exactly 1.
    scores = score(name, [[60.0, 0, 0, 0, 0], [70.0, 0, 0, 0, 0], [200.0, 0, 0, 0, 0], [300.0, 0, 0, 0, 0]], **settings)

    assert scores[0] < scores[1] < scores[2] < scores[3]


@pytest.mark.parametrize("name", ["temperature_scaling", "doctor", "gen", "klm"])
def test_extreme_logits_have_finite_scores(name):
    logits = [[1e4, -1e4, 0, 0, 0], [0.0] * 5, [-3e38, 0, 0, 0, 0], [1e4, 1e4, 0, 0, 0]]

    assert np.isfinite(score(name, logits)).all()


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("temperature_scaling", {"temperature": 0.0}, "temperature must be fitted or positive"),
        ("doctor", {"temperature": -1.0}, "temperature must be positive"),
        ("doctor", {"temperature": math.nan}, "temperature must be positive"),
        ("gen", {"gamma": 0.0}, "gamma must be positive"),
        ("gen", {"top": 0}, "top must be 'all' or at least 1"),
        ("gen", {"floor": 0.5}, "floor must be from 0 up and below 0.5"),
        ("gen", {"floor": -0.1}, "floor must be from 0 up"),
    ],
)
def test_impossible_settings_are_refused(name, settings, said):
    with pytest.raises(ConfigError, match=said):
        registry.method(name)(**settings)
