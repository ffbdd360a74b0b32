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
