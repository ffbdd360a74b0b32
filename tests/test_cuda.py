"""What only a GPU can show: precision, images in its memory, checkpoints, and the same scores as on the processor."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch
from torch import nn

from oodbench.batch import in_passes
from oodbench.objectives import CrossEntropy
from oodbench.plugins import registry
from oodbench.testing.problem import problem
from oodbench.training import pixels, precision
from oodbench.training.checkpoint import Checkpoint
from oodbench.training.config import TrainConfig
from oodbench.training.loop import TrainingImages, train

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU here"),
]

GPU = torch.device("cuda")
CLOSE = ("msp", "energy", "max_logit", "entropy", "odin", "knn", "mahalanobis", "react", "gradnorm", "vim", "ml")


def data(n=256):
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 4
    images = rng.integers(0, 120, (n, 3, 16, 16)) + 30 * labels[:, None, None, None]
    seen = rng.integers(0, 255, (64, 3, 16, 16)).astype(np.uint8)
    return TrainingImages(images=images.astype(np.uint8), labels=labels.astype(np.int64), seen=seen)


def build():
    return registry.network("resnet9_half")((3, 16, 16), 4)


def trained(objective=None, config=None, **options):
    config = config or TrainConfig(epochs=3, batch_size=64, augment=("crop", "flip", "randaugment"))
    return train(build, objective or CrossEntropy(), data(), config, seed=1, device=GPU, **options)


def weights(network):
    return torch.cat([parameter.flatten() for parameter in network.parameters()])


@contextlib.contextmanager
def exact():
    """Multiply in full float32, as the processor does."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def test_auto_is_bfloat16_where_the_gpu_has_it_and_weights_stay_float32():
    network, log = trained(config=TrainConfig(epochs=20, batch_size=64, learning_rate=3e-3))

    assert log.precision == ("bfloat16" if precision.has_bfloat16(GPU) else "float32")
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    assert log.losses[-1] < 0.5 * log.losses[0]


def test_images_lie_in_the_memory_of_the_gpu_where_they_fit(monkeypatch):
    images = data().images
    index = torch.tensor([3, 1, 200], device=GPU)

    there = pixels.Pixels(images, GPU)
    monkeypatch.setattr(pixels, "RESIDENT_SHARE", 0.0)
    elsewhere = pixels.Pixels(images, GPU)

    assert there._resident is not None
    assert elsewhere._resident is None
    assert there[index].device.type == elsewhere[index].device.type == "cuda"
    assert torch.equal(there[index], elsewhere[index])
    assert torch.equal(there[index].cpu(), torch.tensor(images[[3, 1, 200]]))


def test_images_that_do_not_fit_give_the_same_network(monkeypatch):
    resident, _ = trained()
    monkeypatch.setattr(pixels, "RESIDENT_SHARE", 0.0)
    streamed, _ = trained()

    assert torch.equal(weights(resident), weights(streamed))


class KilledError(Exception):
    pass


OBJECTIVES = {
    "ce": CrossEntropy(),
    "odm": registry.method("odm")(pairs="all").networks[0],
    "ccag": registry.method("ccag")(width=4).networks[0],
    "ccag seen": registry.method("ccag")(outliers="seen").networks[0],
    "dropout": registry.method("mc_dropout")().networks[0],
}


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
def test_same_seed_gives_the_same_network_and_a_killed_training_goes_on_to_it(objective, tmp_path):
    whole, log = trained(objective)

    def kill(epoch, n_epochs, loss, learner):
        if epoch == 3:
            raise KilledError

    state = {"checkpoint": Checkpoint(tmp_path / "state.pt"), "checkpoint_seconds": 0}
    with pytest.raises(KilledError):
        trained(objective, on_epoch=kill, **state)
    resumed, resumed_log = trained(objective, **state)

    assert resumed_log.resumed_at == 2
    assert resumed_log.losses == log.losses
    assert torch.equal(weights(whole), weights(resumed))


def test_training_on_the_gpu_leaves_its_global_generator_as_it_was():
    torch.cuda.manual_seed(5)
    before = torch.cuda.get_rng_state()

    trained()

    assert torch.equal(before, torch.cuda.get_rng_state())


def test_a_checkpoint_of_the_gpu_is_not_gone_on_from_on_the_processor(tmp_path):
    checkpoint = Checkpoint(tmp_path / "state.pt")

    def kill(epoch, n_epochs, loss, learner):
        if epoch == 3:
            raise KilledError

    with pytest.raises(KilledError):
        trained(checkpoint=checkpoint, checkpoint_seconds=0, on_epoch=kill)
    config = TrainConfig(epochs=3, batch_size=64, augment=("crop", "flip", "randaugment"))
    _, log = train(build, CrossEntropy(), data(), config, seed=1, device=torch.device("cpu"), checkpoint=checkpoint)

    assert log.resumed_at == 0
    assert (tmp_path / "state.unusable").exists()


@pytest.mark.parametrize("name", ["resnet9", "vgg13_bn", "wrn_16_4", "resnet18"])
def test_outputs_of_a_network_are_those_of_the_processor(name):
    torch.manual_seed(0)
    network = registry.network(name)((3, 32, 32), 10).eval()
    images = torch.rand(16, 3, 32, 32)

    with torch.no_grad(), exact():
        expected = network(images)
        network.to(GPU, memory_format=torch.channels_last)
        found = network(images.to(GPU, memory_format=torch.channels_last)).cpu()

    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize("name", CLOSE)
def test_scores_of_a_method_are_those_of_the_processor(name):
    method = registry.method(name)()
    scores = []
    for device in ("cpu", "cuda"):
        tested = problem(method, device=device)
        with torch.no_grad(), exact():
            scores.append(method.fit(tested.inputs).score(tested.easy).double().cpu())

    assert (scores[0] - scores[1]).abs().max() <= 1e-4 * scores[0].abs().max()


def test_parts_are_halved_until_they_fit_the_memory():
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(GPU)
    sizes = []

    def compute(part):
        count = part.stop - part.start
        # Fifty images fill the memory that is free.
        held = torch.empty(count, free // 50, dtype=torch.uint8, device=GPU)
        sizes.append(count)
        return len(held)

    done = list(in_passes((3, 4, 4), 200, GPU, compute))
    torch.cuda.empty_cache()

    assert sum(done) == 200
    assert max(sizes) < 50


def test_a_part_of_one_image_that_does_not_fit_is_an_error():
    def compute(part):
        raise torch.cuda.OutOfMemoryError("too much")

    with pytest.raises(torch.cuda.OutOfMemoryError):
        list(in_passes((3, 4, 4), 8, GPU, compute))


def test_modules_with_named_outputs_train_in_bfloat16():
    class Named(CrossEntropy):
        def loss(self, outputs, labels, generator):
            assert {tensor.dtype for tensor in outputs.values()} == {torch.float32}
            return super().loss(outputs["logits"], labels, generator)

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3 * 16 * 16, 4)

        def forward(self, images):
            logits = self.layer(images.flatten(1))
            return {"logits": logits, "code": logits.square()}

    config = TrainConfig(steps=3, batch_size=64)
    _, log = train(Two, Named(), data(), config, seed=0, device=GPU)

    assert np.isfinite(log.losses).all()
