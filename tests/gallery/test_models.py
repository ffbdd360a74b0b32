"""Classifiers as people have them, and what must happen to each."""

from __future__ import annotations

import copy
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import oodbench
from oodbench.errors import ConfigError
from oodbench.given.model import GivenModel
from tests.networks_of_ones_own import Net, WithAuxiliary, WithTemperature

SHAPE = (3, 8, 8)
BOTH = {"features", "gradients"}
LOGITS = {"gradients"}

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit.*"),
    pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Lazy modules:UserWarning"),
]


def of(function, model=None):
    """Return a network whose forward is a function of the network of its own and the images."""

    class Made(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = Net() if model is None else model

        def forward(self, images):
            return function(self.net, images)

    return Made()


def holding(**attributes):
    model = Net()
    for name, value in attributes.items():
        setattr(model, name, value)
    return model


def with_body(body):
    """Return a network with other layers before its last one."""
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


def with_activations():
    model = Net()
    model.seen = {"last": [model.body(torch.zeros(1, 192))]}
    return model


def with_weight_norm(function):
    model = Net()
    function(model.body)
    return model


def ran(model):
    """Return a model that has been trained a step: its weights are computed anew each time."""
    model(torch.rand(2, *SHAPE)).sum().backward()
    return model


def with_nan():
    model = Net()
    with torch.no_grad():
        model.body.weight[1, 1] = float("nan")
    return model


class Cosine(nn.Module):
    """Its logits are cosines."""

    def __init__(self):
        super().__init__()
        self.net, self.classes = nn.Flatten(), nn.Parameter(torch.rand(3, 192))

    def forward(self, images):
        rows, classes = (nn.functional.normalize(each, dim=1) for each in (self.net(images), self.classes))
        return 10 * rows @ classes.T


class Squeezed(nn.Module):
    """Loses the row of a single image."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 4, 8), nn.Linear(4, 3)

    def forward(self, images):
        return self.head(self.body(images).squeeze())


class Fails(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.fc, self.error = nn.Linear(4, 3), error

    def forward(self, images):
        raise self.error


class Blind(Net):
    @torch.no_grad()
    def forward(self, images):
        return super().forward(images)


class Output(OrderedDict):
    """As Hugging Face's: a mapping whose entries are attributes as well."""

    def __getattr__(self, name):
        return self[name]


def normalising(net, images):
    """Normalise each image by its own values: black ones are 0/0."""
    flat = images.flatten(1)
    mean, std = flat.mean(dim=1), flat.std(dim=1)
    return net((images - mean[:, None, None, None]) / std[:, None, None, None])


def exported(*, dynamic=True):
    sizes = ({0: torch.export.Dim("n", min=1)},) if dynamic else None
    return torch.export.export(Net().eval(), (torch.rand(2, *SHAPE),), dynamic_shapes=sizes)


@dataclass(frozen=True, kw_only=True)
class Model:
    """A classifier.

    Attributes:
        name: what it is.
        build: makes it.
        offers: what methods may ask of it; None where it is refused.
        layer: that its features go into.
        said: words that it is refused with.
        features: the layer that is named, if any.
        same: a model with the same logits, made of it; None where that is itself.
    """

    name: str
    build: Callable[[], Any]
    offers: set[str] | None = None
    layer: str = ""
    said: str = ""
    features: str | None = None
    same: Callable[[Any], Any] | None = None


FINE = [
    Model(name="plain", build=Net, offers=BOTH, layer="head"),
    Model(name="auxiliary head", build=WithAuxiliary, offers=BOTH, layer="head"),
    Model(name="temperature", build=WithTemperature, offers=LOGITS),
    Model(name="cosine head", build=Cosine, offers=LOGITS),
    Model(name="no layers", build=lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), offers=LOGITS),
    Model(name="1x1 convolution, then the mean", offers=BOTH, layer="1",
          build=lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())),
    Model(name="the mean, then 1x1 convolution", offers=BOTH, layer="2",
          build=lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 3, 1))),
    Model(name="1x1 convolution as in SqueezeNet", offers=LOGITS,
          build=lambda: nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())),
    Model(name="sequential as last layer", features="1", offers=BOTH, layer="1.2",
          build=lambda: nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(192, 4), nn.ReLU(), nn.Linear(4, 3)))),
    Model(name="mapping", build=lambda: of(lambda net, x: {"loss": None, "logits": net(x)}), offers=BOTH,
          layer="net.head", same=lambda model: model.net),
    Model(name="mapping without names that are known", build=lambda: of(lambda net, x: {"out": net(x), "aux": x}),
          offers=BOTH, layer="net.head", same=lambda model: model.net),
    Model(name="Hugging Face", build=lambda: of(lambda net, x: Output(loss=None, logits=net(x), hidden_states=(x,))),
          offers=BOTH, layer="net.head", same=lambda model: model.net),
    Model(name="object", build=lambda: of(lambda net, x: SimpleNamespace(logits=net(x))), offers=BOTH,
          layer="net.head", same=lambda model: model.net),
    Model(name="tuple", build=lambda: of(lambda net, x: (net(x), x)), offers=BOTH, layer="net.head",
          same=lambda model: model.net),
    Model(name="half precision inside", build=lambda: of(lambda net, x: net(x).bfloat16()), offers=LOGITS),
    Model(name="normalises each image", build=lambda: of(normalising), offers=BOTH, layer="net.head"),
    Model(name="squeezes", build=Squeezed, offers=BOTH, layer="head"),
    Model(name="no_grad", build=Blind, offers={"features"}, layer="head"),
    Model(name="weight_norm", build=lambda: ran(with_weight_norm(nn.utils.weight_norm)), offers=BOTH, layer="head"),
    Model(name="weight_norm of today", build=lambda: ran(with_weight_norm(nn.utils.parametrizations.weight_norm)),
          offers=BOTH, layer="head"),
    Model(name="spectral_norm", build=lambda: ran(with_weight_norm(nn.utils.spectral_norm)).eval(), offers=BOTH,
          layer="head"),
    Model(name="lock", build=lambda: holding(lock=threading.Lock()), offers=BOTH, layer="head"),
    Model(name="lock below", build=lambda: holding(kept={"a": [threading.Lock()]}), offers=BOTH, layer="head"),
    Model(name="open file", build=lambda: holding(log=sys.__stderr__), offers=BOTH, layer="head"),
    Model(name="generator", build=lambda: holding(steps=(i for i in range(3))), offers=BOTH, layer="head"),
    Model(name="stored activations", build=with_activations, offers=BOTH, layer="head"),
    Model(name="data parallel", build=lambda: nn.DataParallel(Net()), offers=BOTH, layer="head"),
    Model(name="compiled", build=lambda: torch.compile(Net()), offers=BOTH, layer="head",
          same=lambda model: model._orig_mod),
    Model(name="part compiled", build=lambda: of(lambda net, x: net(x), torch.compile(Net())), offers=BOTH,
          layer="net.head", same=lambda model: model.net._orig_mod),
    Model(name="traced", build=lambda: torch.jit.trace(Net().eval(), torch.rand(2, *SHAPE)), offers=LOGITS),
    Model(name="scripted", build=lambda: torch.jit.script(with_body(nn.Conv2d(3, 4, 3))), offers=LOGITS),
    Model(name="part scripted", build=lambda: with_body(torch.jit.script(nn.Conv2d(3, 4, 3))), offers=BOTH, layer="3"),
    Model(name="exported", build=exported, offers=LOGITS, same=lambda program: program.module()),
    Model(name="with dropout", build=lambda: nn.Sequential(Net(), nn.Dropout()), offers=BOTH, layer="0.head"),
]  # fmt: skip

REFUSED = [
    Model(name="softmax", build=lambda: nn.Sequential(Net(), nn.Softmax(1)),
          said="changes the output of its layer '0.head' (a softmax at the end); let it return logits"),
    Model(name="log-softmax", build=lambda: nn.Sequential(Net(), nn.LogSoftmax(1)), said="(a log-softmax at the end)"),
    Model(name="sigmoid", build=lambda: nn.Sequential(Net(), nn.Sigmoid()), said="(a sigmoid at the end)"),
    Model(name="softmax over cosines", build=lambda: nn.Sequential(Cosine(), nn.Softmax(1)),
          said="returns probabilities (a softmax at the end?)"),
    Model(name="scripted softmax", build=lambda: torch.jit.script(nn.Sequential(with_body(nn.Conv2d(3, 4, 3)),
          nn.Softmax(1))), said="returns probabilities (a softmax at the end?)"),
    Model(name="dropout left on", build=lambda: of(lambda net, x: net(nn.functional.dropout(x))),
          said="gives other logits each time for the same images, as with dropout that is left on"),
    Model(name="NaN weights", build=with_nan, said="the weights of Net hold NaN (body.weight); load others"),
    Model(name="NaN outputs", build=lambda: of(lambda net, x: net(x) / 0), said="gives NaN or infinity for images of"),
    Model(name="batch normalisation without statistics", said="depend on the other images of its batch (the batch",
          build=lambda: with_body(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)))),
    Model(name="whitens its batch", build=lambda: of(lambda net, x: net(x - x.mean(dim=0))),
          said="depend on the other images of its batch, so its scores would depend on their order"),
    Model(name="lazy", build=lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(3)),
          said="the weights of Sequential are not there yet (1.weight of a lazy layer); run the model on an image"),
    Model(name="meta", build=lambda: Net().to("meta"), said="hold no numbers (body.weight is on the device 'meta')"),
    Model(name="KeyError", build=lambda: Fails(KeyError("pixel_values")), said="(KeyError: 'pixel_values'); it must"),
    Model(name="TypeError", build=lambda: of(lambda net, x: net(x, x)), said="(TypeError: "),
    Model(name="exit", build=lambda: Fails(SystemExit(3)), said="(SystemExit: 3)"),
    Model(name="two lines", build=lambda: Fails(RuntimeError("one\ntwo")), said="images of 3×8×8 (one); give the size"),
    Model(name="no tensor", build=lambda: of(lambda net, x: {"out": "cat"}), said="it returns a dict without a tensor"),
    Model(name="nothing", build=lambda: of(lambda net, x: None), said="it returns a NoneType without a tensor"),
    Model(name="maps", build=lambda: nn.Conv2d(3, 4, 3), said="must return logits of shape (n, n_classes), got"),
    Model(name="one output", build=lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 1)), said="has one output"),
    Model(name="exported for two images", build=lambda: exported(dynamic=False), said="cannot take images of 3×8×8"),
    Model(name="wrong layer", build=Net, features="body",
          said="are not the output of its layer 'body'; name the layer that gives them, one of: head"),
    Model(name="softmax and a layer", build=WithTemperature, features="head", said="'head'; leave features out"),
    Model(name="no model", build=dict, said="the model must be a torch.nn.Module, got dict"),
]  # fmt: skip

ids = {"ids": lambda each: each.name}


def given(model, **options):
    torch.manual_seed(0)
    return GivenModel.of(model.build(), normalise="none", features=model.features, **options)


@pytest.mark.parametrize("model", FINE, **ids)
def test_a_model_is_scored_by_its_own_logits(model):
    torch.manual_seed(0)
    built = model.build()
    own = GivenModel.of(built, normalise="none", features=model.features)

    assert own.offers(SHAPE) == model.offers
    assert own.facts_on(SHAPE)["features"] == model.layer
    images = torch.rand(5, *SHAPE)
    outputs = own.on(torch.device("cpu"), SHAPE).module.outputs(images)
    if model.same is not None or isinstance(built, nn.Module):
        reference = built if model.same is None else model.same(built)
        # Exported programs know no modes.
        reference = reference.eval() if model.name != "exported" else reference
        with torch.no_grad():
            expected = reference(images)
        torch.testing.assert_close(outputs["logits"], expected.flatten(1).float())
    if "features" in model.offers:
        head = own.classifier_on(SHAPE).head(outputs["features"])
        torch.testing.assert_close(head, outputs["logits"])
        assert own.classifier_on(SHAPE).features(images[:1]).shape == outputs["features"][:1].shape
    assert own.classifier_on(SHAPE)(images[:1]).shape == (1, 3)


@pytest.mark.parametrize("model", REFUSED, **ids)
def test_a_model_that_cannot_be_scored_is_one_sentence(model):
    with pytest.raises(ConfigError) as caught:
        given(model).check(SHAPE)

    said = str(caught.value)
    assert model.said in said
    assert "\n" not in said


@pytest.mark.parametrize("model", [each for each in FINE if each.name != "traced"], **ids)
def test_the_same_model_has_the_same_digest(model):
    one, other = given(model), given(model)

    assert one.digest == other.digest


def test_logit_methods_need_no_layer_and_others_say_so():
    images = np.random.default_rng(0).integers(0, 256, (30, *SHAPE), dtype=np.uint8)
    labelled = (images, np.arange(30) % 3)
    train = (255 - images, labelled[1])
    options = {"methods": ["msp", "energy", "odin(epsilon=0.001)"], "normalise": "none", "id_train": train}
    frame = oodbench.evaluate(Cosine(), labelled, images // 2, **options)

    assert list(frame["method"]) == ["msp", "energy", "odin"]
    with pytest.raises(ConfigError, match="^knn needs features with a linear layer above them that gives the logits"):
        oodbench.evaluate(Cosine(), labelled, images // 2, **{**options, "methods": "knn"})
    with pytest.raises(ConfigError, match="^odin needs gradients with respect to the images, and the model that is"):
        oodbench.evaluate(Blind(), labelled, images // 2, **options)


def test_classes_of_another_number_mention_class_names():
    images = np.arange(4 * 192, dtype=np.uint8).reshape(4, *SHAPE)
    test = oodbench.ImageSet(name="pets", images=images, labels=np.array([0, 0, 1, 1]), class_names=("cat", "dog"))
    with pytest.raises(ConfigError, match=r"has 2 \(cat, dog\).*: --class-names \(in Python: class_names=\)"):
        oodbench.evaluate(Net(), test, images + 7, normalise="none")


@pytest.mark.parametrize("name", ["weight_norm", "weight_norm of today", "spectral_norm", "traced", "scripted"])
def test_what_pytorch_does_not_pickle_goes_into_a_detector(name, tmp_path):
    module = given(next(each for each in FINE if each.name == name)).on(torch.device("cpu"), SHAPE).module
    torch.save(module, tmp_path / "module.pt")

    images = torch.rand(2, *SHAPE)
    again = torch.load(tmp_path / "module.pt", weights_only=False)
    torch.testing.assert_close(again.outputs(images), module.outputs(images))


def test_code_of_installed_packages_is_not_read(monkeypatch):
    from torchvision.models import mobilenet_v3_small

    from oodbench.hashing.installed import versions_of

    read, original = [], Path.read_text
    monkeypatch.setattr(
        Path, "read_text", lambda self, *given, **named: read.append(self) or original(self, *given, **named)
    )
    first = GivenModel.of(mobilenet_v3_small(num_classes=3), normalise="none").digest
    assert not [file for file in read if "site-packages" in file.parts and "torchvision" in file.parts]

    versions = versions_of(["torchvision.models.resnet", "torch.nn", "json", "tests.gallery"])
    assert list(versions) == ["torchvision"]
    monkeypatch.setattr("oodbench.given.model.versions_of", lambda _: {"torchvision": "0.0"})
    torch.manual_seed(0)
    old = GivenModel.of(mobilenet_v3_small(num_classes=3), normalise="none").digest
    monkeypatch.undo()
    torch.manual_seed(0)
    assert old != GivenModel.of(mobilenet_v3_small(num_classes=3), normalise="none").digest != first


def test_models_are_left_as_they_were():
    for model in (with_activations(), ran(with_weight_norm(nn.utils.weight_norm)), torch.compile(Net())):
        before = copy.deepcopy(model.state_dict())
        GivenModel.of(model, normalise="none").check(SHAPE)
        assert model.training
        assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
