"""Models and image processors that the package of Hugging Face makes, from folders as its hub has them."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from PIL import Image

import oodbench
from oodbench.errors import ConfigError
from oodbench.given.building import build_model
from oodbench.given.preprocessing import preprocessing

transformers = pytest.importorskip("transformers", reason="transformers is not installed: pip install oodbench[models]")
logging.getLogger("transformers").setLevel(logging.ERROR)

CLASSES = {0: "cat", 1: "cow", 2: "dog"}
SMALL = {"shortest_edge": 32}
CUT = {"height": 32, "width": 32}


@pytest.fixture(scope="module")
def photos():
    """Return smooth photos of several shapes, each remainder by 4 of their longer sides among them."""
    rng = np.random.default_rng(0)
    sides = [(90, 61), (64, 100), (61, 61), (40, 41), (40, 42), (43, 40), (40, 44)]
    return [
        Image.fromarray(rng.integers(0, 256, (8, 10, 3), dtype=np.uint8)).resize(side, Image.Resampling.BICUBIC)
        for side in sides
    ]


def processors():
    """Return an image processor of each way of preparing images that there is, with small images."""
    larger = {"size": {"shortest_edge": 40}, "crop_size": CUT}
    made = {
        "ViT": {"size": CUT},
        "DeiT": {"size": {"height": 40, "width": 40}, "crop_size": CUT},
        "ConvNext": {"size": SMALL, "crop_pct": 0.875},
        "Bit": larger,
        "CLIP": {"size": SMALL, "crop_size": CUT},
        "EfficientNet": {"size": CUT, "rescale_factor": 1 / 127.5, "rescale_offset": True},
        "Levit": {"size": SMALL, "crop_size": CUT},
        "MobileNetV2": larger,
        "MobileViT": larger,
        "Perceiver": {"size": CUT, "crop_size": {"height": 40, "width": 40}},
        "PoolFormer": {"size": SMALL, "crop_pct": 0.9, "crop_size": CUT},
    }
    return {name: getattr(transformers, f"{name}ImageProcessor")(**settings) for name, settings in made.items()}


@pytest.mark.parametrize(("name", "processor"), processors().items())
def test_auto_does_what_the_processor_does(name, processor, photos):
    known = preprocessing("auto", torch.nn.Linear(1, 1), processor)
    mean, std = (np.array(each)[:, None, None] for each in known.normalise)
    for photo in photos:
        expected = processor(images=photo, return_tensors="pt")["pixel_values"][0].numpy()
        pixels = np.asarray(known.conversion.resized(photo)).transpose(2, 0, 1)

        apart = np.abs((pixels / 255 - mean) / std - expected) * std * 255
        # Words are within a grey level, the processor itself within half of one.
        assert apart.max() < (1.01 if known.conversion.in_words.startswith("resize") else 0.51), known.conversion


def test_words_are_kept_where_they_say_the_same():
    found = {name: preprocessing("auto", torch.nn.Linear(1, 1), each) for name, each in processors().items()}

    assert found["ViT"].in_words == "resize=32x32,crop=32x32,interpolation=bilinear"
    assert found["DeiT"].in_words == "resize=40x40,crop=32x32,interpolation=bicubic"
    # Channels from blue to red, a length that is not that of the shorter side, a cut that is rounded down.
    for name in ("MobileViT", "Levit", "Bit"):
        assert found[name].in_words.startswith(f"{name}ImageProcessor ("), name


@pytest.fixture
def saved(tmp_path):
    """Return the folder of a model with its processor, as the hub has it."""
    torch.manual_seed(0)
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 8, 8], depths=[1] * 4, layer_type="basic", id2label=CLASSES
    )
    transformers.ResNetForImageClassification(config).eval().save_pretrained(tmp_path / "model")
    processors()["MobileViT"].save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_model_of_the_hub_is_evaluated_as_it_was_made(saved, photos, tmp_path):
    for i, photo in enumerate(photos * 2):
        folder = tmp_path / "photos" / CLASSES[i % 3]
        folder.mkdir(parents=True, exist_ok=True)
        photo.save(folder / f"{i}.png")
    built = build_model(f"hf:{saved}")
    frame = oodbench.evaluate(
        built.model, tmp_path / "photos", np.zeros((9, 3, 40, 40), np.uint8), methods=["msp"], preprocess="auto",
        labels="model", save_detectors=True, results_dir=tmp_path / "results",
    )  # fmt: skip
    assert "MobileViTImageProcessor" in frame["given"][0]

    detector = oodbench.Detector.load(next((tmp_path / "results").rglob("*.detector")))
    processor = transformers.AutoImageProcessor.from_pretrained(saved)
    with torch.no_grad():
        logits = built.model(**processor(images=photos, return_tensors="pt")).logits.double()
    found = detector.detect(photos)
    assert [each.score for each in found] == pytest.approx(logits.softmax(dim=1).amax(dim=1).tolist(), abs=1e-3)
    assert [each.class_name for each in found] == [CLASSES[i] for i in logits.argmax(dim=1).tolist()]


def test_a_model_that_is_given_in_python_is_prepared_for_by_its_folder(saved):
    model = transformers.AutoModelForImageClassification.from_pretrained(saved)

    own = preprocessing("auto", model)
    assert own.in_words.startswith("MobileViTImageProcessor (")


def test_a_processor_that_gives_no_images_of_one_size_is_one_sentence():
    with pytest.raises(ConfigError, match=r"pixels for photos of two shapes; let it end in one size") as caught:
        preprocessing("auto", torch.nn.Linear(1, 1), transformers.ConvNextImageProcessor(do_resize=False))

    assert "\n" not in str(caught.value)
