"""Monte-Carlo dropout against Gal & Ghahramani (ICML 2016): a mean over explicit masks."""

from __future__ import annotations

import importlib
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from oodbench import batch as batch_module
from oodbench.errors import ConfigError
from oodbench.objectives import CrossEntropy
from oodbench.plugins import registry
from oodbench.training.checkpoint import Checkpoint
from oodbench.training.config import TrainConfig
from oodbench.training.loop import TrainingImages, train
from tests.fitting import batch_of, batch_of_images, fit_inputs

HOME = registry.method("mc_dropout").__module__.rpartition(".")[0]
dropout = importlib.import_module(f"{HOME}._dropout")


class Net(nn.Module):
    """Dropout of whole channels and of single units; the hidden layer works in place."""

    def __init__(self, rate=0.4):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.Dropout2d(rate),
            nn.Flatten(),
            nn.Linear(64, 8),
            nn.ReLU(inplace=True),
            nn.Dropout(rate),
        )
        self.head = nn.Linear(8, 3)
        self.eval().requires_grad_(requires_grad=False)

    def features(self, images):
        return self.body(images)

    def forward(self, images):
        return self.head(self.features(images))


def pixels(n=20, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 1, 4, 4)).astype(np.uint8)


def problem(network=None, seed=0):
    network = network or Net()
    batch = batch_of_images(network, pixels())
    return fit_inputs(batch, network=network, seed=seed), batch


def mc_dropout(**settings):
    return registry.method("mc_dropout")(**settings)


def msp(batch):
    return registry.method("msp")().fit(fit_inputs(batch)).score(batch)


def test_head_score_is_the_largest_mean_probability_over_explicit_masks():
    inputs, batch = problem()

    detector = mc_dropout(passes=7, rate=0.3).fit(inputs)

    probabilities = [
        torch.softmax(inputs.network.head(batch.features * mask).double(), dim=1) for mask in detector.masks
    ]
    expected = torch.stack(probabilities).mean(dim=0).max(dim=1).values
    assert detector.score(batch).tolist() == pytest.approx(expected.tolist(), rel=1e-9)
    assert detector.masks.shape == (7, 8)


def test_head_score_needs_no_images():
    network = Net()
    batch = batch_of(np.random.default_rng(0).normal(size=(6, 8)), logits=np.zeros((6, 3)))

    assert mc_dropout().fit(fit_inputs(batch, network=network)).score(batch).shape == (6,)


def test_masks_drop_the_share_that_rate_says_and_keep_the_mean():
    masks = dropout.masks((400, 500), 0.3, seed=0)

    assert masks.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert (masks == 0).float().mean().item() == pytest.approx(0.3, abs=0.005)
    assert masks.mean().item() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("rate", [0.0, 1e-7])
def test_without_dropout_the_head_score_is_msp(rate):
    inputs, batch = problem()

    score = mc_dropout(rate=rate, passes=3).fit(inputs).score(batch)

    assert score.tolist() == pytest.approx(msp(batch).tolist(), rel=1e-5)


def test_network_score_is_a_mean_over_passes_with_one_mask_for_all_images(monkeypatch):
    monkeypatch.setattr(batch_module, "CPU_BATCH_SIZE", 6)
    inputs, batch = problem()
    network = inputs.network
    detector = mc_dropout(where="network", passes=3).fit(inputs)
    random = torch.Generator().manual_seed(0)

    def mask(*shape):
        return (torch.rand(shape, generator=random) >= 0.4) / 0.6

    total = 0
    for _ in range(3):
        convolved = network.body[0](batch.images) * mask(1, 4, 1, 1)
        hidden = network.body[3](convolved.flatten(1)).relu() * mask(1, 8)
        total = total + network.head(hidden).softmax(dim=1)

    assert detector.score(batch).tolist() == pytest.approx((total / 3).max(dim=1).values.tolist(), rel=1e-5)


@pytest.mark.parametrize("where", ["head", "network"])
def test_score_depends_on_image_and_seed_alone_and_leaves_everything_as_it_was(where):
    inputs, batch = problem()
    state = torch.get_rng_state()
    detector = mc_dropout(where=where, passes=5).fit(inputs)

    whole = detector.score(batch)

    alone = torch.cat([detector.score(part) for part in batch.split(1)])
    assert alone.tolist() == pytest.approx(whole.tolist(), rel=1e-5)
    assert torch.equal(pickle.loads(pickle.dumps(detector)).score(batch), whole)
    assert not torch.equal(mc_dropout(where=where, passes=5).fit(problem(seed=1)[0]).score(batch), whole)
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(module._forward_hooks or module.training for module in inputs.network.modules())


@pytest.mark.parametrize("network", [Net(rate=0.0), nn.Sequential(nn.Flatten(), nn.Linear(16, 3))])
def test_network_without_active_dropout_layers_is_refused(network):
    network.features = network.head = network
    batch = batch_of(np.zeros((2, 3)))

    with pytest.raises(ConfigError, match="use where=head"):
        mc_dropout(where="network").fit(fit_inputs(batch, network=network))


def test_only_the_head_form_has_a_network_of_its_own():
    assert mc_dropout(where="network").networks[0] == CrossEntropy()
    assert mc_dropout().networks[0] != CrossEntropy()
    assert mc_dropout().networks[0].name == "ce_dropout"
    assert mc_dropout(rate=0.2).networks[0] != mc_dropout().networks[0]
    assert mc_dropout(passes=3).networks[0] == mc_dropout().networks[0]


def trained(objective, checkpoint=None, on_epoch=None):
    rng = np.random.default_rng(0)
    data = TrainingImages(images=rng.integers(0, 255, (48, 1, 4, 4)).astype(np.uint8), labels=np.arange(48) % 3)
    config = TrainConfig(epochs=4, batch_size=16)
    options = {"checkpoint": checkpoint, "checkpoint_seconds": 0, "on_epoch": on_epoch}
    network, log = train(
        lambda: Net(rate=0.0).requires_grad_(), objective, data, config, seed=1, device=torch.device("cpu"), **options
    )
    return list(network.parameters()), log


def test_training_without_dropout_is_that_of_the_plain_classifier_and_with_it_another():
    plain, none, half = (
        trained(objective)[0]
        for objective in (CrossEntropy(), mc_dropout(rate=0.0).networks[0], mc_dropout().networks[0])
    )

    assert all(torch.equal(a, b) for a, b in zip(plain, none, strict=True))
    assert not torch.equal(plain[-1], half[-1])


def test_loss_of_training_is_that_of_dropped_features():
    network = Net(rate=0.0)
    wrapped = dropout.DropoutBeforeHead(network, 0.5)
    images = torch.tensor(pixels()).float() / 255

    torch.manual_seed(3)
    outputs = wrapped(images)
    torch.manual_seed(3)
    expected = network.head(nn.functional.dropout(network.features(images), 0.5))

    assert torch.equal(outputs, expected)
    assert not torch.equal(outputs, network(images))


def test_features_are_dropped_in_training_as_in_use_also_where_the_network_has_dropout_of_its_own():
    network = Net(rate=0.9).requires_grad_()
    kept, learnt = [], []

    def build():
        network.head.register_forward_hook(lambda layer, given, out: kept.append(given[0].detach()))
        network.body.register_forward_hook(lambda layer, given, out: learnt.append(out.detach()))
        return network

    data = TrainingImages(images=pixels(600), labels=np.arange(600) % 3)
    config = TrainConfig(steps=1, batch_size=600, learning_rate=1e-9, precision="float32")
    train(build, mc_dropout(rate=0.5).networks[0], data, config, seed=0, device=torch.device("cpu"))
    usual = network.body(torch.tensor(pixels(600)).float() / 255)

    assert sorted(learnt[0].sum(1).tolist()) == pytest.approx(sorted(usual.sum(1).tolist()), abs=1e-4)
    alive = learnt[0] > 0
    assert (kept[0][alive] > 0).float().mean().item() == pytest.approx(0.5, abs=0.05)


def test_same_seed_gives_the_same_network_and_a_killed_training_goes_on_to_it(tmp_path):
    class KilledError(Exception):
        pass

    def kill(epoch, n_epochs, loss, learner):
        if epoch == 3:
            raise KilledError

    objective, checkpoint = mc_dropout().networks[0], Checkpoint(tmp_path / "state.pt")
    whole, _ = trained(objective)
    with pytest.raises(KilledError):
        trained(objective, checkpoint, kill)
    resumed, log = trained(objective, checkpoint)

    assert log.resumed_at == 2
    assert all(torch.equal(a, b) for a, b in zip(whole, resumed, strict=True))


@pytest.mark.parametrize("settings", [{"rate": 1.0}, {"rate": -0.1}, {"passes": 0}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        mc_dropout(**settings)
