"""CC-AG against the formulas of Lee et al. (ICLR 2018)."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
import torch
from torch import nn

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from oodbench.training.checkpoint import Checkpoint
from oodbench.training.config import TrainConfig
from oodbench.training.learner import Setting
from oodbench.training.loop import TrainingImages, train

CPU = torch.device("cpu")
# The registry knows the method; what it is made of lives beside it.
HOME = registry.method("ccag").__module__.rpartition(".")[0]
learners = importlib.import_module(f"{HOME}._confidence_learners")
dcgan = importlib.import_module(f"{HOME}._dcgan")


def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 12, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3))


def images(n=48):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (n, 3, 12, 12)).astype(np.uint8)
    seen = rng.integers(0, 255, (20, 3, 12, 12)).astype(np.uint8)
    return TrainingImages(images=pixels, labels=np.arange(n) % 3, seen=seen)


def objective(**settings):
    return registry.method("ccag")(**{"width": 4, **settings}).networks[0]


def test_divergence_from_uniform_by_hand():
    probabilities = [0.7, 0.2, 0.1]
    expected = sum((1 / 3) * math.log((1 / 3) / p) for p in probabilities)

    result = learners.divergence_from_uniform(torch.tensor([probabilities]).log())

    assert result.item() == pytest.approx(expected, rel=1e-5)


def test_divergence_from_uniform_equals_torchs_kl_div():
    logits = torch.randn(20, 5, generator=torch.Generator().manual_seed(0))
    uniform = torch.full((20, 5), 0.2)

    expected = torch.nn.functional.kl_div(logits.log_softmax(1), uniform, reduction="batchmean")

    assert learners.divergence_from_uniform(logits).item() == pytest.approx(expected.item(), rel=1e-5)


def test_undecided_classifier_has_no_divergence():
    assert learners.divergence_from_uniform(torch.full((4, 7), 3.0)).item() == pytest.approx(0, abs=1e-6)


def test_pull_away_term_is_the_mean_squared_cosine_of_different_vectors():
    vectors = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 5.0]])

    # Of the six ordered pairs, two are parallel and four at right angles.
    assert learners.pull_away_term(vectors).item() == pytest.approx(2 / 6)
    assert learners.pull_away_term(torch.zeros(3, 2)).item() == 0


def test_only_the_weights_of_the_classifier_are_penalised():
    config = TrainConfig(epochs=1, batch_size=16, weight_decay=0.1)
    setting = Setting(
        config=config,
        shape=(3, 12, 12),
        n_classes=3,
        steps=3,
        steps_per_epoch=3,
        seen=None,
        random=torch.Generator(),
    )

    learner = objective().learner(build(), setting)

    penalties = {name: part.param_groups[0]["weight_decay"] for name, part in learner.parts().items() if "opt" in name}
    assert penalties == {"optimizer": 0.1, "optimizer_g": 0.0, "optimizer_d": 0.0}


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (1, 8, 8)])
def test_generated_images_have_the_size_of_the_benchmark_and_pixels_between_0_and_1(shape):
    generator = dcgan.Generator(shape, width=4)

    made = generator.draw(5, torch.Generator().manual_seed(0))

    assert made.shape == (5, *shape)
    assert made.min() >= 0
    assert made.max() <= 1
    assert dcgan.Discriminator(shape, width=4)(made).shape == (5,)


def test_generator_and_discriminator_have_the_layers_of_the_public_code():
    generator, discriminator = dcgan.Generator((3, 32, 32)), dcgan.Discriminator((3, 32, 32))

    def filters(network, kind):
        return [layer.out_channels for layer in network.layers if isinstance(layer, kind)]

    assert filters(generator, nn.ConvTranspose2d) == [512, 256, 128, 3]
    assert filters(discriminator, nn.Conv2d) == [128, 256, 512, 1]
    assert generator.latent == 100


@pytest.mark.parametrize("settings", [{"outliers": "generated"}, {"outliers": "seen"}])
def test_same_seed_gives_the_same_network_and_a_killed_training_goes_on_to_it(settings, tmp_path):
    config = TrainConfig(epochs=4, batch_size=16, schedule="steps", milestones=(2,))
    whole, _ = train(build, objective(**settings), images(), config, seed=1, device=CPU)

    class KilledError(Exception):
        pass

    def kill(epoch, n_epochs, loss, learner):
        if epoch == 3:
            raise KilledError

    state = {"seed": 1, "device": CPU, "checkpoint": Checkpoint(tmp_path / "state.pt"), "checkpoint_seconds": 0}
    with pytest.raises(KilledError):
        train(build, objective(**settings), images(), config, on_epoch=kill, **state)
    resumed, log = train(build, objective(**settings), images(), config, **state)

    assert log.resumed_at == 2
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_seen_outliers_become_undecided():
    plain = images(300)
    pixels = plain.images // 8
    pixels[np.arange(300), plain.labels] += 200
    data = TrainingImages(images=pixels, labels=plain.labels, seen=plain.seen // 2)
    config = TrainConfig(epochs=30, batch_size=50, learning_rate=3e-3)

    def divergence(beta):
        network, _ = train(build, objective(outliers="seen", beta=beta), data, config, seed=0, device=CPU)
        return learners.divergence_from_uniform(network(torch.tensor(data.seen).float() / 255)).item()

    assert divergence(1.0) < 0.1 * divergence(0.0)


def test_generated_images_change_with_training_and_are_drawn_from_the_same_noise():
    pictures = []
    config = TrainConfig(epochs=3, batch_size=16)

    train(
        build,
        objective(),
        images(),
        config,
        seed=0,
        device=CPU,
        on_epoch=lambda epoch, n_epochs, loss, learner: pictures.extend([learner.picture(), learner.picture()]),
    )

    assert pictures[0].shape == (64, 3, 12, 12)
    assert torch.equal(pictures[0], pictures[1])
    assert not torch.equal(pictures[1], pictures[2])


def test_only_seen_outliers_are_declared_as_seen():
    ccag = registry.method("ccag")

    assert ccag().sees == frozenset()
    assert not ccag().networks[0].uses_seen_ood
    assert ccag(outliers="seen").sees == {"seen_ood"}
    assert ccag(outliers="seen").networks[0].uses_seen_ood


def test_it_begins_with_the_whole_classifier_only_where_it_is_told_to():
    classifier = registry.method("msp")().networks[0]
    found = objective(start="ce", outliers="seen")

    assert (objective().starts_from, found.starts_from) == (None, classifier)
    # So that copying by names and shapes takes over everything.
    of_classifier, own = (kind.build(lambda _, n: nn.Linear(2, n), (3, 4, 4), 3, 2) for kind in (classifier, found))
    assert {name: weight.shape for name, weight in own.state_dict().items()} == {
        name: weight.shape for name, weight in of_classifier.state_dict().items()
    }


@pytest.mark.parametrize("settings", [{"beta": -1.0}, {"pull_away": -1.0}, {"width": 0}, {"gan_learning_rate": 0.0}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        registry.method("ccag")(**settings)


def build_with_normalisation():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 6 * 6, 3)
    )


@pytest.mark.parametrize(("settings", "frozen"), [({"outliers": "seen"}, 0), ({"outliers": "generated"}, 1)])
def test_normalisation_sees_id_images_and_outliers_in_one_batch(settings, frozen):
    passes = []

    def build():
        network = build_with_normalisation()
        network[1].register_forward_hook(lambda layer, given, out: passes.append((len(given[0]), layer.training)))
        return network

    train(build, objective(**settings), images(), TrainConfig(steps=3, batch_size=16), seed=0, device=CPU)

    # In the generator's step the outliers are alone, and statistics are used as they stand.
    assert passes == [*[(16, False)] * frozen, (32, True)] * 3


def test_normalised_classifier_is_undecided_about_seen_outliers_when_it_is_used():
    rng = np.random.default_rng(0)
    labels = np.arange(240) % 3
    pixels = rng.integers(0, 40, (240, 3, 12, 12))
    pixels[np.arange(240), labels] += 60
    # The outliers are ID images on another scale: statistics of their own would make them the same.
    seen = np.minimum(pixels[:120] * 3 + 20, 255)
    data = TrainingImages(images=pixels.astype(np.uint8), labels=labels, seen=seen.astype(np.uint8))
    config = TrainConfig(epochs=25, batch_size=40, learning_rate=1e-2)

    network, _ = train(build_with_normalisation, objective(outliers="seen"), data, config, seed=0, device=CPU)

    def probabilities(some):
        return network(torch.tensor(some).float() / 255).softmax(1).amax(1)

    assert probabilities(data.images).mean() > 0.9
    assert probabilities(data.seen).mean() < 0.5


def test_statistics_are_frozen_for_a_block_and_learnt_again_after_it():
    network = build_with_normalisation().train()
    before = network[1].running_mean.clone()

    with learners.frozen_normalisation(network):
        network(torch.rand(4, 3, 12, 12))
        assert torch.equal(network[1].running_mean, before)
        assert network[0].training
    network(torch.rand(4, 3, 12, 12))

    assert network[1].training
    assert not torch.equal(network[1].running_mean, before)


def test_generator_and_discriminator_have_a_learning_rate_of_their_own():
    setting = Setting(
        config=TrainConfig(optimizer="sgd", learning_rate=0.4, schedule="constant"),
        shape=(3, 12, 12),
        n_classes=3,
        steps=3,
        steps_per_epoch=3,
        seen=None,
        random=torch.Generator(),
    )

    parts = objective(gan_learning_rate=0.001).learner(build(), setting).parts()

    assert {type(parts[name]) for name in ("optimizer_g", "optimizer_d")} == {torch.optim.Adam}
    assert {parts[name].param_groups[0]["lr"] for name in ("optimizer_g", "optimizer_d")} == {0.001}
    assert parts["optimizer"].param_groups[0]["lr"] == 0.4
