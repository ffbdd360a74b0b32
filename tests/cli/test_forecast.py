"""What a dry run says of pixels, outputs and decoding, without decoding an image."""

from __future__ import annotations

import pytest

from oodbench import files
from tests.helpers import save_photos

MODEL = """
from torch import nn

def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 5), nn.ReLU(), nn.Linear(5, 3))
"""


@pytest.fixture
def undecoded(tmp_path, monkeypatch):
    """Photos that must not be decoded."""
    for seed, split in enumerate(("train", "test")):
        save_photos(tmp_path / "photos" / split, ("cat", "cow", "dog"), seed)
    save_photos(tmp_path / "cars", ("bus",), seed=2)
    (tmp_path / "mine.py").write_text(MODEL)

    def fail(_, where):
        raise AssertionError(f"{where} is decoded")

    monkeypatch.setattr(files, "decode", fail)
    return ("--in", "./photos", "--out", "gaussian=./cars", "--image-size", "8", "--dry-run")


def line(done, name):
    (found,) = (text for text in done.out.splitlines() if name in text and "B " in text)
    return " ".join(found.split())


def test_a_training_keeps_what_has_room(oodbench, undecoded):
    done = oodbench("run", *undecoded, "--method", "msp", "--pixel-cache", "14KB")
    assert done.code == 0, done.err
    assert line(done, "photos (train)").endswith("(train) 72 13.8 KB yes once")
    assert line(done, "photos (test)").endswith("13.8 KB no once to know them, once in the pass")
    assert line(done, "cars (test)").endswith("4.6 KB no once to know them, once in the pass")
    assert "kept in the end: 13.8 KB of pixels (--pixel-cache 14.0 KB)" in done.out


def test_images_of_a_given_model_are_decoded_in_its_pass(oodbench, undecoded):
    model = ("--model", "mine.py:build", "--normalise", "none")
    done = oodbench("run", *model, *undecoded, "--method", "msp")
    assert done.code == 0, done.err
    assert line(done, "photos (test)").endswith("13.8 KB no once in the pass")
    # 5 features and 3 logits of 72 + 24 images.
    assert "kept in the end: 0 B of pixels (--pixel-cache 20.0 GB), 3.1 KB of outputs" in done.out
    again = oodbench("run", *model, *undecoded, "--method", "odin")
    assert line(again, "photos (test)").endswith("13.8 KB yes twice: in the pass, and for odin")


def test_a_limit_that_is_no_size_is_one_sentence(oodbench, undecoded):
    done = oodbench("run", *undecoded, "--method", "msp", "--pixel-cache", "much")
    assert (done.code, done.err.strip()) == (2, "Error: --pixel-cache must be a size such as 20GB or 500MB, got 'much'")
