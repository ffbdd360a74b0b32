"""A start finds out that there is nothing to do without a look at any pixel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from oodbench.benchmark import Part
from oodbench.data.parts import load_part
from oodbench.engine.request import request
from oodbench.engine.runner import execute, prepare
from oodbench.errors import StoreError
from oodbench.images import Conversion, ImageSet
from oodbench.store.workspace import Workspace
from tests.helpers import save_photos, small_benchmark

STARTS = """
import json, sys
from pathlib import Path
from oodbench.engine.naming import GivenImages
from oodbench.engine.request import request
from oodbench.engine.runner import prepare
from oodbench.store.workspace import Workspace

opened = []

def hear(event, arguments):
    if event == "open":
        opened.append(str(arguments[0]))

def start():
    own = GivenImages(split="50/20/30", image_size="8")
    prepared = prepare(request([own.benchmark("./photos.zip")], ["msp"], own=own), workspace=Workspace.of())
    return [cell.key for cell in prepared.plan.cells]

first = start()
sys.addaudithook(hear)
same = start() == first
print(json.dumps({"same": same, "opened": opened}))
"""


def zipped_photos(folder):
    """Write a ZIP of four classes, long enough ago that its date says that it is as it was."""
    photos = save_photos(folder / "photos", ("ant", "bee", "cat", "dog"))
    with zipfile.ZipFile(folder / "photos.zip", "w") as archive:
        for file in sorted(photos.rglob("*.png")):
            archive.write(file, file.relative_to(photos))
    return folder / "photos.zip"


def test_a_second_start_opens_neither_pixels_nor_sources(tmp_path, monkeypatch):
    archive = zipped_photos(tmp_path)
    monkeypatch.chdir(tmp_path)
    time.sleep(2.1)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-P", "-c", STARTS], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["same"]
    pixels = [file for file in told["opened"] if file.endswith(("images.npy", ".png"))]
    assert pixels == []
    # The directory of the ZIP is in the memory still.
    assert str(archive) not in told["opened"]
    assert any(file.endswith("digests.npy") for file in told["opened"])


def images(n=4):
    return np.random.default_rng(0).integers(0, 256, (n, 3, 5, 5), dtype=np.uint8)


def a_set(**changes):
    fields = {"name": "x", "images": images(), "labels": np.array([0, 1, 0, 2]), "class_names": ("a", "b", "c")}
    return ImageSet(**{**fields, **changes})


def test_given_digests_make_the_fingerprint_that_computed_ones_make():
    given = a_set(images=np.zeros((4, 3, 5, 5), np.uint8), kept_digests=a_set().digests)
    assert given.fingerprint == a_set().fingerprint


def test_a_part_of_the_classes_has_the_fingerprint_of_a_set_of_these_images():
    some = a_set().of_classes(("c", "a"))
    apart = ImageSet(name="y", images=images()[[0, 2, 3]], labels=np.array([1, 1, 0]), class_names=("c", "a"))
    assert some.fingerprint == apart.fingerprint
    assert np.array_equal(np.asarray(some.images), apart.images)


def test_a_part_of_the_classes_keeps_the_digests_of_its_images():
    whole = a_set(kept_digests=np.arange(64, dtype=np.uint8).reshape(4, 16))
    assert whole.of_classes(("b",)).kept_digests.tolist() == [list(range(16, 32))]


def test_rows_of_rows_are_those_of_the_array():
    chosen = a_set().at(np.array([3, 0, 1])).at(np.array([2, 0]))
    expected = images()[[1, 3]]
    assert chosen.labels.tolist() == [1, 2]
    for index in (0, slice(1, 2), np.array([1, 0, 1])):
        assert np.array_equal(chosen.images[index], expected[index])
    assert np.array_equal(np.stack(list(chosen.images)), expected)


def test_images_that_are_gone_from_the_cache_are_one_sentence():
    cache = Path("cache")
    found = load_part(Part(dataset="digits"), Conversion(), Workspace.of("data", cache))
    for file in cache.rglob("images.npy"):
        file.unlink()
    with pytest.raises(StoreError, match=r"images.npy cannot be read .*; run the command again to make it"):
        found.images[0]


def planned(cache="cache"):
    return prepare(request([small_benchmark()], ["msp"]), workspace=Workspace.of("data", cache))


def test_a_bit_that_flips_without_a_date_is_noticed_before_anything_is_computed(monkeypatch):
    planned()
    (file, *_) = Path("cache/images").rglob("images.npy")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    # As if the disk had done it: nobody wrote.
    monkeypatch.setattr(
        "oodbench.store.artifacts._stamps",
        lambda path, _: json.loads((path / "artifact.json").read_text())["stamps"],
    )
    prepared = planned()
    with pytest.raises(StoreError, match="was damaged, and is removed; run the command again"):
        execute(prepared)
    assert not file.exists()
