"""MOOD against the formulas of Lin et al. (CVPR 2021), by hand."""

from __future__ import annotations

import importlib
import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.training_steps import SHAPE, built, id_images, trained

HOME = registry.method("mood").__module__.rpartition(".")[0]
exits = importlib.import_module(f"{HOME}._exits")


def objective(**settings):
    (found,) = registry.method("mood")(**settings).networks
    return found


class Batch:
    """Images with the logits of two exits."""

    device = torch.device("cpu")

    def __init__(self, pixels, logits):
        self._pixels, self._logits = np.asarray(pixels, dtype=np.uint8), np.asarray(logits, dtype=np.float32)

    def __len__(self):
        return len(self._pixels)

    @property
    def images(self):
        return torch.tensor(self._pixels).float() / 255

    def output(self, name):
        assert name == "exits"
        return torch.tensor(self._logits)

    def at(self, rows):
        return Batch(self._pixels[rows], self._logits[rows])

    def split(self, size):
        for start in range(0, len(self), size):
            yield self.at(slice(start, start + size))


class Inputs:
    seed = 0

    def __init__(self, train):
        self.train = train


def noise_and_black(channels=1):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (channels, 16, 16))
    return np.stack([noise, np.zeros_like(noise)]).astype(np.uint8)


def test_complexity_is_the_size_of_the_png_file():
    images = noise_and_black()
    file = io.BytesIO()
    Image.fromarray(images[0, 0]).save(file, "PNG", compress_level=9)

    sizes = exits.png_sizes(images)

    assert sizes[0] == len(file.getvalue())
    assert sizes[1] < 0.5 * sizes[0]


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_images_with_any_number_of_channels_have_a_complexity(channels):
    noise, black = exits.png_sizes(noise_and_black(channels))

    assert noise > black


def test_score_is_the_energy_of_the_exit_that_the_complexity_chooses_less_its_mean():
    # The training images are noise, which leaves by the last exit; a black image leaves by the first.
    images = noise_and_black()
    train = Batch(np.stack([images[0], images[0]]), [[[0.0, 0.0], [1.0, 1.0]], [[2.0, 2.0], [3.0, 3.0]]])
    tested = Batch(images, np.log([[[1.0, 1.0], [2.0, 6.0]], [[1.0, 3.0], [9.0, 9.0]]]))
    means = [math.log(2) + 1, math.log(2) + 2]

    detector = registry.method("mood")().fit(Inputs(train))

    assert detector.means.tolist() == pytest.approx(means)
    assert detector.leaves_by(tested).tolist() == [1, 0]
    assert detector.score(tested).tolist() == pytest.approx([math.log(8) - means[1], math.log(4) - means[0]])


def test_exit_of_a_complexity_is_eq_100(monkeypatch):
    sizes = [0, 1, 25, 26, 50, 75, 76, 100, 300]
    monkeypatch.setattr(exits, "png_sizes", lambda images: np.array(sizes))
    detector = registry.method("mood")().fit(Inputs(Batch(noise_and_black(), np.zeros((2, 4, 2)))))
    object.__setattr__(detector, "largest", 100)

    found = detector.leaves_by(Batch(np.zeros((9, 1, 4, 4)), np.zeros((9, 4, 2)))) + 1

    assert found.tolist() == [max(1, min(math.ceil(4 * size / 100), 4)) for size in sizes]


def test_loss_is_the_sum_of_the_cross_entropies_of_the_exits():
    # The two exits give the class of an image probabilities 3/4 and 1/2.
    logits = torch.tensor([[[0.0, math.log(3)], [0.0, 0.0]]])

    assert exits.exits_loss(logits, torch.tensor([1])).item() == pytest.approx(-math.log(3 / 4) - math.log(1 / 2))


def test_exits_are_at_the_last_layer_of_each_resolution():
    network = built(objective())

    assert network.layers == ("body.3", "body.4")
    outputs = network.eval().outputs(id_images(5)[0])
    assert outputs["exits"].shape == (5, 3, 3)
    assert outputs["exits"][:, -1].equal(outputs["logits"])
    assert outputs["logits"].equal(network.backbone(id_images(5)[0]))


def test_exits_are_evenly_spread_where_there_are_more_layers():
    assert exits.evenly(list("abcdef"), 3) == ("b", "d", "f")
    assert exits.evenly(list("ab"), 4) == ("a", "b")
    assert exits.evenly(list("abc"), 1) == ("c",)


def test_layers_that_work_in_place_do_not_disturb_the_exits():
    class InPlace(nn.Module):
        def __init__(self, shape, n_outputs):
            super().__init__()
            self.conv, self.relu = nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(inplace=True)
            self.pool, self.head = nn.Sequential(nn.MaxPool2d(8), nn.Flatten()), nn.Linear(4, n_outputs)

        def features(self, images):
            out = self.conv(images)
            self.seen = out.clone()
            return self.pool(self.relu(out))

    network = objective().build(InPlace, SHAPE, 3, 3)
    images, labels = id_images(6)

    exits.exits_loss(network(images)["exits"], labels).backward()

    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())


def test_all_exits_learn_the_classes():
    network = trained(objective(), steps=60)
    images, labels = id_images(30, seed=7)

    classes = network.outputs(images)["exits"].argmax(2)

    assert (classes == labels[:, None]).float().mean(dim=0).tolist() == pytest.approx([1.0] * 3, abs=0.1)


def test_network_without_convolutions_is_refused():
    class Flat(nn.Module):
        def __init__(self, shape, n_outputs):
            super().__init__()
            self.flatten, self.head = nn.Flatten(), nn.Linear(math.prod(shape), n_outputs)

        def features(self, images):
            return self.flatten(images)

    with pytest.raises(ConfigError, match="8×8"):
        objective().build(Flat, SHAPE, 3, 3)


def test_images_of_one_pixel_have_no_exits():
    class Pointwise(nn.Module):
        def __init__(self, shape, n_outputs):
            super().__init__()
            self.conv, self.flatten, self.head = nn.Conv2d(1, 4, 1), nn.Flatten(), nn.Linear(4, n_outputs)

        def features(self, images):
            return self.flatten(self.conv(images))

    with pytest.raises(ConfigError, match="larger images"):
        objective().build(Pointwise, (1, 1, 1), 3, 3)


@pytest.mark.parametrize("settings", [{"exits": 1}, {"sized_images": 0}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        registry.method("mood")(**settings)
