"""Code that gives models, as people have it, and what must happen to it."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn

from oodbench.errors import ConfigError
from oodbench.given.building import build_model, load_model
from oodbench.given.model import GivenModel
from oodbench.given.preprocessing import preprocessing
from tests.networks_of_ones_own import Net

NET = """
from torch import nn
from {layers} import activation

class Net(nn.Module):
    def __init__(self, n_classes=3):
        super().__init__()
        self.body, self.head = nn.Linear(192, 4), nn.Linear(4, n_classes)

    def forward(self, images):
        return self.head(activation(self.body(images.flatten(1))))
"""

PARSES = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--width", type=int, default=4)
{more}
options = parser.parse_args()

from torch import nn

def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(192, options.width))
"""


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """What is imported in a test is forgotten after it."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "argv", ["oodbench", "run", "--model", "nets.py:build"])
    monkeypatch.chdir(tmp_path)
    yield
    for name in ("nets", "nets_beside", "layers_beside"):
        sys.modules.pop(name, None)


def written(place, layers="layers_beside", function="relu"):
    place.mkdir(exist_ok=True)
    (place / f"{layers}.py").write_text(f"from torch.nn.functional import {function} as activation\n")
    (place / "nets_beside.py").write_text(NET.format(layers=layers))
    return f"{place / 'nets_beside.py'}:Net"


def test_a_file_imports_what_lies_beside_it(tmp_path):
    assert load_model(written(tmp_path / "code"), None).head.out_features == 3
    # Also what is imported later, and by those who unpickle what it made.
    assert str(tmp_path / "code") == sys.path[-1]


def test_what_lies_beside_it_counts_with_its_content(tmp_path):
    def digest(place, function):
        for name in ("nets_beside", "layers_beside"):
            sys.modules.pop(name, None)
        torch.manual_seed(0)
        return GivenModel.of(load_model(written(tmp_path / place, function=function), None), normalise="none").digest

    assert digest("a", "relu") == digest("b", "relu") != digest("c", "gelu")


def test_a_file_that_parses_options_gets_none_of_ours(tmp_path):
    (tmp_path / "nets.py").write_text(PARSES.format(more=""))

    assert load_model("nets.py:build", None)[1].out_features == 4
    assert sys.argv[1] == "run"


@pytest.mark.parametrize(
    "code",
    [
        PARSES.format(more='parser.add_argument("--data", required=True)'),
        "import sys\nsys.exit(3)",
        "raise SystemExit('no')",
        "def build():\n    raise SystemExit(1)",
    ],
)
def test_a_file_that_ends_the_program_is_one_sentence(tmp_path, capsys, code):
    (tmp_path / "nets.py").write_text(code)

    with pytest.raises(ConfigError, match=r"it ends the program \(sys.exit, or parse_args .* let that happen below if"):
        load_model("nets.py:build", None)
    assert capsys.readouterr() == ("", "")


@pytest.mark.filterwarnings("ignore:.*torch.jit.*")
def test_a_file_that_holds_its_code_is_a_model(tmp_path):
    net, images = Net().eval(), torch.rand(2, 3, 8, 8)
    torch.jit.save(torch.jit.trace(net, images), tmp_path / "net.pt")
    torch.export.save(
        torch.export.export(net, (images,), dynamic_shapes=({0: torch.export.Dim("n", min=1)},)), tmp_path / "net.pt2"
    )

    for file in ("net.pt", "net.pt2"):
        model = load_model(str(tmp_path / file), None)
        own = GivenModel.of(model, normalise="none")
        assert own.check((3, 8, 8)) == 3
        torch.testing.assert_close(own.classifier(images), net(images))


def test_a_file_of_weights_is_no_model(tmp_path):
    torch.save(Net().state_dict(), tmp_path / "w.pt")

    with pytest.raises(ConfigError, match=r"is no TorchScript .*--model FILE.py:FUNCTION --weights FILE"):
        load_model(str(tmp_path / "w.pt"), None)
    with pytest.raises(ConfigError, match=r"--model: there is no file nowhere\.pt"):
        load_model("nowhere.pt", None)


def stub(monkeypatch, name, **members):
    module = ModuleType(name)
    vars(module).update(members)
    monkeypatch.setitem(sys.modules, name, module)


def test_a_model_of_timm_comes_with_its_preprocessing(monkeypatch):
    def create_model(name, *, pretrained, num_classes=3):
        model = Net(num_classes)
        model.pretrained_cfg = {
            "input_size": (3, 8, 8), "crop_pct": 0.5, "interpolation": "bicubic", "mean": (0.5,) * 3, "std": (0.5,) * 3,
        }  # fmt: skip
        model.built = (name, pretrained)
        return model

    stub(monkeypatch, "timm", create_model=create_model)
    built = build_model("timm:resnet50.a1_in1k(num_classes=5)")

    assert built.model.built == ("resnet50.a1_in1k", True)
    assert built.model.head.out_features == 5
    assert (
        preprocessing("auto", built.model, built.preprocessing).in_words == "resize=16,crop=8x8,interpolation=bicubic"
    )
    assert build_model("timm:resnet50.a1_in1k", pretrained=False).model.built == ("resnet50.a1_in1k", False)


def test_a_model_of_torchvision_comes_with_its_preprocessing():
    built = build_model("torchvision:resnet18(num_classes=5)", pretrained=False)

    assert built.model.fc.out_features == 5
    prepared = preprocessing("auto", built.model, built.preprocessing)
    assert prepared.in_words == "resize=256,crop=224x224,interpolation=bilinear"
    assert prepared.normalise == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_a_model_of_hugging_face_comes_with_its_preprocessing(monkeypatch):
    config = {"do_resize": True, "size": {"height": 8, "width": 8}, "resample": 3, "image_mean": [0.5] * 3,
              "image_std": [0.5] * 3}  # fmt: skip

    class HuggingFace(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.config = Net(), SimpleNamespace(id2label={0: "cat", 1: "cow", 2: "dog"})

        def forward(self, pixel_values):
            return {"logits": self.net(pixel_values)}

    stub(
        monkeypatch,
        "transformers",
        AutoModelForImageClassification=SimpleNamespace(from_pretrained=lambda name: HuggingFace()),
        AutoImageProcessor=SimpleNamespace(from_pretrained=lambda name: SimpleNamespace(to_dict=lambda: config)),
    )
    built = build_model("hf:org/name-224")
    own = GivenModel.of(built.model, normalise="none")

    assert own.check((3, 8, 8)) == 3
    assert (
        preprocessing("auto", built.model, built.preprocessing).in_words == "resize=8x8,crop=8x8,interpolation=bicubic"
    )


@pytest.mark.parametrize(
    ("text", "package"), [("timm:resnet50.a1_in1k", "timm"), ("hf:org/name", "transformers")], ids=["timm", "hf"]
)
def test_a_hub_whose_package_is_not_there_is_one_sentence(monkeypatch, text, package):
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(ConfigError, match=rf"needs the package {package}; install it: pip install oodbench\[models\]"):
        build_model(text)


def test_a_name_that_a_hub_does_not_have_is_one_sentence():
    with pytest.raises(ConfigError, match=r"--model torchvision:resnet19 cannot be built: ValueError: Unknown model"):
        build_model("torchvision:resnet19")
