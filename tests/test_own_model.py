"""A classifier that somebody else trained: built, loaded, looked into, and left as it was."""

from __future__ import annotations

import copy
import pickle
import sys

import numpy as np
import pytest
import torch
from torch import nn

from oodbench.errors import ConfigError
from oodbench.given.building import load_model
from oodbench.given.model import GivenModel, normalisation
from oodbench.images import ImageSet
from oodbench.plugins import registry

from .fitting import batch_of_images
from .networks_of_ones_own import Net, WithAuxiliary, WithTemperature

FILE = """
from torch import nn

class Net(nn.Module):
    def __init__(self, n_classes=3):
        super().__init__()
        self.body = nn.Linear(3 * 8 * 8, 4)
        self.head = nn.Linear(4, n_classes)

    def forward(self, images):
        return self.head(self.body(images.flatten(1)).relu())

def build(n_classes=3):
    return Net(n_classes)

def broken():
    raise RuntimeError("no such checkpoint\\nsecond line")

number = 5
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A file with a model, and what it puts among the modules put away again."""
    monkeypatch.setitem(sys.modules, "net_of_mine", None)
    path = tmp_path / "net_of_mine.py"
    path.write_text(FILE)
    return path


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Net()


def images(count=4, size=8):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def test_a_file_gives_a_model_that_can_be_pickled(file):
    model = load_model(f"{file}:build", None)

    assert pickle.loads(pickle.dumps(model)).head.out_features == 3


def test_a_file_does_not_take_the_name_of_an_installed_module(tmp_path, monkeypatch):
    import json

    monkeypatch.setitem(sys.modules, "json", json)
    (tmp_path / "json.py").write_text(FILE)
    load_model(f"{tmp_path / 'json.py'}:build", None)

    assert sys.modules["json"] is json


def test_a_function_is_given_arguments(file):
    assert load_model(f"{file}:build(n_classes=5)", None).head.out_features == 5


def test_a_module_of_a_package_gives_a_model():
    model = load_model("torchvision.models:resnet18(num_classes=4)", None)

    assert model.fc.out_features == 4


def test_a_module_of_the_working_folder_gives_a_model(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    (tmp_path / "in_the_working_folder.py").write_text(FILE)
    try:
        assert load_model("in_the_working_folder:build", None).head.out_features == 3
    finally:
        sys.modules.pop("in_the_working_folder", None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("net_of_mine.py", "--model must be MODULE:FUNCTION or FILE.py:FUNCTION"),
        ("nowhere.py:build", "there is no file nowhere.py"),
        ("no_such_module_here:build", "cannot be built: ModuleNotFoundError: No module named 'no_such_module_here'"),
        ("net_of_mine.py:make", "cannot be built: AttributeError"),
        ("net_of_mine.py:number", "cannot be built: TypeError: 'int' object is not callable"),
        ("net_of_mine.py:broken", "cannot be built: RuntimeError: no such checkpoint"),
        ("net_of_mine.py:build(5)", "arguments must be NAME=VALUE, such as num_classes=10"),
        ("net_of_mine.py:build(n_classes=open)", "arguments must be NAME=VALUE"),
        ("builtins:dict", "gives a dict, not a torch.nn.Module"),
    ],
)
def test_a_model_that_cannot_be_built_is_one_sentence(file, text, said):
    with pytest.raises(ConfigError) as caught:
        load_model(text, None)

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state},
        lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
        lambda state: {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}},
    ],
    ids=["plain", "state_dict", "model", "DataParallel", "state_dict of DataParallel"],
)
def test_weights_are_found_as_they_are_usually_saved(file, tmp_path, wrap):
    trained = load_model(f"{file}:build", None)
    torch.save(wrap(trained.state_dict()), tmp_path / "w.pt")

    loaded = load_model(f"{file}:build", tmp_path / "w.pt")
    assert all(torch.equal(one, other) for one, other in zip(loaded.parameters(), trained.parameters(), strict=True))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"head.weight": torch.zeros(3, 4)}, "are not those of Net: they lack body.bias, body.weight, head.bias"),
        ({**Net().state_dict(), "tail.weight": torch.zeros(1)}, "are not those of Net: they have tail.weight"),
        ({**Net().state_dict(), "head.bias": torch.zeros(7)}, "are not those of Net: size mismatch for head.bias"),
        ([1, 2], "holds a list, not a state_dict"),
        (Net(), "cannot be read"),
    ],
    ids=["lacking", "too many", "other sizes", "no mapping", "whole model"],
)
def test_weights_that_do_not_fit_are_one_sentence(file, tmp_path, content, said):
    torch.save(content, tmp_path / "w.pt")

    with pytest.raises(ConfigError) as caught:
        load_model(f"{file}:build", tmp_path / "w.pt")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_there_or_damaged_are_named(file, tmp_path):
    with pytest.raises(ConfigError, match=r"there is no file .*w\.pt"):
        load_model(f"{file}:build", tmp_path / "w.pt")
    (tmp_path / "w.pt").write_bytes(b"no weights")
    with pytest.raises(ConfigError, match=r"--weights .*w\.pt cannot be read .*; save the weights alone"):
        load_model(f"{file}:build", tmp_path / "w.pt")


def test_features_are_the_input_of_the_last_linear_layer_of_a_torchvision_model():
    from torchvision.models import resnet18

    torch.manual_seed(0)
    model = resnet18(num_classes=3).eval()
    own = GivenModel.of(model, normalise="imagenet")
    assert own.check((3, 32, 32)) == 3

    classifier = own.classifier_on((3, 32, 32))
    pictures = images(2, 32)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in normalisation("imagenet"))
    with torch.no_grad():
        logits = model((pictures - mean) / std)
        torch.testing.assert_close(classifier(pictures), logits)
        features = classifier.features(pictures)
        assert features.shape == (2, 512)
        torch.testing.assert_close(model.fc(features), logits)
        torch.testing.assert_close(classifier.head(features), logits)


def test_a_model_is_left_as_it_was(model):
    model.train()
    before = copy.deepcopy(model.state_dict())
    own = GivenModel.of(model, normalise="0.5/0.5")
    own.check((3, 8, 8))
    own.classifier_on((3, 8, 8)).features(images())

    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert not any(module._forward_pre_hooks for module in own.classifier.modules())
    assert not own.classifier.training
    assert not any(parameter.requires_grad for parameter in own.classifier.parameters())


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float64])
def test_a_model_of_another_precision_is_scored_in_float32(model, precision):
    own = GivenModel.of(model.to(precision), normalise="none")

    assert own.check((3, 8, 8)) == 3
    assert own.classifier(images()).dtype == torch.float32
    assert next(model.parameters()).dtype == precision


def test_a_layer_can_be_named():
    model = WithAuxiliary()
    own = GivenModel.of(model, normalise="none", features="head")

    assert own.check((3, 8, 8)) == 3
    torch.testing.assert_close(own.classifier_on((3, 8, 8)).features(images()), model.body(images().flatten(1)).relu())


@pytest.mark.parametrize(
    ("model", "options", "shape", "said"),
    [
        (Net(), {}, (3, 9, 9), "the model Net cannot take images of 3×9×9 ("),
        (Net(), {"normalise": "imagenet"}, (1, 8, 8), "the normalisation has 3 channels, and the images have 1"),
        (WithAuxiliary(), {"features": "auxiliary"}, (3, 8, 8), "not the output of its layer 'auxiliary'; name the"),
        (WithTemperature(), {"features": "head"}, (3, 8, 8), "are not the output of its layer 'head'; leave features"),
        (
            Net(),
            {"features": "body"},
            (3, 8, 8),
            "not the output of its layer 'body'; name the layer that gives them, one of: head",
        ),
        (nn.Sequential(Net(), nn.Softmax(1)), {}, (3, 8, 8), "changes the output of its layer '0.head' (a softmax"),
        (nn.Sequential(Net(), nn.LogSoftmax(1)), {}, (3, 8, 8), "(a log-softmax at the end); let it return logits"),
        (nn.Sequential(nn.Flatten()), {"features": "0.fc"}, (3, 8, 8), "no layer '0.fc'; it has no linear layers"),
        (nn.Conv2d(3, 3, 1), {"features": ""}, (3, 8, 8), "the model has no layer ''"),
        (nn.Sequential(nn.Linear(8, 8)), {}, (3, 8, 8), "must return logits of shape (n, n_classes), got a tensor of"),
    ],
)
def test_a_model_that_does_not_fit_is_one_sentence(model, options, shape, said):
    with pytest.raises(ConfigError) as caught:
        GivenModel.of(model, **{"normalise": "none", **options}).check(shape)

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_layer_that_is_not_there_is_named_with_those_that_are(model):
    with pytest.raises(ConfigError, match=r"no layer 'fc'; its linear layers are: body, head"):
        GivenModel.of(model, normalise="none", features="fc")


@pytest.mark.parametrize(
    "text", ["", "imagenette", "0.5", "0.5/0", "0.5,0.5/0.5,0.5", "0.5/0.5,0.5,0.5", "a/b", "1/2/3"]
)
def test_a_normalisation_that_cannot_be_read_is_an_error(text):
    with pytest.raises(ConfigError, match="the normalisation must be none, imagenet or MEAN/STD"):
        normalisation(text)


@pytest.mark.parametrize(
    "pair",
    [(0.5,), 0.5, None, ("a", "b"), ((0.5, 0.5), (0.2, 0.2)), (0.5, float("nan")), (0.5, 0.2, 0.1), [[0.5], [[1]]]],
)
def test_a_pair_that_is_no_normalisation_is_an_error(pair):
    with pytest.raises(ConfigError, match="the normalisation must be none, imagenet or MEAN/STD"):
        normalisation(pair)


@pytest.mark.parametrize("given", ["125/60", "123.7,116.3,103.5/58.4,57.1,57.4", (127.5, 127.5)])
def test_a_normalisation_of_bytes_is_refused(given):
    with pytest.raises(ConfigError, match="these look like values from 0 to 255; divide by 255"):
        normalisation(given)


@pytest.mark.parametrize("given", ["-0.1/0.5", "nan/0.5"])
def test_a_mean_that_no_images_have_is_refused(given):
    with pytest.raises(ConfigError, match=r"for images in \[0, 1\], and so is its mean"):
        normalisation(given)


def test_a_normalisation_may_be_a_pair():
    assert normalisation(((0.5, 0.4, 0.3), (0.2, 0.2, 0.1))) == normalisation("0.5,0.4,0.3/0.2,0.2,0.1")
    assert normalisation((0.5, 0.25)) == normalisation(np.array([0.5, 0.25])) == ((0.5,), (0.25,))


def test_facts_of_a_model_are_words_however_its_normalisation_was_given():
    given = GivenModel.of(Net(), normalise=(np.array([0.5]), torch.tensor([0.25])))
    assert given.facts["normalise"] == "0.5/0.25"


def test_one_number_normalises_grey_and_colour():
    assert normalisation("0.5/0.25") == ((0.5,), (0.25,))
    assert normalisation("none") == ((0.0,), (1.0,))


def test_a_digest_tells_models_apart(model):
    def digest(changed, **options):
        return GivenModel.of(changed, **{"normalise": "none", **options}).digest

    other_weights, other_attribute = copy.deepcopy(model), copy.deepcopy(model)
    with torch.no_grad():
        other_weights.head.bias[0] += 1e-6
    other_attribute.slope = 0.5
    digests = [
        digest(model),
        digest(other_weights),
        digest(other_attribute),
        digest(model, normalise="imagenet"),
        digest(model, features="body"),
    ]
    assert len(set(digests)) == 5
    assert digest(copy.deepcopy(model).eval()) == digest(model.train())


def test_odin_steps_in_pixels_from_0_to_1():
    class Inside(nn.Module):
        """The same model with its normalisation written out."""

        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, pictures):
            return self.model((pictures - 0.4) / 0.2)

    torch.manual_seed(0)
    model = Net().eval()
    pixels = (images(6) * 255).to(torch.uint8).numpy()
    own = GivenModel.of(model, normalise="0.4/0.2")
    module = own.on(torch.device("cpu"), (3, 8, 8)).module
    odin = registry.method("odin")(epsilon=0.01, temperature=2.0)
    batch = batch_of_images(module, pixels)
    scores = odin.fit(_only_a_network(module)).score(batch)

    inside = Inside(model)
    start = (torch.tensor(pixels).float() / 255).requires_grad_()
    confidence = (inside(start) / 2.0).log_softmax(dim=1).amax(dim=1)
    (gradient,) = torch.autograd.grad(confidence.sum(), start)
    with torch.no_grad():
        expected = (inside(start + 0.01 * gradient.sign()) / 2.0).softmax(dim=1).amax(dim=1)
    torch.testing.assert_close(scores.float(), expected)
    # A step that normalisation would stretch, or none at all, gives something else.
    assert not torch.allclose(scores.float(), confidence.detach().exp(), atol=1e-3)


def _only_a_network(module):
    from .fitting import fit_inputs

    return fit_inputs(None, network=module)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (torch.tensor(1.0), torch.tensor(-30.0)),
        ((1.0,), (2.0,)),
        ([1.0], [2.0]),
        ({"a": 1.0}, {"a": 2.0}),
        (nn.functional.relu, nn.functional.gelu),
        (torch.sin, torch.neg),
        (lambda x: x, lambda x: -x),
    ],
    ids=["tensor", "tuple", "list", "mapping", "function", "builtin", "lambda"],
)
def test_a_digest_depends_on_attributes_of_any_kind(model, one, other):
    def digest(value):
        changed = copy.deepcopy(model)
        changed.body.scale = value
        return GivenModel.of(changed, normalise="none").digest

    assert digest(one) == digest(one)
    assert digest(one) != digest(other)


def test_a_digest_depends_on_buffers_that_are_not_saved(model):
    def digest(value):
        changed = copy.deepcopy(model)
        changed.body.register_buffer("scale", torch.tensor(value), persistent=False)
        return GivenModel.of(changed, normalise="none").digest

    assert digest(1.0) == digest(1.0)
    assert digest(1.0) != digest(2.0)


class Scaled(nn.Module):
    """Keeps a number that is no constant of its code once it is scripted."""

    def __init__(self, k: float):
        super().__init__()
        self.k = k

    def forward(self, x: torch.Tensor):
        return x * self.k


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning")
def test_a_digest_depends_on_what_a_scripted_part_holds(model):
    def digest(k):
        changed = copy.deepcopy(model)
        changed.part = torch.jit.script(Scaled(k))
        return GivenModel.of(changed, normalise="none").digest

    assert digest(0.1) == digest(0.1)
    assert digest(0.1) != digest(0.2)


def numbered(*names):
    """Return two images of each class, in the order of the names, as a folder gives them."""
    return ImageSet(
        name="photos",
        images=np.zeros((2 * len(names), 3, 8, 8), np.uint8),
        labels=np.repeat(np.arange(len(names)), 2),
        class_names=names,
    )


@pytest.mark.parametrize("names", [tuple(sorted(map(str, range(12)))), ("10", "11", "3", "4"), ("00", "11")])
def test_class_folders_that_are_numbers_say_which_output_they_are(names):
    model = Net(12)
    own = GivenModel.of(model, normalise="none", class_names=[f"name{i}" for i in range(12)])

    ordered = own.ordered(numbered(*names))
    assert ordered.class_names == own.class_names
    assert ordered.labels.tolist() == [int(name) for name in names for _ in range(2)]


def test_a_class_folder_whose_number_the_model_does_not_have_is_refused(model):
    own = GivenModel.of(model, normalise="none", class_names=("a", "b", "c"))

    with pytest.raises(ConfigError, match="photos has the class 3, and 3 class names are given, for 0 to 2; name all"):
        own.ordered(numbered("0", "3"))
