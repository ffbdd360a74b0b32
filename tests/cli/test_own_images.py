"""Images of a user's own on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import save_photos


@pytest.fixture
def photos(tmp_path):
    """A folder with six classes of images."""
    return save_photos(tmp_path / "photos", ("cat", "cow", "dog", "elk", "fox", "owl"))


def test_run_prints_the_split(oodbench, photos):
    done = oodbench(
        "run", "--in", str(photos), "--split", "50/20/30", "--image-size", "8", "--method", "msp", "--dry-run"
    )
    assert done.code == 0
    assert "split of photos (50/20/30, seed 0)" in done.err
    assert "3 classes in-distribution: " in done.err


def test_a_registered_set_can_be_divided(oodbench):
    done = oodbench(
        "run", "--in", "digits", "--split", "60/10/30", "--image-size", "8", "--channels", "1", "--dry-run",
        "--method", "odm",
    )  # fmt: skip
    assert done.code == 0
    assert "6 classes in-distribution" in done.err
    assert "digits-60-10-30-seed0 odm seed 0" in done.out


def test_the_split_of_a_result_is_drawn(oodbench, photos):
    folder = ["--in", str(photos), "--split", "50/20/30", "--image-size", "8"]
    fast = ["--set", "recipe.network=tinynet", "--set", "recipe.epochs=1"]
    assert oodbench("run", *folder, *fast, "--method", "msp").code == 0

    done = oodbench("plot", "split", "--data-dir", photos.parent)
    assert done.code == 0
    assert Path(done.out.strip()).read_bytes().startswith(b"\x89PNG")
    elsewhere = oodbench("plot", "split", "--data-dir", "nowhere")
    assert elsewhere.code == 2
    assert "no train images of photos: looked for nowhere/photos" in elsewhere.err


def test_a_result_without_a_split_has_none_to_draw(oodbench, small):
    assert oodbench("run", "--in", small, "--method", "msp").code == 0

    done = oodbench("plot", "split", "--in", small)
    assert done.code == 2
    assert done.err.startswith("Error: small has no split of classes to draw; run one: --split 50/20/30")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "folder",
            "no benchmark 'folder'; images of your own are named by their folder: give a path, such as ./photos",
        ),
        ("photos", "See: oodbench list benchmarks. A folder is given as a path: ./photos"),
        ("shelf", f"See: oodbench list benchmarks. A folder is given as a path: {Path('data/shelf')}"),
        ("nowhere", "See: oodbench list benchmarks"),
    ],
)
def test_a_folder_is_given_as_a_path(oodbench, photos, tmp_path, name, sentence):
    (tmp_path / "data" / "shelf").mkdir(parents=True)
    done = oodbench("run", "--in", name, "--method", "msp", "--data-dir", "data")

    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-1].endswith(sentence)
    assert "folder," not in done.err


def test_a_folder_that_is_not_there_is_said_not_to_be(oodbench, tmp_path):
    done = oodbench("run", "--in", "./nothere", "--method", "msp")

    path = tmp_path / "nothere"
    assert done.code == 2
    assert done.err.splitlines()[-1].endswith(
        f"images of {path}: there is no such folder, and no {path}.zip; check the path"
    )


def test_a_folder_without_training_images_asks_for_them(oodbench, tmp_path):
    save_photos(tmp_path / "divided" / "test", ("cat", "cow", "dog"))
    done = oodbench("run", "--in", "./divided", "--method", "msp")

    assert done.code == 2
    assert done.err.splitlines()[-1].endswith(f" Put training images into {tmp_path / 'divided'}/train/<class>/.")
