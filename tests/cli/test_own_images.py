"""Images of a user's own on the command line."""

from __future__ import annotations

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
