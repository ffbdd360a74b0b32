"""Doubts about the order of a given model's classes."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

import oodbench as package
from oodbench.given.order import doubts

from .helpers import save_photos
from .networks_of_ones_own import brightness_classifier

NAMES = ("cat", "cow", "dog")


def said(predicted, labels, names=NAMES):
    return doubts(np.eye(len(names))[np.asarray(predicted)], np.asarray(labels), names, "net")


def test_a_model_that_is_right_is_not_doubted():
    assert said([0, 1, 2] * 20, [0, 1, 2] * 20) == ""


def test_another_order_is_named():
    labels = np.arange(60) % 3
    # 2 of 3 are wrong as they are, and right the other way round.
    text = said(np.array([0, 2, 1])[labels], labels)
    assert text.startswith(
        "net classifies 33.3% of the ID test images right, and 100.0% if cow is output 2, dog is output 1: "
        "are the classes in the order of its outputs?"
    )


def test_chance_is_told():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 100)
    predicted = rng.integers(0, 3, 300)
    predicted[:20] = 1
    text = said(predicted, labels)
    assert "no better than chance (33.3%)" in text


def test_a_bad_model_with_one_image_a_class_is_not_told_of_another_order():
    rng = np.random.default_rng(0)
    names = tuple(map(str, range(50)))
    predicted = np.where(rng.random(50) < 0.5, np.arange(50), rng.integers(0, 50, 50))
    assert said(predicted, np.arange(50), names) == ""


def test_a_run_tells_it(tmp_path, oodbench, monkeypatch):
    # The model was trained on folders that were sorted as words: 0, 1, 10, 11, 2, …
    numbers = [str(k) for k in range(12)]
    outputs = sorted(numbers)
    save_photos(tmp_path / "photos" / "test", numbers)
    model = brightness_classifier(12)
    order = [int(name) for name in outputs]
    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter.copy_(parameter[order].clone())
    monkeypatch.setitem(sys.modules, "mine", None)
    torch.save(model.state_dict(), tmp_path / "w.pt")
    (tmp_path / "mine.py").write_text(
        "from tests.networks_of_ones_own import brightness_classifier\nbuild = lambda: brightness_classifier(12)\n"
    )
    given = ("--model", "mine.py:build", "--weights", "w.pt", "--normalise", "none", "--image-size", "8")
    done = oodbench("run", *given, "--in", "./photos", "--method", "msp")
    assert "2 is output 4" in done.err
    assert "are the classes in the order of its outputs?" in done.err
    named = oodbench("run", *given, "--in", "./photos", "--method", "msp", "--class-names", ",".join(outputs))
    assert "are the classes in the order" not in named.err
    with pytest.warns(UserWarning, match="2 is output 4"):
        package.evaluate(
            model, tmp_path / "photos", np.zeros((9, 3, 8, 8), np.uint8), methods="msp", normalise="none", image_size=8
        )


def test_numbers_say_which_outputs_they_are(tmp_path):
    # Two of five classes, of the brightness of the outputs with their numbers.
    save_photos(tmp_path / "photos", [str(k) for k in range(5)])
    for k in (0, 2, 4):
        (tmp_path / "photos" / str(k)).rename(tmp_path / f"away{k}")
    frame = package.evaluate(
        brightness_classifier(5), tmp_path / "photos", np.zeros((9, 3, 8, 8), np.uint8), methods="msp",
        normalise="none", image_size=8,
    )  # fmt: skip
    assert frame["accuracy"][0] > 0.9
