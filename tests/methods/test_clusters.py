"""DEC, IDEC and Skip: assignments and losses by hand, centres, what training moves, and sifting."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
import torch
from torch import nn

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.learning import built, learn, noise, setting, stripes
from tests.named_outputs import NamedBatch

clusters = importlib.import_module(f"{registry.method('dec').__module__.rpartition('.')[0]}._clusters")
LABELS = torch.arange(32) % 4


def objective(name, **settings):
    (found,) = registry.method(name)(**{"width": 4, "code_dim": 4, **settings}).networks
    return found


def begun(found, n_classes=4, steps=60):
    """Return the objective's network after the auto-encoder that it starts from."""
    start, _ = learn(found.starts_from, stripes(), steps=steps)
    network = built(found, (1, 8, 8), n_classes=n_classes, seed=1)
    found.begin(network, start)
    return network


@pytest.mark.parametrize("name", ["dec", "idec", "skip"])
@pytest.mark.parametrize("output", ["distance", "error"])
def test_score_is_minus_the_distance_or_the_error(name, output):
    detector = registry.method(name)(score=output).fit(None)

    assert detector.score(NamedBatch({output: [0.5, 2.0]})).tolist() == [-0.5, -2.0]


def test_skip_weighs_the_error_against_the_distance():
    detector = registry.method("skip")(score="sum", distance_weight=0.1).fit(None)

    batch = NamedBatch({"error": [0.5, 2.0], "distance": [10.0, 0.0]})

    assert detector.score(batch).tolist() == [-1.5, -2.0]


def test_only_skip_classifies():
    batch = NamedBatch({"logits": [[0.0, 1.0], [3.0, 1.0]]})
    batch.logits = batch.output("logits")

    assert registry.method("dec")().fit(None).classify(batch) is None
    assert registry.method("idec")().fit(None).classify(batch) is None
    assert registry.method("skip")().fit(None).classify(batch).tolist() == [1, 0]


def test_assignment_and_target_by_hand():
    squared = torch.tensor([[0.0, 1.0], [3.0, 0.0]])
    q = clusters.soft_assignment(squared)
    p = clusters.target(q, q.sum(dim=0))

    # Kernels 1 and 1/2; 1/4 and 1.
    first, second = [2 / 3, 1 / 3], [1 / 5, 4 / 5]
    f = [2 / 3 + 1 / 5, 1 / 3 + 4 / 5]
    weights = [[value**2 / f[j] for j, value in enumerate(row)] for row in (first, second)]
    expected = [[value / sum(row) for value in row] for row in weights]
    assert q.tolist() == [pytest.approx(first), pytest.approx(second)]
    assert p.tolist() == [pytest.approx(row, rel=1e-5) for row in expected]


def test_target_is_sharper_than_the_assignment_where_clusters_are_equally_frequent():
    q = torch.tensor([[0.7, 0.3], [0.3, 0.7]])

    assert clusters.target(q, torch.ones(2))[0, 0] > 0.7


def test_losses_by_hand():
    outputs = {
        "error": torch.tensor([0.1, 0.3]),
        "squared_distances": torch.tensor([[0.0, 1.0], [1.0, 0.0]]),
        "p": torch.tensor([[1.0, 0.0], [0.5, 0.5]]),
        "logits": torch.tensor([[math.log(3), 0.0], [0.0, 0.0]]),
    }
    labels = torch.tensor([0, 1])
    # q is (2/3, 1/3) and (1/3, 2/3).
    divergence = (math.log(3 / 2) + 0.5 * math.log(3 / 2) + 0.5 * math.log(3 / 4)) / 2
    entropy = (-math.log(0.75) - math.log(0.5)) / 2

    def loss(name, **settings):
        return objective(name, **settings).loss(outputs, labels, None).item()

    assert loss("dec") == pytest.approx(divergence, rel=1e-5)
    assert loss("idec", divergence_weight=0.3) == pytest.approx(0.2 + 0.3 * divergence, rel=1e-5)
    assert loss("skip", cluster_weight=0.4, class_weight=0.7) == pytest.approx(
        0.2 + 0.4 * divergence + 0.7 * entropy, rel=1e-5
    )


def test_skip_classifies_what_has_a_label_and_makes_pictures_of_the_rest_as_well():
    outputs = {
        "error": torch.tensor([0.1, 0.3, 0.5]),
        "squared_distances": torch.zeros(3, 2),
        "p": torch.full((3, 2), 0.5),
        "logits": torch.tensor([[math.log(3), 0.0], [9.0, 0.0], [0.0, 0.0]]),
    }
    found = objective("skip", cluster_weight=0.4, class_weight=0.7)

    some = found.loss(outputs, torch.tensor([0, -1, 1]), None).item()
    none = found.loss(outputs, torch.tensor([-1, -1, -1]), None).item()

    assert some == pytest.approx(0.3 + 0.7 * (-math.log(0.75) - math.log(0.5)) / 2, rel=1e-5)
    assert none == pytest.approx(0.3, rel=1e-5)


def test_images_without_a_label_move_no_class_mean():
    found = objective("skip")
    network = begun(found)
    learner = found.learner(network, setting(stripes(), steps=10, n_classes=4))
    codes = network.eval().encoder(stripes()).detach()
    labels = LABELS.clone()
    labels[:8] = -1

    learner.step(stripes(), labels)

    means = torch.stack([codes[k == labels].mean(dim=0) for k in range(4)])
    assert torch.allclose(network.class_means, means, atol=1e-5)


def test_skip_starts_from_an_auto_encoder_of_clean_images_where_it_is_told_so():
    assert objective("skip").starts_from.clean_share == 0
    assert objective("skip", clean=0.2).starts_from.clean_share == 0.2
    assert objective("skip").unlabelled
    assert objective("skip").starts_from.unlabelled


def test_centres_lie_between_those_of_k_means_and_of_the_classes():
    network = clusters.ClusteredAutoencoder(nn.Identity(), nn.Identity(), 2, 2, alpha=0.25)
    network.centres.data = torch.tensor([[0.0, 0.0], [4.0, 0.0]])
    network.class_means.copy_(torch.tensor([[4.0, 0.0], [0.0, 0.0]]))

    squared = network.squared_distances(torch.tensor([[1.0, 2.0]]))

    # Centres (1, 0) and (3, 0).
    assert squared.tolist() == [[4.0, 8.0]]


def test_clusters_are_matched_with_classes_so_that_all_together_are_near():
    means = torch.tensor([[0.0], [10.0], [20.0]])
    centres = torch.tensor([[19.0], [1.0], [11.0]])

    assert centres[clusters._matched(centres, means)].flatten().tolist() == [1.0, 11.0, 19.0]


def test_clusters_are_found_before_anything_is_learnt():
    found = objective("skip")
    network = begun(found)
    before = [weight.clone() for weight in network.encoder.state_dict().values()]
    codes = network.eval().encoder(stripes()).detach()
    learner = found.learner(network, setting(stripes(), steps=10, n_classes=4))

    learner.step(stripes(), LABELS)

    means = torch.stack([codes[k == LABELS].mean(dim=0) for k in range(4)])
    assert torch.allclose(network.class_means, means, atol=1e-5)
    assert all(torch.equal(a, b) for a, b in zip(network.encoder.state_dict().values(), before, strict=True))
    # Four kinds of stripes make four clusters, each next to its class.
    nearest = torch.cdist(network.class_means, network.centres).argmin(dim=1)
    assert nearest.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("name", "settings"), [("dec", {}), ("idec", {}), ("skip", {}), ("skip", {"sift": 0.1})])
def test_training_draws_codes_to_centres_and_leaves_strange_ones_further_away(name, settings):
    found = objective(name, interval=5, **settings)
    network = begun(found)

    learn(found, stripes(), LABELS, network=network, steps=60, n_classes=4)

    made, strange = (network.outputs(images) for images in (stripes(seed=5), noise()))
    assert made["distance"].mean() < strange["distance"].mean()
    assert made["error"].mean() < strange["error"].mean()
    spread = (made["code"] - made["code"].mean(dim=0)).square().sum(dim=1).mean()
    assert made["distance"].mean() < 0.5 * spread
    if name == "skip":
        assert (made["logits"].argmax(dim=1) == LABELS).float().mean() > 0.9
    else:
        assert "logits" not in made


def test_dec_leaves_the_decoder_as_it_was_and_idec_does_not():
    for name, same in (("dec", True), ("idec", False)):
        found = objective(name)
        network = begun(found, steps=5)
        before = [weight.clone() for weight in network.decoder.parameters()]
        learn(found, stripes(), network=network, steps=20, n_classes=4)

        after = network.decoder.parameters()
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True)) == same


def test_sifted_images_teach_nothing():
    found = objective("skip", sift=0.25, interval=5)
    images = torch.cat([stripes(24), noise(8)])
    network = begun(found)
    learner = found.learner(network, setting(images, steps=30, n_classes=4))
    seen = []
    network.encoder.register_forward_pre_hook(
        lambda module, arguments: seen.append(arguments[0]) if module.training else None
    )

    for _ in range(20):
        learner.step(images, LABELS)

    # What is learnt from holds no noise, whose pixels are bright on average.
    assert max(len(part) for part in seen) <= 26
    assert all(part.mean(dim=(1, 2, 3)).max() < 0.35 for part in seen)


def test_at_least_two_images_are_learnt_from():
    found = objective("skip", sift=0.5)
    network = begun(found, steps=3)
    learner = found.learner(network, setting(stripes(), steps=10, n_classes=4))
    learner.step(stripes(), LABELS)
    learner._known["limit"] = torch.tensor(-1.0)

    assert learner._not_sifted(stripes()).sum() == 2
    assert np.isfinite(learner.step(stripes(), LABELS).item())


def test_a_learner_goes_on_from_its_state(tmp_path):
    found, images = objective("skip", sift=0.1, interval=3), stripes(16)
    labels = LABELS[:16]
    first, second = (built(found, (1, 8, 8), n_classes=4, seed=seed) for seed in (0, 1))
    learner, other = (found.learner(network, setting(images, steps=20, n_classes=4)) for network in (first, second))
    for _ in range(8):
        learner.step(images, labels)

    torch.save(learner.state_dict(), tmp_path / "state.pt")
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))

    for _ in range(4):
        assert other.step(images, labels).item() == learner.step(images, labels).item()


def test_one_class_needs_a_number_of_clusters():
    with pytest.raises(ConfigError, match="dec needs at least 2 clusters, and there is one class: set clusters"):
        built(objective("dec"), (1, 8, 8), n_classes=1)

    assert len(built(objective("dec", clusters=10), (1, 8, 8), n_classes=1).centres) == 10


def test_too_few_images_for_the_clusters_are_refused():
    found = objective("dec", clusters=10)

    with pytest.raises(ConfigError, match="dec looks for 10 clusters in the 8 images that it is shown first"):
        learn(found, stripes(8), steps=10)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("dec", {"clusters": 1}),
        ("dec", {"interval": 0}),
        ("idec", {"divergence_weight": 0.0}),
        ("skip", {"alpha": 1.5}),
        ("skip", {"sift": 1.0}),
        ("skip", {"cluster_weight": -1.0}),
        ("skip", {"class_weight": -1.0}),
        ("skip", {"denoise": -1.0}),
        ("skip", {"clean": 1.5}),
        ("skip", {"distance_weight": 0.0}),
    ],
)
def test_impossible_settings_are_refused(name, settings):
    with pytest.raises(ConfigError, match=f"{next(iter(settings))} must be"):
        registry.method(name)(**settings)
