"""How the images of a given model are prepared: as torchvision and timm do, to one grey level."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torchvision import transforms
from torchvision.models import EfficientNet_B0_Weights, ResNet18_Weights, Swin_T_Weights
from torchvision.transforms import v2

import oodbench
from oodbench.errors import ConfigError
from oodbench.given.model import GivenModel
from oodbench.given.preprocessing import preprocessing
from oodbench.hashing.values import digest
from oodbench.images import CentreCrop, Conversion, RawImages, convert

from .networks_of_ones_own import Net

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.fixture(scope="module")
def photos():
    """Two real photos, one of them upright, and one of odd sides."""
    wide, other = (Image.fromarray(image) for image in load_sample_images().images)
    return [wide, other.transpose(Image.Transpose.ROTATE_90), wide.crop((0, 0, 301, 233))]


def converted(prepared, photos):
    return convert(RawImages(images=photos), prepared.conversion, "photos").astype(int)


def grey_levels(normalised, pair):
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in pair)
    return np.rint((normalised * std + mean).numpy() * 255).astype(int)


@pytest.mark.parametrize("weights", [ResNet18_Weights.DEFAULT, EfficientNet_B0_Weights.DEFAULT, Swin_T_Weights.DEFAULT])
def test_images_are_those_of_torchvisions_weights(weights, photos):
    prepared = preprocessing(weights, Net())

    assert prepared.normalise == IMAGENET
    expected = [grey_levels(weights.transforms()(photo), IMAGENET) for photo in photos]
    assert np.abs(converted(prepared, photos) - np.stack(expected)).max() <= 1
    assert preprocessing(weights.transforms(), Net()) == prepared


@pytest.mark.parametrize(
    ("words", "transform"),
    [
        ("resize=256,crop=224,interpolation=bicubic", [transforms.Resize(256, 3), transforms.CenterCrop(224)]),
        ("resize=64,crop=48x33", [transforms.Resize(64), transforms.CenterCrop((48, 33))]),
        ("resize=50x70,crop=32,interpolation=lanczos", [transforms.Resize((50, 70), 1), transforms.CenterCrop(32)]),
        ("resize=40x41", [transforms.Resize((40, 41))]),
        ("crop=32", [transforms.Resize(32), transforms.CenterCrop(32)]),
    ],
)
def test_words_are_what_torchvision_does(words, transform, photos):
    steps = transforms.Compose([*transform, transforms.PILToTensor()])

    expected = np.stack([steps(photo).numpy() for photo in photos])
    np.testing.assert_array_equal(converted(preprocessing(words, Net()), photos), expected)
    np.testing.assert_array_equal(converted(preprocessing(steps, Net()), photos), expected)


@pytest.mark.parametrize(
    "transform",
    [
        transforms.Compose(
            [transforms.Resize(40), transforms.CenterCrop(32), transforms.ToTensor(), transforms.Normalize(*IMAGENET)]
        ),
        v2.Compose(
            [
                v2.ToImage(), v2.Resize(40), v2.CenterCrop(32), v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(*IMAGENET),
            ]
        ),
    ],
    ids=["v1", "v2"],
)  # fmt: skip
def test_a_transform_is_carried_out_and_its_normalisation_goes_into_the_model(transform, photos):
    prepared = preprocessing(transform, Net())

    assert prepared.normalise == pytest.approx(np.array(IMAGENET))
    expected = np.stack([grey_levels(transform(photo), IMAGENET) for photo in photos])
    assert np.abs(converted(prepared, photos) - expected).max() <= 1


def test_transforms_count_with_their_content():
    def content(size, twist=0):
        def turned(picture):
            return picture.rotate(twist)

        steps = [transforms.Lambda(turned), transforms.Resize((size, size)), transforms.ToTensor()]
        return digest(preprocessing(transforms.Compose(steps), Net()).conversion)

    assert content(8) == content(8)
    assert len({content(8), content(9), content(8, 90)}) == 3


def test_todays_conversions_keep_their_hash():
    assert digest(Conversion(size=(32, 32), channels=3)) == digest({"size": [32, 32], "channels": 3})
    stretched = CentreCrop(size=(32, 32), channels=3, resize=(32, 32))
    assert digest(stretched) != digest(Conversion(size=(32, 32), channels=3))


def with_config(**config):
    model = Net()
    model.pretrained_cfg = {
        "input_size": (3, 224, 224), "crop_pct": 0.95, "interpolation": "bicubic", "mean": (0.5,) * 3,
        "std": (0.25,) * 3, "crop_mode": "center", **config,
    }  # fmt: skip
    return model


def test_auto_takes_what_timm_says():
    prepared = preprocessing("auto", with_config())
    assert prepared.in_words == "resize=235,crop=224x224,interpolation=bicubic"
    assert prepared.normalise == ((0.5,) * 3, (0.25,) * 3)
    assert prepared.source == "timm's pretrained_cfg"

    squashed = preprocessing("auto", with_config(crop_mode="squash", crop_pct=1.0))
    assert squashed.in_words == "resize=224x224,crop=224x224,interpolation=bicubic"
    with pytest.raises(ConfigError, match="prepared as only timm does"):
        preprocessing("auto", with_config(crop_mode="border"))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"size": {"height": 224, "width": 224}, "resample": 2}, "resize=224x224,crop=224x224,interpolation=bilinear"),
        (
            {"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": {"height": 224, "width": 224},
             "resample": 3},
            "resize=256,crop=224x224,interpolation=bicubic",
        ),
        ({"size": {"shortest_edge": 224}, "crop_pct": 0.875, "resample": 3},
         "resize=256,crop=224x224,interpolation=bicubic"),
        ({"size": {"shortest_edge": 384}, "crop_pct": 0.875, "resample": 3},
         "resize=384x384,crop=384x384,interpolation=bicubic"),
    ],
)  # fmt: skip
def test_auto_takes_what_hugging_face_says(config, words, tmp_path):
    config = {"do_resize": True, "do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, **config}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    loaded = Net()
    loaded.config = SimpleNamespace(_name_or_path=str(tmp_path))

    for prepared in (
        preprocessing("auto", loaded),
        preprocessing("auto", Net(), SimpleNamespace(to_dict=lambda: config)),
        preprocessing(config, Net()),
    ):
        assert prepared.in_words == words
        assert prepared.normalise == ((0.5,) * 3, (0.5,) * 3)


def test_pixels_that_are_not_rescaled_are_normalised_for_their_range():
    config = {"size": {"height": 8, "width": 8}, "do_resize": True, "do_rescale": False, "image_mean": [127.5] * 3,
              "image_std": [255] * 3}  # fmt: skip

    assert preprocessing({**config, "image_mean": [0.0] * 3}, Net()).normalise == ((0.0,) * 3, (1.0,) * 3)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("resize=256", "must say what is cut out, such as crop=224"),
        ("resize=224,crop=256", "crop=256x256 is larger than the image after resize=224; cut out less"),
        ("crop=224,interpolation=cubic", "no interpolation 'cubic'. Did you mean 'bicubic'"),
        ("crop=0", "crop=0 must be a number of pixels such as 224"),
        ("crop=ten", "crop=ten must be a number of pixels such as 224"),
        ("crops=10", "got 'crops=10'. Did you mean 'crop'?"),
        ("auto", "nothing that comes with Net says how its images are prepared; say it, as in --preprocess resize="),
        (5, "preprocess must be stretch, auto, words such as"),
        (transforms.Compose([transforms.Resize(8)]), "must end in a tensor of shape (3, height, width), got a Image"),
        (
            transforms.Compose([transforms.Resize(8), transforms.ToTensor()]),
            "pixels for photos of two shapes; let",
        ),
        (
            transforms.Compose([transforms.RandomCrop(8), transforms.ToTensor()]),
            "the transform is random; take",
        ),
        (lambda picture: picture.nothing, "the transform fails with AttributeError"),
        (
            transforms.Compose(
                [transforms.Resize((8, 8)), transforms.ToTensor(), transforms.Normalize(0.5, 0.1), lambda x: x]
            ),
            "must give values from 0 to 1, got -0.137 to 0.098; let Normalize be its last step",
        ),
    ],
)
def test_what_prepares_no_images_is_one_sentence(given, said):
    with pytest.raises(ConfigError) as caught:
        preprocessing(given, Net())

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_timms_own_transform_is_equal(photos):
    timm_data = pytest.importorskip("timm.data")
    config = with_config().pretrained_cfg
    transform = timm_data.create_transform(**timm_data.resolve_data_config(pretrained_cfg=config), is_training=False)

    expected = np.stack([grey_levels(transform(photo), ((0.5,) * 3, (0.25,) * 3)) for photo in photos])
    assert np.abs(converted(preprocessing("auto", with_config()), photos) - expected).max() <= 1


@pytest.fixture
def saved(photos, tmp_path):
    """The photos in two class folders."""
    for i, photo in enumerate([*photos, *(photo.rotate(180) for photo in photos)]):
        folder = tmp_path / "photos" / ("cat", "cow", "dog")[i % 3]
        folder.mkdir(parents=True, exist_ok=True)
        photo.save(folder / f"{i}.png")
    return tmp_path / "photos"


def test_evaluate_records_what_it_did_and_detect_repeats_it(saved, tmp_path, photos):
    transform = transforms.Compose(
        [transforms.Resize(12), transforms.CenterCrop(8), transforms.ToTensor(), transforms.Normalize(*IMAGENET)]
    )
    noise = np.random.default_rng(0).integers(0, 256, (9, 3, 20, 30), dtype=np.uint8)
    scores = {}
    for name, given in [("words", "resize=12,crop=8"), ("transform", transform)]:
        torch.manual_seed(0)
        frame = oodbench.evaluate(
            Net(), saved, noise, methods="msp", preprocess=given, normalise=IMAGENET, name=name, save_detectors=True,
            results_dir=tmp_path / name,
        )  # fmt: skip
        facts = json.loads(frame["given"][0])
        assert facts["preprocess"].startswith("resize=12,crop=8x8" if name == "words" else "a transform (")
        detector = oodbench.Detector.load(next((tmp_path / name).rglob("*.detector")))
        found = detector.detect(photos)
        torch.manual_seed(0)
        classifier = GivenModel.of(Net(), normalise=IMAGENET).classifier
        pixels = torch.tensor(converted(preprocessing("resize=12,crop=8", Net()), photos)).float() / 255
        expected = classifier(pixels).double().softmax(dim=1).amax(dim=1)
        assert [each.score for each in found] == pytest.approx(expected.tolist(), abs=1e-6)
        scores[name] = frame["auroc"].tolist()
    assert scores["words"] == scores["transform"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"preprocess": ResNet18_Weights.DEFAULT, "normalise": "none"}, "is not that of torchvision's weights"),
        ({"preprocess": "resize=12,crop=8"}, "--normalise is missing"),
        ({"preprocess": "resize=12,crop=8", "normalise": "none", "image_size": 9}, "leave them out"),
        ({"preprocess": "stretch", "normalise": "none", "labels": "imagenette"}, "--labels imagenette is not known"),
        ({"normalise": "none", "labels": "imagenet", "class_names": ["a"]}, "give one of the two"),
        ({"normalise": "none", "labels": "model"}, "Net comes with no names of its classes"),
    ],
)
def test_what_contradicts_itself_is_one_sentence(options, said):
    images = np.zeros((4, 3, 8, 8), np.uint8)
    with pytest.raises(ConfigError) as caught:
        oodbench.evaluate(Net(), (images, [0, 0, 1, 2]), images, **options)

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_labels_are_imagenets_by_index(tmp_path):
    from oodbench.given.labels import class_names_of

    names = class_names_of(None, "imagenet", Net())
    assert (len(names), len(set(names)), names[0], names[207]) == (1000, 1000, "tench", "golden retriever")
    model = Net()
    model.config = SimpleNamespace(id2label={1: "dog", 0: "cat", 2: "cow"})
    assert class_names_of(None, "model", model) == ["cat", "dog", "cow"]
    Path(tmp_path / "names.txt").write_text("a\nb\n")
    assert class_names_of(str(tmp_path / "names.txt"), None, model) == ["a", "b"]
