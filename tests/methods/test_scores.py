"""The scores of each method against its paper's formula, on cases computed by hand or by a direct implementation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from oodbench import batch as batch_module
from oodbench.api import FitInputs
from oodbench.batch import Batch
from oodbench.errors import ConfigError
from oodbench.images import ImageSet
from oodbench.plugins import registry


class Net(nn.Module):
    """A small network with a curved score."""

    def __init__(self, n_outputs=3):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh())
        self.head = nn.Linear(8, n_outputs)
        self.eval().requires_grad_(requires_grad=False)

    def features(self, images):
        return self.body(images)

    def forward(self, images):
        return self.head(self.features(images))


def batch_of_logits(logits, labels=None):
    logits = np.asarray(logits, dtype=np.float32)
    images = np.zeros((len(logits), 1, 2, 2), dtype=np.uint8)
    names = () if labels is None else tuple(map(str, range(max(labels) + 1)))
    source = ImageSet(
        name="test", images=images, labels=None if labels is None else np.asarray(labels), class_names=names
    )
    return Batch.of(source, {"logits": logits, "features": logits}, torch.device("cpu"))


def batch_of_images(network, n=30, seed=0, low=0, high=256):
    images = np.random.default_rng(seed).integers(low, high, (n, 1, 4, 4)).astype(np.uint8)
    source = ImageSet(name="test", images=images, labels=np.arange(n) % 3, class_names=("a", "b", "c"))
    with torch.no_grad():
        features = network.features(torch.tensor(images).float() / 255)
        outputs = {"logits": network.head(features).numpy(), "features": features.numpy()}
    return Batch.of(source, outputs, torch.device("cpu"))


def inputs(network=None, **parts):
    parts = {"train": None, "validation": None, "seen_ood": None, "ood_test": {}, **parts}
    return FitInputs(networks=(network,), n_classes=3, seed=0, **parts)


def msp(batch):
    return registry.method("msp")().fit(inputs()).score(batch)


def test_msp_is_the_largest_softmax_probability():
    score = msp(batch_of_logits([[math.log(6.0), math.log(3.0), 0.0]]))

    assert score.item() == pytest.approx(0.6)


def test_msp_of_confident_images_does_not_tie():
    # In float32 all three probabilities round to exactly 1.
    scores = msp(batch_of_logits([[18.0, 0.0], [20.0, 0.0], [25.0, 0.0]]))

    assert scores[0] < scores[1] < scores[2] < 1


def test_msp_classifies_by_the_largest_logit():
    detector = registry.method("msp")().fit(inputs())

    assert detector.classify(batch_of_logits([[0.0, 2.0, 1.0], [3.0, 2.0, 1.0]])).tolist() == [1, 0]


def direct_odin(network, images, epsilon, temperature):
    """ODIN as its paper says it, an image at a time, in float64."""
    scores = []
    network = network.double()
    for image in images.double():
        x = image[None].clone().requires_grad_()
        probabilities = torch.softmax(network(x) / temperature, dim=1)
        loss = -torch.log(probabilities[0, probabilities[0].argmax()])
        (gradient,) = torch.autograd.grad(loss, x)
        step = x.detach() - epsilon * torch.sign(gradient)
        scores.append(torch.softmax(network(step) / temperature, dim=1).max().item())
    network.float()
    return scores


@pytest.mark.parametrize(("epsilon", "temperature"), [(0.0014, 1000.0), (0.05, 1.0), (0.0, 10.0)])
def test_odin_equals_a_direct_implementation(epsilon, temperature, monkeypatch):
    monkeypatch.setattr(batch_module, "CPU_BATCH_SIZE", 7)
    network = Net()
    batch = batch_of_images(network)
    method = registry.method("odin")(epsilon=epsilon, temperature=temperature)

    scores = method.fit(inputs(network)).score(batch)

    expected = direct_odin(network, batch.images, epsilon, temperature)
    # At T = 1000 scores differ from 1/3 in the fourth digit: what is compared is the part that carries information.
    assert (scores - 1 / 3).tolist() == pytest.approx([score - 1 / 3 for score in expected], rel=1e-3, abs=1e-8)


def test_odin_raises_the_score_of_the_predicted_class():
    network = Net()
    batch = batch_of_images(network)
    still, moved = (registry.method("odin")(epsilon=e).fit(inputs(network)).score(batch) for e in (0.0, 0.01))

    assert (moved > still).all()


def test_odin_with_temperature_1_and_no_step_is_msp():
    network = Net()
    batch = batch_of_images(network)

    assert torch.equal(
        registry.method("odin")(epsilon=0.0, temperature=1.0).fit(inputs(network)).score(batch), msp(batch)
    )


def test_odin_takes_the_epsilon_of_the_paper_and_sees_nothing():
    detector = registry.method("odin")().fit(inputs(Net()))

    assert detector.epsilon == 0.0014
    assert detector.epsilon_at_edge is None
    assert registry.method("odin")().sees == frozenset()


@pytest.mark.parametrize("settings", [{}, {"tune": "id"}])
def test_odin_chooses_the_epsilon_that_raises_the_held_out_score_most(settings):
    network = Net()
    validation = batch_of_images(network, seed=1)

    detector = registry.method("odin")(epsilon="auto", **settings).fit(inputs(network, validation=validation))

    grid = [0.0, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08]
    means = [registry.method("odin")(epsilon=e).fit(inputs(network)).score(validation).mean().item() for e in grid]
    assert detector.epsilon == grid[int(np.argmax(means))]


def test_odin_says_that_its_epsilon_is_at_the_edge_of_the_grid():
    network = Net()
    validation = batch_of_images(network, seed=1)
    other = batch_of_images(network, n=100, seed=2, high=90)
    odin = registry.method("odin")

    on_id = odin(epsilon="auto", tune="id").fit(inputs(network, validation=validation))
    on_ood = odin(epsilon="auto", tune="seen").fit(inputs(network, validation=validation, seen_ood=other))

    # The step goes up the mean score that the choice maximises.
    assert (on_id.epsilon, on_id.epsilon_at_edge) == (0.08, True)
    assert on_ood.epsilon_at_edge == (on_ood.epsilon in (0.0, 0.004))


def test_images_that_odin_is_tuned_on_are_drawn_and_not_the_first_ones():
    network = Net()
    looked_at = []

    class Watched(Batch):
        def at(self, index):
            looked_at.append(index)
            return super().at(index)

    whole = batch_of_images(network, n=60)
    validation = Watched(source=whole.source, outputs=whole.outputs, rows=whole.rows, device=whole.device)
    registry.method("odin")(epsilon="auto", tune_images=20).fit(inputs(network, validation=validation))

    assert len(looked_at[0]) == len(set(looked_at[0])) == 20
    assert max(looked_at[0]) > 40


def test_odin_refuses_a_given_epsilon_beside_what_would_choose_one():
    with pytest.raises(ConfigError, match="tune=test chooses epsilon, and epsilon=0.0014 is given; add epsilon=auto"):
        registry.method("odin")(tune="test")


@pytest.mark.parametrize(("tune", "part"), [("seen", "seen_ood"), ("test", "ood_test")])
def test_odin_tuned_on_ood_images_has_the_lowest_fpr_of_the_grid(tune, part):
    network = Net()
    validation, ood = batch_of_images(network, n=100, seed=1), batch_of_images(network, n=100, seed=2, high=90)
    given = {"validation": validation, part: ood if part == "seen_ood" else {"far": ood}}

    detector = registry.method("odin")(epsilon="auto", tune=tune).fit(inputs(network, **given))

    metric = __import__("oodbench.metrics", fromlist=["fpr_at_tpr"]).fpr_at_tpr

    def fpr(odin):
        return metric(odin.score(validation).numpy(), odin.score(ood).numpy())

    others = [registry.method("odin")(epsilon=0.0002 * i).fit(inputs(network)) for i in range(21)]
    assert fpr(detector) == min(map(fpr, others))


def test_odin_declares_what_its_epsilon_was_chosen_on():
    odin = registry.method("odin")

    assert odin(epsilon=0.001).sees == frozenset()
    assert odin(epsilon="auto").sees == {"id_validation"}
    assert odin(epsilon="auto", tune="seen").sees == {"id_validation", "seen_ood"}
    assert odin(epsilon="auto", tune="test").sees == {"id_validation", "ood_test"}


@pytest.mark.parametrize("settings", [{"temperature": 0.0}, {"epsilon": -0.1}, {"tune_images": 0}])
def test_odin_refuses_impossible_settings(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        registry.method("odin")(**settings)


def test_odin_says_what_to_do_without_held_out_images():
    with pytest.raises(ConfigError, match=r"--set odin\.epsilon"):
        registry.method("odin")(epsilon="auto").fit(inputs(Net()))


@pytest.mark.parametrize("name", ["ml", "odm"])
def test_metric_learning_scores_by_the_squared_distance_to_the_nearest_class_mean(name):
    # Class means: (0, 0), (4, 0) and (0, 10).
    train = batch_of_logits([[-1, 0], [1, 0], [4, 1], [4, -1], [0, 10], [0, 10]], labels=[0, 0, 1, 1, 2, 2])
    test = batch_of_logits([[0, 0], [3, 0], [0, 8], [10, 8]])

    detector = registry.method(name)().fit(inputs(train=train))

    assert detector.score(test).tolist() == [0.0, -1.0, -4.0, -100.0]
    assert detector.classify(test).tolist() == [0, 1, 2, 1]


def test_msp_and_odin_share_one_network_and_ml_and_odm_have_their_own():
    objectives = {name: registry.method(name)().networks[0] for name in ("msp", "odin", "ml", "odm")}

    assert objectives["msp"] == objectives["odin"]
    assert len({objectives["msp"], objectives["ml"], objectives["odm"]}) == 3
