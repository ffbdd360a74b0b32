"""`oodbench.evaluate`: a trained classifier and images of any kind in, rows out."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

import oodbench
from oodbench.engine.naming import GivenImages
from oodbench.engine.request import request
from oodbench.engine.runner import execute, prepare
from oodbench.errors import ConfigError, DataError, MissingData, NeedsTrainingImages
from oodbench.given.model import GivenModel
from oodbench.metrics import auroc
from oodbench.plugins import registry
from oodbench.store.records import ResultStore
from oodbench.store.rows import to_frame

from .helpers import Listener, save_photos
from .networks_of_ones_own import Net, brightness_classifier

IGNORED = ["train_seconds", "fit_seconds", "score_seconds"]
TIMELESS = ["method", "out_dist", "accuracy", "auroc", "fpr_at_95tpr", "aupr_in", "aupr_out", "n_ood", "n_id"]
CLASSES = ("cat", "cow", "dog")


@pytest.fixture
def model():
    return brightness_classifier()


@pytest.fixture
def photos(tmp_path):
    """A folder with train/ and test/ of three classes."""
    save_photos(tmp_path / "photos" / "train", CLASSES)
    save_photos(tmp_path / "photos" / "test", CLASSES, seed=1)
    return tmp_path / "photos"


@pytest.fixture
def noise():
    """30 images from dark to about as bright as the brightest photos."""
    brightness = np.linspace(0, 0.7, 30)[:, None, None, None]
    return (np.random.default_rng(5).integers(0, 256, (30, 3, 8, 8)) * brightness).astype(np.uint8)


def pixels(folder):
    """Return the photos as arrays, as they are after their conversion, with their labels."""
    files = [sorted((folder / name).iterdir()) for name in CLASSES]
    pictures = [Image.open(file).resize((8, 8), Image.Resampling.BILINEAR) for some in files for file in some]
    return np.stack([np.asarray(picture).transpose(2, 0, 1) for picture in pictures]), np.repeat([0, 1, 2], 24)


def evaluate(model, id_test, ood, methods="msp", **options):
    return oodbench.evaluate(model, id_test, ood, methods=methods, normalise="none", **options)


def test_scores_are_those_of_the_model(model, photos, noise):
    frame = evaluate(model, photos, noise, image_size=8)

    images, labels = pixels(photos / "test")
    with torch.no_grad():
        logits = [model(torch.tensor(each).float() / 255) for each in (images, noise)]
    scores = [each.double().softmax(dim=1).amax(dim=1).numpy() for each in logits]
    assert frame["auroc"].tolist() == [auroc(*scores)]
    assert frame["accuracy"].tolist() == [(logits[0].argmax(dim=1).numpy() == labels).mean()]
    assert 0.1 < frame["auroc"][0] < 0.9 < frame["accuracy"][0]
    assert frame[["n_id", "n_ood"]].to_numpy().tolist() == [[72, 30]]


def test_folders_arrays_tensors_pictures_and_image_sets_are_the_same_to_it(model, photos, noise):
    images, labels = pixels(photos / "test")
    pictures = [Image.fromarray(image.transpose(1, 2, 0)) for image in images]

    class LikeTorchvision:
        """Has a length and items, and no iterator of its own."""

        def __len__(self):
            return len(pictures)

        def __getitem__(self, i):
            return pictures[i], int(labels[i])

    named = oodbench.ImageSet(name="photos", images=images, labels=labels, class_names=CLASSES)
    frames = [
        evaluate(model, photos, noise, image_size=8),
        evaluate(model, str(photos), torch.tensor(noise), image_size="8x8", channels=3),
        evaluate(model, (images, labels), noise),
        evaluate(model, (torch.tensor(images), torch.tensor(labels)), {"ood": noise}),
        evaluate(model, LikeTorchvision(), [Image.fromarray(image.transpose(1, 2, 0)) for image in noise]),
        evaluate(model, named, oodbench.ImageSet(name="noise", images=noise)),
    ]
    for frame in frames[1:]:
        pd.testing.assert_frame_equal(frames[0][TIMELESS], frame[TIMELESS])


def test_arrays_are_brought_to_a_size(model, photos, noise):
    large = noise.repeat(3, axis=2).repeat(3, axis=3)

    assert evaluate(model, photos, {"large": large}, image_size=8)["n_ood"].tolist() == [30]


def test_every_method_that_can_be_scored_is(model, photos, noise):
    listener = Listener()
    frame = evaluate(
        model, photos, {"noise": noise, "again": photos}, "all", id_train=photos, image_size=8, report=listener
    )

    assert {"msp", "odin", "energy", "knn", "mahalanobis", "vim", "react", "lof"} <= set(frame["method"])
    assert set(frame["out_dist"]) == {"noise", "again"}
    # The same images on both sides.
    np.testing.assert_allclose(frame[frame["out_dist"] == "again"]["auroc"], 0.5)
    missing = set(registry.names("methods")) - set(frame["method"])
    assert {"ccag", "ml", "odm", "ensemble"} <= missing
    for name in missing:
        assert any(name in line and line.startswith("left out: ") for line in listener.messages), name


def test_a_torchvision_model_is_scored(photos, noise):
    from torchvision.models import resnet18

    torch.manual_seed(0)
    frame = oodbench.evaluate(
        resnet18(num_classes=3), photos, noise, id_train=photos, methods=["msp", "odin(epsilon=0.001)", "knn(k=5)"],
        normalise="imagenet", image_size=8,
    )  # fmt: skip

    assert list(frame["method"]) == ["msp", "odin", "knn"]
    assert frame["auroc"].between(0, 1).all()


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("ml", "ml trains a network of its own (contrastive), and a trained model is given; leave ml out"),
        ("odm", "odm trains a network of its own (contrastive), and a trained model is given; leave odm out"),
        ("ensemble", "ensemble combines several networks, and one model is given; leave ensemble out"),
    ],
)
def test_a_method_that_trains_is_refused_by_name(model, photos, noise, method, said):
    with pytest.raises(ConfigError) as caught:
        evaluate(model, photos, noise, method, id_train=photos, image_size=8)

    assert str(caught.value) == said


@pytest.mark.parametrize("method", ["knn(k=3)", "mahalanobis", "lof", "odin(epsilon=auto, tune=id)"])
def test_a_method_that_needs_training_images_says_so(model, photos, noise, method):
    name = method.partition("(")[0]
    with pytest.raises(ConfigError, match=f"^{name} needs (ID training images|held-out ID images)"):
        evaluate(model, photos, noise, method, image_size=8)
    assert len(evaluate(model, photos, noise, method, id_train=photos, image_size=8)) == 1


def test_what_all_leaves_out_is_warned_about_where_nobody_listens(model, photos, noise):
    with pytest.warns(UserWarning, match=r"^left out: ") as warned:
        frame = evaluate(model, photos, noise, "all", image_size=8)

    said = [str(each.message) for each in warned]
    missing = set(registry.names("methods")) - set(frame["method"])
    assert {"knn", "mahalanobis", "ml"} <= missing
    assert len(said) == len(missing)
    assert all(any(name in line for line in said) for name in missing)
    assert "needs ID training images" in next(line for line in said if "knn" in line)


def test_the_engine_has_an_error_of_its_own_for_images_that_are_missing(model, photos, noise):
    with pytest.raises(NeedsTrainingImages, match="none are given"):
        evaluate(model, photos, noise, "knn", image_size=8)


def test_class_names_bring_labels_into_the_order_of_the_model(model, photos, noise):
    turned = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in turned.head.parameters():
            parameter.copy_(parameter.flip(0))

    straight = evaluate(model, photos, noise, image_size=8)
    wrong = evaluate(turned, photos, noise, image_size=8)
    right = evaluate(turned, photos, noise, image_size=8, class_names=CLASSES[::-1])
    pd.testing.assert_frame_equal(straight[TIMELESS], right[TIMELESS])
    assert wrong["accuracy"][0] < 0.5 < right["accuracy"][0]


def test_class_names_tell_of_classes_without_test_images(photos, noise):
    model = brightness_classifier(5)
    with pytest.raises(ConfigError, match="the model Net tells 5 classes apart, and Net has 3"):
        evaluate(model, photos, noise, image_size=8)

    frame = evaluate(model, photos, noise, image_size=8, class_names=(*CLASSES, "elk", "fox"))
    assert frame["accuracy"][0] > 0.9
    images, labels = pixels(photos / "test")
    arrays = evaluate(model, (images, labels), noise, class_names=(*CLASSES, "elk", "fox"))
    pd.testing.assert_frame_equal(frame[TIMELESS], arrays[TIMELESS])


def test_class_names_must_be_those_of_the_folders(model, photos, noise):
    with pytest.raises(ConfigError, match="has the class 'cow', which is not among the class names"):
        evaluate(model, photos, noise, image_size=8, class_names=("cat", "dog", "elk"))


def test_training_and_test_images_must_have_the_same_classes(model, photos, noise):
    test, (images, labels) = pixels(photos / "test"), pixels(photos / "train")
    few = oodbench.ImageSet(name="few", images=images[:48], labels=labels[:48], class_names=CLASSES[:2])
    with pytest.raises(ConfigError, match="give those of the model, in order: class_names="):
        evaluate(model, photos, noise, id_train=few, image_size=8)
    assert len(evaluate(model, photos, noise, id_train=few, image_size=8, class_names=CLASSES))
    # Numbers say which outputs they are.
    assert len(evaluate(model, test, noise, id_train=(images[:48], labels[:48])))


def test_test_images_that_are_training_images_are_left_out_with_a_warning(model, photos, noise):
    train, (images, labels) = pixels(photos / "train"), pixels(photos / "test")
    both = np.concatenate([images, train[0][:5]]), np.concatenate([labels, train[1][:5]])
    ood = np.concatenate([noise, train[0][:2]])

    with pytest.warns(UserWarning, match="^leaving out ") as warned:
        frame = evaluate(model, both, ood, id_train=train)

    assert [str(each.message).partition(":")[0] for each in warned] == [
        "leaving out 5 images of ID test",
        "leaving out 2 images of ood",
    ]
    assert (frame["n_id"][0], frame["n_ood"][0]) == (len(images), len(noise))
    with pytest.raises(DataError, match="every image of ID test is among the training images"):
        evaluate(model, train, noise, id_train=train)


@pytest.mark.parametrize(
    ("id_test", "ood", "options", "error", "said"),
    [
        ("photos", "noise", {}, DataError, "give the size that the model takes: image_size="),
        ("photos", "noise", {"image_size": "big"}, ConfigError, "must be a number such as 64"),
        ("photos", "noise", {"image_size": 9}, ConfigError, "cannot take images of 3×9×9"),
        ("photos", "noise", {"image_size": 8, "channels": 2}, ConfigError, "must be 1 (grey) or 3 (RGB), got 2"),
        ("arrays", "large", {}, DataError, "give the size that the model takes: image_size="),
        ("noise", "noise", {}, ConfigError, "ID test needs labels: in-distribution images tell how well"),
        ("arrays", "floats", {}, DataError, "ood: images must be uint8 of shape (n, channels, height, width)"),
        ("arrays", "last", {}, DataError, "ood: images must be uint8 of shape (n, channels, height, width)"),
        ("arrays", "tensors", {}, DataError, "must hold PIL images, or pairs of one with its label, got Tensor"),
        ("arrays", "number", {}, DataError, "ood must be a path, the name of a data set, uint8 arrays or"),
        ("arrays", "nothing", {}, DataError, "got nothing"),
        ("arrays", "none", {}, ConfigError, "give at least one OOD set"),
        ("arrays", "paths", {}, ConfigError, """paths of OOD sets need names: ood={"name": './other'}"""),
        ("arrays", "floats", {}, DataError, 'to bytes: (x * 255).astype("uint8")'),
        ("arrays", "last", {}, DataError, "put the channels first: .transpose(0, 3, 1, 2)"),
        ("halves", "noise", {}, DataError, "ID test: labels must be whole numbers of shape (n,)"),
        ("endless", "noise", {}, DataError, "ID test: labels must be whole numbers of shape (n,)"),
        ("words", "noise", {}, DataError, "ID test: labels must be whole numbers of shape (n,)"),
        ("one-hot", "noise", {}, DataError, "counted from 0, got float64 (72, 3)"),
        ("ragged", "noise", {}, DataError, "ID test: labels must be whole numbers of shape (n,)"),
        ("arrays", "./nowhere", {}, MissingData, "no test images of "),
        ("few", "noise", {}, DataError, "has 72 images but 5 labels"),
        ("arrays", "noise", {"features": "fc"}, ConfigError, "no layer 'fc'"),
        ("arrays", "noise", {"normalise": "imagenette"}, ConfigError, "the normalisation must be none, imagenet or"),
        ("arrays", "noise", {"save_detectors": True}, ConfigError, "needs a folder to store them in: results_dir="),
    ],
)
def test_what_does_not_fit_is_one_sentence(model, photos, noise, id_test, ood, options, error, said):
    images, labels = pixels(photos / "test")
    things = {
        "photos": photos,
        "noise": noise,
        "arrays": (images, labels),
        "few": (images, labels[:5]),
        "large": noise.repeat(2, axis=2).repeat(2, axis=3),
        "floats": noise / 255,
        "last": noise.transpose(0, 2, 3, 1),
        "tensors": [(torch.zeros(3, 8, 8), 0)],
        "number": 5,
        "nothing": [],
        "none": {},
        "paths": ["./other"],
        "halves": (images, labels + 0.5),
        "endless": (images, np.full(72, np.inf)),
        "words": (images, labels.astype(str)),
        "one-hot": (images, np.eye(3)[labels]),
        "ragged": (images, [[0], [0, 1]]),
    }
    with pytest.raises(error) as caught:
        oodbench.evaluate(
            model, things[id_test], things.get(ood, ood), methods="msp", **{"normalise": "none", **options}
        )
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_model_is_left_as_it_was(model, photos, noise):
    model.train()
    before = copy.deepcopy(model.state_dict())
    evaluate(model, photos, noise, ["msp", "odin", "react", "gradnorm"], id_train=photos, image_size=8)

    assert model.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_outputs_are_kept_by_content(model, photos, noise):
    def passes(changed):
        listener = Listener()
        frame = evaluate(changed, photos, noise, image_size=8, report=listener)
        return sum(task.startswith("forward pass") for task, _, _ in listener.tasks), frame["auroc"][0]

    first = passes(model)
    again = passes(copy.deepcopy(model))
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.head.weight[1] *= 0.5
    changed = passes(other)
    assert (first[0], again[0], changed[0]) == (2, 0, 2)
    assert first[1] == again[1] != changed[1]


def test_an_attribute_of_the_model_counts_as_content(photos, noise):
    torch.manual_seed(1)
    model = Net()
    before = evaluate(model, photos, noise, image_size=8)
    model.slope = -1.0

    assert evaluate(model, photos, noise, image_size=8)["auroc"][0] != before["auroc"][0]


def test_run_and_evaluate_say_the_same(model, photos, tmp_path):
    cars = save_photos(tmp_path / "cars", ("car",), seed=2)
    methods = ["msp", "odin", "knn(k=5)", "mahalanobis"]
    own = GivenModel.of(model, normalise="none", name="mine")
    wanted = request(
        [str(photos)], methods, out=[f"gaussian={cars}"], own=GivenImages(image_size="8", trained=True), model=own
    )
    ran = to_frame(execute(prepare(wanted)))
    evaluated = evaluate(model, photos, {"cars": cars}, methods, id_train=photos, image_size=8, name="mine")

    ran["out_dist"] = "cars"
    pd.testing.assert_frame_equal(ran[[*TIMELESS, "fitted"]], evaluated[[*TIMELESS, "fitted"]])


def test_records_are_kept_where_it_is_asked_for(model, photos, noise, tmp_path):
    evaluate(model, photos, noise, image_size=8)
    assert list(tmp_path.rglob("*.json")) == [file for file in tmp_path.rglob("*.json") if "cache" in str(file)]

    evaluate(model, photos, noise, image_size=8, results_dir="kept", name="mine", save_detectors=True)
    (record,) = ResultStore(Path("kept")).all()
    assert (record.benchmark["name"], record.recipe, record.trained_on) == ("mine", "given: mine", "elsewhere")
    detector = oodbench.Detector.load(next(Path("kept").rglob("*.detector")))
    verdicts = detector.detect(photos / "test")
    assert np.mean([found.is_in_distribution for found in verdicts]) >= 0.95
    assert np.mean([found.class_name == Path(found.source).parent.name for found in verdicts]) == record.accuracy


def test_a_model_without_a_linear_layer_is_scored_by_its_logits(photos, noise):
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert len(evaluate(model, photos, noise, image_size=8)) == 1

    with pytest.raises(ConfigError, match="^knn needs features with a linear layer above them"):
        evaluate(model, photos, noise, "knn", id_train=photos, image_size=8)


def test_training_images_may_lie_in_the_folder_that_is_named(model, photos, noise):
    def scored(id_train):
        return evaluate(model, photos / "test", noise, "mahalanobis", id_train=id_train, image_size=8)

    pd.testing.assert_frame_equal(scored(photos)[TIMELESS], scored(photos / "train")[TIMELESS])
    pd.testing.assert_frame_equal(scored(photos)[TIMELESS], scored(str(photos / "train"))[TIMELESS])


def test_test_images_are_not_taken_for_training_images(model, photos, noise):
    (photos / "train").rename(photos.parent / "elsewhere")

    with pytest.raises(MissingData, match="no train images of "):
        evaluate(model, photos, noise, "mahalanobis", id_train=photos, image_size=8)


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.float32])
def test_labels_are_whole_numbers_of_any_type(model, photos, noise, kind):
    images, labels = pixels(photos / "test")

    frame = evaluate(model, (images, labels.astype(kind)), noise)
    pd.testing.assert_frame_equal(frame[TIMELESS], evaluate(model, (images, labels), noise)[TIMELESS])


def test_images_on_both_sides_are_kept_with_a_warning(model, photos, noise):
    images, labels = pixels(photos / "test")
    ood = np.concatenate([noise, images[:5]])

    with pytest.warns(UserWarning, match="as well") as warned:
        frame = evaluate(model, (images, labels), {"mixed": ood, "noise": noise})

    assert [str(each.message) for each in warned] == [
        "5 images of mixed are ID test images as well: they cannot be told apart"
    ]
    assert frame["n_ood"].tolist() == [len(ood), len(noise)]


@pytest.mark.parametrize(("given", "kind"), [(Net, "type"), ("net.pt", "str"), ({}, "dict"), (len, "builtin_")])
def test_what_is_no_model_is_one_sentence(photos, noise, given, kind):
    with pytest.raises(ConfigError, match=rf"^the model must be a torch.nn.Module, got {kind}"):
        evaluate(given, photos, noise, image_size=8)


def test_python_is_told_how_training_images_are_given(model, photos, noise):
    with pytest.raises(NeedsTrainingImages, match=r"\(in Python: id_train=\)"):
        evaluate(model, photos / "test", noise, "knn", image_size=8)
