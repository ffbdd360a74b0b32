"""A trained classifier on the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from oodbench import load_results
from oodbench.given.building import load_model
from tests.helpers import save_photos
from tests.networks_of_ones_own import brightness_classifier

FILE = """
from torch import nn

class Mine(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(3 * 8 * 8, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, images):
        return self.head(nn.functional.relu(self.body(images.flatten(1))))
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Arguments that name a trained model in a file, its weights, its images and an OOD set."""
    monkeypatch.setitem(sys.modules, "mine", None)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "mine.py").write_text(FILE)
    torch.save({"state_dict": brightness_classifier().state_dict()}, tmp_path / "w.pt")
    for seed, split in enumerate(("train", "test")):
        save_photos(tmp_path / "photos" / split, ("cat", "cow", "dog"), seed)
    save_photos(tmp_path / "cars", ("car", "bus", "van"), seed=2)
    return (
        "--model", "mine.py:Mine", "--weights", "w.pt", "--normalise", "none", "--image-size", "8",
        "--in", "./photos", "--out", "./cars",
    )  # fmt: skip


def without(arguments, *options):
    for option in options:
        i = arguments.index(option)
        arguments = (*arguments[:i], *arguments[i + 2 :])
    return arguments


def test_a_trained_model_gets_its_table(oodbench, mine):
    done = oodbench("run", *mine, "--method", "msp", "--method", "knn(k=5)")

    assert done.code == 0, done.err
    assert "2 cells stored" not in done.err
    assert "0 cells stored, 2 to do on " in done.err
    assert "to train" not in done.err
    assert all(word in done.out for word in ("msp", "knn", "cars", "gaussian"))
    again = oodbench("run", *mine, "--method", "msp", "--method", "knn(k=5)")
    assert (again.out, "2 cells stored, 0 to do" in again.err) == (done.out, True)
    table = oodbench("table", "--layout", "flat", "--format", "csv").out.splitlines()
    assert len(table) == 1 + 2 * 2


def test_workers_know_the_file_of_a_model(oodbench, mine):
    done = oodbench("run", *mine, "--method", "msp", "--method", "knn(k=5)", "--device", "cpu,cpu")

    assert done.code == 0, done.err
    assert done.err.count("[cpu] scored photos ") == 2


def test_a_dry_run_lists_no_training(oodbench, mine):
    done = oodbench("run", *mine, "--method", "msp", "--dry-run")

    assert done.code == 0
    assert "training images" not in done.out
    assert "photos msp seed 0" in done.out
    assert "given: mine.py:Mine" in done.out
    (done_and_to_do,) = (line for line in done.out.splitlines() if line.startswith("0 cells stored, 1 to do on "))
    assert "train" not in done_and_to_do


def test_all_leaves_out_what_trains(oodbench, mine):
    done = oodbench("run", *mine, "--dry-run")

    assert done.code == 0
    assert "left out: ml trains a network of its own (contrastive), and a trained model is given" in done.err
    assert "photos ml" not in done.out
    assert "photos knn" in done.out


def test_a_folder_without_training_images_does_for_methods_that_need_none(oodbench, mine, tmp_path):
    arguments = (*without(mine, "--in", "--out"), "--in", "./cars", "--out", "./photos")
    done = oodbench("run", *arguments, "--method", "msp")
    assert done.code == 0, done.err
    needy = oodbench("run", *arguments, "--method", "knn")
    assert needy.code == 2
    assert needy.err.splitlines()[-1] == (
        "Error: knn needs ID training images, and none are given; put them into train/ beside test/ (in "
        "Python: id_train=), or leave the method out"
    )


def test_a_dry_run_leaves_out_what_the_run_leaves_out(oodbench, mine):
    arguments = ("run", *without(mine, "--in", "--out"), "--in", "./cars", "--out", "./photos")
    plan = oodbench(*arguments, "--dry-run")
    done = oodbench(*arguments)

    def left_out(messages):
        return sorted(line for line in messages.splitlines() if line.startswith("left out: "))

    assert (plan.code, done.code) == (0, 0), done.err
    assert any("knn needs ID training images" in line for line in left_out(plan.err))
    assert left_out(plan.err) == left_out(done.err)
    n_scored = done.err.count("scored cars ")
    assert n_scored > 3
    assert plan.out.count(" to do\n") == n_scored
    assert len(left_out(done.err)) > 3
    assert f"0 cells stored, {n_scored} to do on " in plan.out


def test_class_names_say_what_the_outputs_stand_for(oodbench, mine):
    for split in ("train", "test"):
        # By name the darkest class now comes last, and the model's first output is still the darkest.
        (Path("photos") / split / "cat").rename(Path("photos") / split / "zebra")
    Path("names.txt").write_text("zebra\ncow\n\ndog\n")
    run = ("run", *mine, "--method", "msp")

    wrong = oodbench(*run, "--results-dir", "wrong")
    right = oodbench(*run, "--class-names", "zebra,cow,dog", "--results-dir", "right")
    file = oodbench(*run, "--class-names", "names.txt", "--results-dir", "right")

    frame = {name: load_results(name) for name in ("wrong", "right")}
    assert (wrong.code, right.code, file.code) == (0, 0, 0)
    assert "1 cell stored, 0 to do" in file.err
    assert frame["wrong"]["accuracy"][0] < 0.5
    assert frame["right"]["accuracy"][0] > 0.9


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ("cat,cow", "photos (train) has the class 'dog', which is not among the class names"),
        ("cat,cow,cow", "Error: --class-names has 'cow' twice"),
        (
            "names.txt",
            "Error: --class-names names.txt is no file that can be read; give the names with commas, such as",
        ),
    ],
)
def test_class_names_that_do_not_fit_are_one_sentence(oodbench, mine, names, sentence):
    done = oodbench("run", *mine, "--method", "msp", "--class-names", names)

    assert (done.code, done.out) == (2, "")
    assert sentence in done.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("dropped", "sentence"),
    [
        ("--normalise", "Error: --normalise is missing: none, imagenet or MEAN/STD, as the model was trained with"),
        ("--image-size", "Error: --image-size is missing: give the size of the images that the model was trained on"),
        ("--model", "Error: --weights is for a model of your own; give it too: --model MODULE:FUNCTION"),
    ],
)
def test_what_is_missing_is_named(oodbench, mine, dropped, sentence):
    done = oodbench("run", *without(mine, dropped), "--method", "msp")

    assert (done.code, done.err.splitlines()[-1], done.out) == (2, sentence, "")


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--image-size", "9", "Error: the model mine.py:Mine cannot take images of 3×9×9"),
        ("--model", "mine.py:Yours", "Error: --model mine.py:Yours cannot be built: AttributeError"),
        ("--weights", "nowhere.pt", "Error: --weights: there is no file nowhere.pt"),
        ("--normalise", "imagenette", "Error: the normalisation must be none, imagenet or MEAN/STD"),
        ("--in", "./nowhere", "Error: no test images of "),
    ],
)
def test_what_does_not_fit_is_one_sentence(oodbench, mine, option, value, said):
    done = oodbench("run", *without(mine, option), option, value, "--method", "msp")

    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-1].startswith(said)
    assert "Traceback" not in done.err


def test_another_number_of_classes_is_one_sentence(oodbench, mine, tmp_path):
    save_photos(tmp_path / "more", ("cat", "cow", "dog", "elk"))
    done = oodbench("run", *without(mine, "--in"), "--in", "./more", "--method", "msp")

    assert done.err.splitlines()[-1] == (
        "Error: the model mine.py:Mine tells 3 classes apart, and more has 4 (cat, cow, dog, elk); they must be the "
        "same, in order; where images do not have all of its classes, say what its outputs stand for: --class-names "
        "(in Python: class_names=)"
    )


def test_a_detector_of_a_model_in_the_working_folder_is_taken_home(oodbench, mine, tmp_path, monkeypatch):
    done = oodbench("run", *mine, "--method", "odin", "--save-detectors")
    assert done.code == 0, done.err

    monkeypatch.delitem(sys.modules, "mine")
    found = oodbench("detect", "--from", "results", "photos/test", "--format", "csv")
    assert found.code == 0, found.err
    assert len(found.out.splitlines()) == 1 + 72
    monkeypatch.chdir(tmp_path / "photos")
    monkeypatch.delitem(sys.modules, "mine")
    sys.path.remove(str(tmp_path))
    lost = oodbench("detect", "--from", "../results", "test")
    assert lost.code == 2
    assert "needs the Python module 'mine', which cannot be imported here" in lost.err
    assert load_model(f"{tmp_path / 'mine.py'}:Mine", None) is not None
    assert oodbench("detect", "--from", "../results", "test").code == 0


def test_a_record_says_what_a_model_came_with_and_tables_tell_models_apart_by_it(oodbench, mine):
    other = (*without(mine, "--normalise"), "--normalise", "0.5/0.25")
    assert [oodbench("run", *each, "--method", "msp").code for each in (mine, other)] == [0, 0]

    given = {json.loads(text)["normalise"]: json.loads(text) for text in load_results("results")["given"]}
    assert given["0.5/0.25"] == {
        "name": "mine.py:Mine", "weights": "w.pt (state_dict)", "normalise": "0.5/0.25", "preprocess": "stretch",
        "class_names": None, "features": "head",
    }  # fmt: skip
    notes = " ".join(oodbench("table", "--format", "markdown").out.split())
    for model, normalise in load_results("results")[["model", "given"]].drop_duplicates().to_numpy():
        words = (
            f"mine.py:Mine, weights w.pt (state_dict), normalise {json.loads(normalise)['normalise']}, features head."
        )
        assert f"model {model[:8]}: {words}" in notes


def test_the_mean_of_a_run_is_over_its_own_sets(oodbench, mine):
    first = oodbench("run", *mine, "--method", "msp")
    n_sets = len(load_results("results"))
    second = oodbench("run", *without(mine, "--out"), "--out", "uniform", "--method", "msp", "--force")

    assert f"over {n_sets} OOD sets" in first.err
    assert len(load_results("results")) > n_sets - 1
    (row,) = [line for line in second.err.splitlines() if line.startswith("scored photos msp")]
    frame = load_results("results").set_index("out_dist")["auroc"]
    asked = frame.drop("cars")
    assert row.endswith(f"mean AUROC {100 * asked.mean():.2f} over {len(asked)} OOD sets")
    assert "cars" in frame


def test_a_model_is_scored_on_the_images_of_each_of_two_folders(oodbench, mine, tmp_path):
    for image in save_photos(tmp_path / "pets", ("cat", "cow", "dog"), seed=3).rglob("*[1-9].png"):
        image.unlink()
    images = ("--in", "./cars", "--in", "./pets", "--out", "./photos")
    done = oodbench("run", *without(mine, "--in", "--out"), *images, "--method", "msp")

    assert done.code == 0, done.err
    frame = load_results("results").set_index("in_dist")
    assert set(frame.loc["cars", "n_id"]) == {72}
    assert set(frame.loc["pets", "n_id"]) == {9}


def test_preprocessing_is_told_recorded_and_repeated(oodbench, mine):
    given = without(mine, "--image-size")
    done = oodbench("run", *given, "--preprocess", "resize=12,crop=8", "--method", "msp", "--save-detectors")

    assert done.code == 0, done.err
    assert "images by resize=12,crop=8x8,interpolation=bilinear, normalised with none" in done.err
    assert json.loads(load_results("results")["given"][0])["preprocess"] == "resize=12,crop=8x8,interpolation=bilinear"
    found = oodbench("detect", "--from", "results", "photos/test", "--format", "csv")
    assert len(found.out.splitlines()) == 1 + 72


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--preprocess", "resize=12,crop=8"), "--image-size and --channels differ from what --preprocess gives"),
        (("--preprocess", "auto"), "nothing that comes with Mine says how its images are prepared; say it, as in"),
        (("--preprocess", "crop=8,interpolation=cubic"), "no interpolation 'cubic'. Did you mean 'bicubic'"),
        (("--labels", "cifar"), "--labels cifar is not known; there is: imagenet, model."),
    ],
)
def test_preprocessing_that_does_not_fit_is_one_sentence(oodbench, mine, given, said):
    done = oodbench("run", *without(mine, "--image-size"), "--image-size", "9", *given, "--method", "msp")

    assert (done.code, done.out) == (2, "")
    assert said in done.err.splitlines()[-1]


def test_preprocessing_is_for_images_of_ones_own(oodbench, mine):
    arguments = without(without(without(mine, "--image-size"), "--in"), "--out")
    done = oodbench("run", *arguments, "--in", "digits", "--preprocess", "crop=8", "--method", "msp")

    assert done.code == 2
    assert "--preprocess are for images of your own; digits prescribes its own" in done.err.splitlines()[-1]
