"""The Mahalanobis score against Lee et al. (NeurIPS 2018), by hand and by a direct implementation."""

from __future__ import annotations

import copy
import importlib
import pickle

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.fitting import batch_of, batch_of_images, fit_inputs


class Net(nn.Module):
    """Two resolutions before the features, with smooth units so that gradients have no kinks."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Tanh())
        self.second = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(4, 5, 3, padding=1), nn.Tanh())
        self.hidden = nn.Sequential(nn.Flatten(), nn.Linear(20, 6), nn.Tanh())
        self.head = nn.Linear(6, 3)
        self.eval().requires_grad_(requires_grad=False)

    def features(self, images):
        return self.hidden(self.second(self.first(images)))

    def forward(self, images):
        return self.head(self.features(images))


def pixels(n, seed, low=0, high=256):
    return np.random.default_rng(seed).integers(low, high, (n, 1, 4, 4)).astype(np.uint8)


def problem(n=60, **parts):
    network = Net()
    train = batch_of_images(network, pixels(n, seed=0), np.arange(n) % 3)
    given = {name: batch_of_images(network, pixels(40, seed), np.arange(40) % 3) for name, seed in parts.items()}
    return fit_inputs(train, network=network, **given)


def mahalanobis(**settings):
    return registry.method("mahalanobis")(**settings)


def direct_distance(values, labels, query):
    """Return min_k d² with NumPy's inverse, in float64, for one layer's activations."""
    values, query = (np.asarray(part, dtype=np.float64) for part in (values, query))
    means = np.stack([values[labels == k].mean(axis=0) for k in range(3)])
    centred = values - means[labels]
    precision = np.linalg.inv(centred.T @ centred / len(values))
    return np.min([np.einsum("nd,de,ne->n", query - mean, precision, query - mean) for mean in means], axis=0)


def test_score_of_two_classes_in_two_dimensions_by_hand():
    # Means (0, 0) and (10, 0); around each (±2, 0), (0, ±1): the tied covariance is diag(2, ½).
    cross = np.array([[2, 0], [-2, 0], [0, 1], [0, -1]], dtype=float)
    train = batch_of(np.concatenate([cross, cross + np.array([10, 0])]), labels=[0] * 4 + [1] * 4, n_classes=2)
    test = batch_of([[0, 0], [2, 0], [0, 1], [9, 3], [5, 0]])

    scores = mahalanobis().fit(fit_inputs(train, n_classes=2)).score(test)

    assert scores.tolist() == pytest.approx([0, -(4 / 2), -(1 / 0.5), -(1 / 2 + 9 / 0.5), -(25 / 2)], abs=1e-12)


def test_classes_whose_images_are_all_alike_are_refused():
    train = batch_of([[0, 0], [0, 0], [1, 5], [1, 5]], labels=[0, 0, 1, 1], n_classes=2)

    with pytest.raises(ConfigError, match="mahalanobis needs training images of one class with different features"):
        mahalanobis().fit(fit_inputs(train, n_classes=2))


def test_score_of_correlated_features_by_hand():
    # One class with covariance [[2, 1], [1, 2]], whose inverse is [[2, −1], [−1, 2]] / 3.
    values = np.array([[1, 2], [2, 1], [-1, -2], [-2, -1], [1, -1], [-1, 1]], dtype=float)
    values = np.concatenate([values, -values])
    assert (np.cov(values.T, bias=True) == [[2, 1], [1, 2]]).all()
    train = batch_of(values, labels=[0] * 12, n_classes=1)

    scores = mahalanobis().fit(fit_inputs(train, n_classes=1)).score(batch_of([[3, 0], [3, 3], [3, -3]]))

    assert scores.tolist() == pytest.approx([-6, -6, -18])


def test_plain_form_sees_nothing_and_reads_features_only():
    train = batch_of(np.random.default_rng(0).normal(size=(30, 4)), labels=np.arange(30) % 3)

    detector = mahalanobis().fit(fit_inputs(train, network=None))

    assert mahalanobis().sees == frozenset()
    assert detector.score(train).shape == (30,)


def test_dead_and_repeated_features_change_nothing():
    rng = np.random.default_rng(0)
    features, query = (rng.normal(size=(n, 4)).astype(np.float32) for n in (90, 10))
    labels = np.arange(90) % 3

    def widened(values):
        # A dead unit, and one that repeats another up to the rounding of float32.
        repeated = values[:, :1] * np.float32(1 / 3) * np.float32(3)
        return np.concatenate([values, np.zeros_like(repeated), repeated], axis=1)

    plain, wide = (
        mahalanobis().fit(fit_inputs(batch_of(part(features), labels=labels))).score(batch_of(part(query)))
        for part in (lambda values: values, widened)
    )

    assert wide.tolist() == pytest.approx(plain.tolist(), rel=1e-4)


def test_layers_are_the_last_at_each_resolution_and_the_penultimate():
    inputs = problem(validation=1)

    detector = mahalanobis(layers="all").fit(inputs)

    assert detector.layers.names == ("first", "second", "penultimate")


def test_module_that_runs_twice_is_passed_over():
    class Shared(Net):
        def __init__(self):
            super().__init__()
            self.twice = nn.Identity()

        def features(self, images):
            return self.hidden(self.twice(self.second(self.twice(self.first(images)))))

    network = Shared()
    train = batch_of_images(network, pixels(60, 0), np.arange(60) % 3)
    validation = batch_of_images(network, pixels(40, 1), np.arange(40) % 3)

    detector = mahalanobis(layers="all").fit(fit_inputs(train, network=network, validation=validation))

    assert detector.layers.names == ("first", "second", "penultimate")


def test_score_of_a_convolutional_layer_is_that_of_its_means_over_space():
    inputs = problem()
    network, images = inputs.network, torch.tensor(pixels(10, 5)).float() / 255
    values, query = (network.first(part).mean(dim=(2, 3)).numpy() for part in (inputs.train.images, images))

    scores = mahalanobis(layers=("first",)).fit(inputs).score(batch_of_images(network, pixels(10, 5)))

    expected = direct_distance(values, inputs.train.labels.numpy(), query)
    assert scores.tolist() == pytest.approx((-expected).tolist(), rel=1e-4)


@pytest.mark.parametrize("layer", ["penultimate", "second"])
def test_input_step_equals_a_direct_loop(layer):
    inputs, epsilon = problem(), 0.02
    network, labels = inputs.network, inputs.train.labels.numpy()
    query = batch_of_images(network, pixels(8, 5))

    def activations(images):
        inner = network.second(network.first(images))
        return network.hidden(inner) if layer == "penultimate" else inner.mean(dim=(2, 3))

    values = activations(inputs.train.images).double()
    means = torch.stack([values[labels == k].mean(dim=0) for k in range(3)])
    centred = values - means[labels]
    precision = torch.linalg.inv(centred.T @ centred / len(values))

    def confidence(image):
        gaps = [activations(image)[0].double() - mean for mean in means]
        return -torch.stack([gap @ precision @ gap for gap in gaps]).min()

    expected = []
    for image in query.images:
        x = image[None].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(confidence(x), x)
        expected.append(confidence(x.detach() + epsilon * gradient.sign()).item())

    detector = mahalanobis(layers=(layer,), epsilon=epsilon).fit(inputs)

    assert detector.score(query).tolist() == pytest.approx(expected, rel=1e-4)
    still = mahalanobis(layers=(layer,)).fit(inputs).score(query)
    assert (detector.score(query) > still).all()


def test_layers_are_combined_by_a_logistic_regression_against_seen_ood_images():
    inputs = problem(validation=1, seen_ood=2)
    layers = ("first", "penultimate")
    query = batch_of_images(inputs.network, pixels(10, 5))

    scores = mahalanobis(layers=layers, tune="seen").fit(inputs).score(query)

    one_by_one = [mahalanobis(layers=(layer,)).fit(inputs) for layer in layers]

    def table(batch):
        return np.stack([detector.score(batch).numpy() for detector in one_by_one], axis=1)

    known = np.concatenate([table(inputs.validation), table(inputs.seen_ood)])
    scaler = StandardScaler().fit(known)
    regression = LogisticRegression(max_iter=1000).fit(scaler.transform(known), [1] * 40 + [0] * 40)
    expected = regression.decision_function(scaler.transform(table(query)))
    assert scores.tolist() == pytest.approx(expected.tolist(), rel=1e-6)


def test_adversarial_images_are_a_step_up_the_loss_and_stay_images():
    inputs = problem(validation=1)
    module = importlib.import_module(registry.method("mahalanobis").__module__)
    network, validation = inputs.network, inputs.validation

    images = module._adversarial(network, validation, 0.05)

    loss = nn.CrossEntropyLoss()
    assert loss(network(images), validation.labels) > loss(network(validation.images), validation.labels)
    assert images.min() >= 0
    assert images.max() <= 1
    assert (images - validation.images).abs().max().item() == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize("settings", [{}, {"epsilon": 0.01}, {"tune": "test"}])
def test_full_form_puts_images_like_the_held_out_ones_above_others(settings):
    # Adversarial images of a network that has learnt nothing say little: a large step makes them far.
    inputs = problem(n=300, validation=1)
    dark = batch_of_images(inputs.network, pixels(40, seed=3, high=60))
    inputs = fit_inputs(inputs.train, network=inputs.network, validation=inputs.validation, ood_test={"dark": dark})

    detector = mahalanobis(layers="all", fgsm_step=0.5, **settings).fit(inputs)

    assert detector.score(inputs.validation).median() > detector.score(dark).median()


@pytest.mark.parametrize("settings", [{}, {"layers": "all"}, {"layers": "all", "epsilon": 0.01}, {"epsilon": 0.01}])
def test_score_depends_on_the_image_alone_and_the_network_stays_untouched(settings):
    inputs = problem(validation=1)
    network, before = inputs.network, copy.deepcopy(inputs.network.state_dict())
    query = batch_of_images(network, pixels(11, 5))

    detector = mahalanobis(**settings).fit(inputs)
    whole = detector.score(query)

    alone = torch.cat([detector.score(part) for part in query.split(1)])
    # Log-odds near 0 differ by the rounding of float32 convolutions.
    assert alone.tolist() == pytest.approx(whole.tolist(), rel=1e-5, abs=1e-5)
    assert torch.equal(pickle.loads(pickle.dumps(detector)).score(query), whole)
    assert not any(module._forward_hooks for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_hooks_are_removed_after_an_error():
    inputs = problem()
    detector = mahalanobis(layers=("first",)).fit(inputs)

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        detector.layers.of_images(torch.zeros(1, 1, 8, 8))

    assert not any(module._forward_hooks for module in inputs.network.modules())


def test_what_it_sees_is_declared():
    assert mahalanobis(layers=("first",), tune="test").sees == frozenset()
    assert mahalanobis(layers="all").sees == {"id_validation"}
    assert mahalanobis(layers=("a", "b"), tune="seen").sees == {"id_validation", "seen_ood"}
    assert mahalanobis(layers="all", tune="test").sees == {"id_validation", "ood_test"}


@pytest.mark.parametrize(
    "settings",
    [{"layers": ()}, {"layers": ("",)}, {"epsilon": -0.1}, {"fgsm_step": 0.0}, {"tune_images": 0}],
)
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        mahalanobis(**settings)


def test_unknown_layer_is_named_with_those_that_there_are():
    with pytest.raises(ConfigError, match=r"no layer 'third' .* penultimate, first\.0, first\.1, first, second"):
        mahalanobis(layers=("first", "third")).fit(problem(validation=1))


def test_several_layers_without_held_out_images_say_what_to_do():
    with pytest.raises(ConfigError, match=r"--set mahalanobis\.layers=penultimate"):
        mahalanobis(layers="all").fit(problem())


def test_tuning_on_ood_images_that_are_not_there_says_what_to_do():
    with pytest.raises(ConfigError, match="use tune=fgsm"):
        mahalanobis(layers="all", tune="seen").fit(problem(validation=1))


def test_layers_are_read_from_the_command_line():
    from oodbench.settings import configure

    kind = registry.method("mahalanobis")

    assert configure(kind, {"layers": "first,penultimate"}, of="mahalanobis").layers == ("first", "penultimate")
    assert configure(kind, {"layers": "all"}, of="mahalanobis").layers == "all"
