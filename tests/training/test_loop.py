"""Training: same seed, same network; a killed training goes on as if nothing had happened."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from oodbench.errors import ConfigError, TrainingError
from oodbench.holdout import HoldOut
from oodbench.objectives import CrossEntropy, LossObjective
from oodbench.plugins import registry
from oodbench.training import pixels
from oodbench.training.checkpoint import Checkpoint
from oodbench.training.config import TrainConfig, cut_short
from oodbench.training.loop import TrainingImages, train
from tests.helpers import Listener

CPU = torch.device("cpu")


def build():
    # Dropout draws from the global generator, whose state must be kept as well.
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))


def images(n=90, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    pixels = rng.integers(0, 100, (n, 1, 4, 4)) + 50 * labels[:, None, None, None]
    seen = rng.integers(0, 255, (40, 1, 4, 4)).astype(np.uint8)
    return TrainingImages(images=pixels.astype(np.uint8), labels=labels.astype(np.int64), seen=seen)


def weights(network):
    return torch.cat([parameter.flatten() for parameter in network.parameters()])


OBJECTIVES = [CrossEntropy(), registry.method("ml")().networks[0], registry.method("odm")().networks[0]]
SCHEDULES = [
    {"schedule": "constant", "augment": ("crop", "flip", "randaugment")},
    {"schedule": "one-cycle", "optimizer": "adamw"},
    {"schedule": "steps", "milestones": (1, 3)},
    {"schedule": "cosine", "warmup": 1.5, "optimizer": "sgd"},
]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=["ce", "ml", "odm"])
def test_same_seed_gives_the_same_network_and_another_seed_another(objective):
    config = TrainConfig(epochs=3, batch_size=32)

    first, again, other = (train(build, objective, images(), config, seed=s, device=CPU)[0] for s in (1, 1, 2))

    assert torch.equal(weights(first), weights(again))
    assert not torch.equal(weights(first), weights(other))


def test_training_leaves_the_global_generator_as_it_was():
    torch.manual_seed(5)
    before = torch.get_rng_state()

    train(build, CrossEntropy(), images(), TrainConfig(epochs=1), seed=0, device=CPU)

    assert torch.equal(before, torch.get_rng_state())


class KilledError(Exception):
    pass


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule["schedule"])
@pytest.mark.parametrize("objective", OBJECTIVES, ids=["ce", "ml", "odm"])
def test_killed_training_goes_on_to_the_very_same_network(objective, schedule, tmp_path):
    config = TrainConfig(epochs=5, batch_size=32, **schedule)
    checkpoint = Checkpoint(tmp_path / "state.pt")
    whole, log = train(build, objective, images(), config, seed=1, device=CPU)

    def kill(epoch, n_epochs, loss, learner):
        if epoch == 4:
            raise KilledError

    settings = {"seed": 1, "device": CPU, "checkpoint": checkpoint, "checkpoint_seconds": 0}
    with pytest.raises(KilledError):
        train(build, objective, images(), config, on_epoch=kill, **settings)
    resumed, resumed_log = train(build, objective, images(), config, **settings)

    assert resumed_log.resumed_at == 3
    assert resumed_log.losses == log.losses
    assert torch.equal(weights(whole), weights(resumed))


def killed(tmp_path, config):
    """Return the checkpoint of a training that was killed, and who hears of it."""
    listener = Listener()
    checkpoint = Checkpoint(tmp_path / "state.pt", listener)

    def kill(epoch, n_epochs, loss, learner):
        if epoch == 3:
            raise KilledError

    with pytest.raises(KilledError):
        trained(config, checkpoint=checkpoint, checkpoint_seconds=0, on_epoch=kill)
    return checkpoint, listener


def trained(config, **settings):
    return train(build, CrossEntropy(), images(), config, seed=1, device=CPU, **settings)


def cut(checkpoint):
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:-50])


def emptied(checkpoint):
    checkpoint.path.write_bytes(b"")


def flipped(checkpoint):
    """Change a byte inside a tensor, which torch.load does not notice."""
    tensor = checkpoint.load(CPU)["learner"]["network"]["1.weight"].numpy().tobytes()
    content = checkpoint.path.read_bytes()
    assert tensor in content
    checkpoint.path.write_bytes(content.replace(tensor, bytes([tensor[0] ^ 1]) + tensor[1:]))


def of_a_gpu(checkpoint):
    """A generator's state has 16 bytes there."""
    state = checkpoint.load(CPU)
    checkpoint.save({**state, "device": "cuda", "random": state["random"][:16], "cuda_random": state["random"][:16]})


def of_another_network(checkpoint):
    state = checkpoint.load(CPU)
    network = {**state["learner"]["network"], "4.bias": torch.zeros(5)}
    checkpoint.save({**state, "learner": {**state["learner"], "network": network}})


def without_a_generator(checkpoint):
    """All of the learner is taken up before this is found out."""
    state = checkpoint.load(CPU)
    del state["random"]
    checkpoint.save(state)


UNUSABLE = {
    cut: "it is damaged",
    emptied: "it is damaged",
    flipped: "it is damaged",
    of_a_gpu: "it was made on cuda, and this is cpu",
    of_another_network: "Error(s) in loading state_dict for Sequential:",
    without_a_generator: "'random'",
}


@pytest.mark.parametrize(("change", "reason"), UNUSABLE.items(), ids=lambda entry: getattr(entry, "__name__", ""))
def test_a_checkpoint_that_cannot_be_resumed_from_is_set_aside_and_the_training_starts_anew(tmp_path, change, reason):
    config = TrainConfig(epochs=4, batch_size=32)
    checkpoint, listener = killed(tmp_path, config)
    change(checkpoint)
    content = checkpoint.path.read_bytes()

    network, log = trained(config, checkpoint=checkpoint)

    aside = tmp_path / "state.unusable"
    assert listener.messages == [f"training anew: cannot resume from the checkpoint ({reason}); it is kept as {aside}"]
    assert aside.read_bytes() == content
    assert not checkpoint.path.exists()
    assert log.resumed_at == 0
    assert torch.equal(weights(network), weights(trained(config)[0]))


def test_a_whole_checkpoint_is_resumed_from_without_a_word(tmp_path):
    config = TrainConfig(epochs=4, batch_size=32)
    checkpoint, listener = killed(tmp_path, config)

    _, log = trained(config, checkpoint=checkpoint)

    assert (log.resumed_at, listener.messages) == (2, [])


def test_network_comes_back_ready_for_use():
    network, _ = train(build, CrossEntropy(), images(), TrainConfig(epochs=1), seed=0, device=CPU)

    assert not network.training
    assert all(not parameter.requires_grad and parameter.grad is None for parameter in network.parameters())


def test_training_learns_what_it_is_shown():
    data = images(n=300)
    network, log = train(
        build, CrossEntropy(), data, TrainConfig(epochs=60, batch_size=50, learning_rate=1e-2), seed=0, device=CPU
    )

    predicted = network(torch.tensor(data.images).float() / 255).argmax(1)
    assert log.losses[-1] < log.losses[0]
    assert (predicted == torch.tensor(data.labels)).float().mean() > 0.9


class Recording(LossObjective):
    """An objective that writes down what it is given."""

    name = "recording"
    uses_seen_ood = True

    def __init__(self):
        self.labels = []

    def n_ood_images(self, batch_size, step):
        return 8 if step % 2 else 0

    def loss(self, outputs, labels, generator):
        self.labels.append(labels.tolist())
        return outputs.square().mean()


def test_every_image_is_shown_once_an_epoch_and_ood_images_stand_last_with_label_minus_1():
    objective = Recording()
    train(build, objective, images(n=96), TrainConfig(epochs=1, batch_size=32), seed=0, device=CPU)

    assert [labels.count(-1) for labels in objective.labels] == [0, 8, 0]
    assert objective.labels[1][-8:] == [-1] * 8


def test_batch_is_cut_to_the_number_of_images():
    objective = Recording()
    train(build, objective, images(n=20), TrainConfig(epochs=1, batch_size=32), seed=0, device=CPU)

    assert [len(labels) for labels in objective.labels] == [20]


def test_pixels_reach_the_network_between_0_and_1():
    seen = []

    class Spy(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(16, 3)

        def forward(self, batch):
            seen.append((batch.dtype, batch.min().item(), batch.max().item()))
            return self.layer(batch.flatten(1))

    pixels = np.tile(np.array([0, 255], dtype=np.uint8), (30, 8)).reshape(30, 1, 4, 4)
    data = TrainingImages(images=pixels, labels=np.arange(30) % 3)
    train(Spy, CrossEntropy(), data, TrainConfig(epochs=1, batch_size=30), seed=0, device=CPU)

    assert seen == [(torch.float32, 0.0, 1.0)]


def test_diverging_training_is_an_error_that_names_the_setting_to_change():
    class Diverging(CrossEntropy):
        def loss(self, outputs, labels, generator):
            return outputs.sum() * float("nan")

    with pytest.raises(TrainingError, match=r"--set recipe\.learning_rate=0\.0001"):
        train(build, Diverging(), images(), TrainConfig(epochs=1, learning_rate=1e-3), seed=0, device=CPU)


def test_held_out_images_are_a_share_of_each_class_and_not_trained_on():
    labels = np.repeat([0, 1, 2], [100, 50, 10])

    halves = HoldOut.of(labels, len(labels), share=0.1, max_images=None, seed=0)

    assert np.bincount(labels[halves.validation]).tolist() == [10, 5, 1]
    assert sorted([*halves.fit, *halves.validation]) == list(range(160))


def test_held_out_images_depend_on_the_seed_alone():
    labels = np.arange(100) % 4
    same, again, other = (HoldOut.of(labels, len(labels), share=0.2, max_images=None, seed=s) for s in (3, 3, 4))

    assert same.validation.tolist() == again.validation.tolist() != other.validation.tolist()


def test_limited_training_keeps_an_image_of_every_class():
    labels = np.array([0] * 500 + [1] * 500 + [2])

    halves = HoldOut.of(labels, len(labels), share=0.1, max_images=20, seed=0)

    assert len(halves.fit) == 20
    assert set(labels[halves.fit]) == {0, 1, 2}


def test_what_was_cut_is_said():
    full = TrainConfig(epochs=10)

    assert cut_short(full, full) == ""
    assert cut_short(TrainConfig(epochs=3, max_images=50), full) == "3 of 10 epochs, at most 50 training images"
    assert cut_short(TrainConfig(epochs=20), full) == ""


def test_a_training_of_so_many_steps_stops_in_the_middle_of_an_epoch():
    batches = []

    class Counting(CrossEntropy):
        def loss(self, outputs, labels, generator):
            batches.append(len(labels))
            return super().loss(outputs, labels, generator)

    config = TrainConfig(steps=7, batch_size=len(images().images) // 3)
    _, log = train(build, Counting(), images(), config, seed=0, device=CPU)
    assert len(batches) == 7
    assert len(log.losses) == 3
    assert log.images_seen == 7 * config.batch_size


def test_balanced_sampling_shows_a_rare_class_as_often_as_a_common_one():
    seen = []

    class Noting(CrossEntropy):
        def loss(self, outputs, labels, generator):
            seen.append(labels.clone())
            return super().loss(outputs, labels, generator)

    some = images()
    labels = np.where(np.arange(len(some.labels)) < 5, 1, 0)
    rare = TrainingImages(images=some.images, labels=labels)
    for sampling, expected in (("natural", 5 / len(labels)), ("balanced", 0.5)):
        seen.clear()
        config = TrainConfig(epochs=20, batch_size=len(labels), sampling=sampling)
        train(build, Noting(), rare, config, seed=0, device=CPU)
        assert torch.cat(seen).float().mean().item() == pytest.approx(expected, abs=0.03)


def test_an_objective_with_two_views_is_shown_each_image_twice_changed_in_two_ways():
    batches = []

    class TwoViews(CrossEntropy):
        views = 2

        def loss(self, outputs, labels, generator):
            batches.append((outputs.detach().clone(), labels.clone()))
            return super().loss(outputs, labels, generator)

    config = TrainConfig(epochs=1, batch_size=30, augment=("crop",))
    train(lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), TwoViews(), images(), config, seed=0, device=CPU)

    outputs, labels = batches[0]
    assert len(outputs) == len(labels) == 60
    assert torch.equal(labels[:30], labels[30:])
    assert not torch.equal(outputs[:30], outputs[30:])


def test_seen_ood_images_are_changed_as_id_images_are():
    class Shown(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(16, 3)
            self.batches = []

        def forward(self, batch):
            self.batches.append(batch.clone())
            return self.layer(batch.flatten(1))

    networks = []

    def build():
        networks.append(Shown())
        return networks[-1]

    data = images(n=32)
    uneven = np.zeros((1, 1, 4, 4), dtype=np.uint8)
    uneven[..., 0, 0] = 255
    only = TrainingImages(images=data.images, labels=data.labels, seen=uneven)
    train(build, Recording(), only, TrainConfig(steps=4, batch_size=32, augment=("flip",)), seed=0, device=CPU)

    corners = torch.cat([batch[-8:, 0, 0] for batch in networks[-1].batches[1::2]])
    assert {tuple(row.tolist()) for row in corners} == {(1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)}


def test_outputs_with_names_reach_the_loss_in_float32():
    kinds = []

    class Named(LossObjective):
        name = "named"
        uses_seen_ood = False

        def loss(self, outputs, labels, generator):
            kinds.append({name: output.dtype for name, output in outputs.items()})
            return outputs["code"].square().mean()

    class TwoOutputs(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(16, 3)

        def forward(self, batch):
            code = self.layer(batch.flatten(1))
            return {"code": code, "nearest": code.argmax(dim=1)}

    config = TrainConfig(steps=1, batch_size=32, precision="bfloat16")
    train(TwoOutputs, Named(), images(), config, seed=0, device=CPU)

    assert kinds == [{"code": torch.float32, "nearest": torch.int64}]


def test_images_that_fit_no_memory_are_asked_for_in_batches_and_give_the_same_network(monkeypatch):
    class WhenAsked:
        def __init__(self, array):
            self.array, self.shape = array, array.shape

        def __len__(self):
            return len(self.array)

        def __getitem__(self, index):
            assert len(index) <= 32
            return self.array[index]

    data, config = images(), TrainConfig(epochs=2, batch_size=32)
    rows = TrainingImages(images=WhenAsked(data.images), labels=data.labels)

    one, _ = train(build, CrossEntropy(), data, config, seed=0, device=CPU)
    monkeypatch.setattr(pixels, "RESIDENT_SHARE", 0.0)
    other, _ = train(build, CrossEntropy(), rows, config, seed=0, device=CPU)

    assert torch.equal(weights(one), weights(other))


def test_images_that_cannot_be_changed_as_asked_for_are_refused():
    oblong = TrainingImages(images=np.zeros((8, 1, 4, 6), dtype=np.uint8), labels=np.arange(8) % 2)

    with pytest.raises(ConfigError, match="rotate90 needs square images"):
        train(build, CrossEntropy(), oblong, TrainConfig(augment=("rotate90",)), seed=0, device=CPU)


def test_the_precision_that_was_taken_is_noted():
    for precision in ("float32", "bfloat16"):
        config = TrainConfig(steps=1, batch_size=32, precision=precision)
        assert train(build, CrossEntropy(), images(), config, seed=0, device=CPU)[1].precision == precision


@pytest.mark.parametrize(
    "objective", [CrossEntropy(), registry.method("mc_dropout")().networks[0]], ids=["ce", "dropout"]
)
def test_labels_of_classifiers_are_smoothed_where_asked_to(objective):
    def network():
        # Without hidden layer or dropout: the first loss is that of the same outputs.
        class Plain(nn.Module):
            def __init__(self):
                super().__init__()
                self.head = nn.Linear(16, 3)

            def features(self, images):
                return images.flatten(1)

            def forward(self, images):
                return self.head(images.flatten(1))

        return Plain()

    def first_loss(smoothing):
        config = TrainConfig(steps=1, batch_size=90, label_smoothing=smoothing, learning_rate=1e-9)
        return train(network, objective, images(), config, seed=0, device=CPU)[1].losses[0]

    sharp, half, even = (first_loss(smoothing) for smoothing in (0.0, 0.5, 0.999999))
    assert half == pytest.approx((sharp + even) / 2, rel=1e-4)
    assert sharp != pytest.approx(even, rel=1e-4)


def test_label_smoothing_is_that_of_pytorch():
    outputs, labels = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])

    ours = CrossEntropy().smoothed(0.3)(outputs, labels, torch.Generator())

    assert torch.allclose(ours, nn.functional.cross_entropy(outputs, labels, label_smoothing=0.3))
