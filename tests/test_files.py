"""The walk through a folder: how far it goes, what it tells, and what it opens."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from oodbench import files
from oodbench.benchmark import Part
from oodbench.data import parts
from oodbench.data.parts import load_part
from oodbench.errors import DataError
from oodbench.files import LARGEST, Pictures, read_file, walk
from oodbench.folders import place
from oodbench.images import Conversion, described
from oodbench.plugins import registry
from oodbench.store.workspace import Workspace

from .gallery.pieces import classes, png, pngs, write, zipped
from .helpers import Listener


def test_a_disk_is_no_set_of_images(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "JUDGED", 100)
    write(tmp_path / "home", {**pngs("photo.png"), **{f"code/{k}.py": b"" for k in range(150)}})

    with pytest.raises(
        DataError, match=r"home is no set of images: of the first 100 files and folders [01] are images"
    ):
        walk(tmp_path / "home")


def test_many_images_among_as_many_other_files_are_a_set(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "JUDGED", 10)
    write(tmp_path, {name: b"" for k in range(30) for name in (f"{k}.png", f"{k}.txt")})

    assert len(walk(tmp_path).images) == 30


def test_a_long_walk_tells_how_far_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "_TOLD", 2000)
    many = tmp_path / "many"
    many.mkdir()
    for k in range(2100):
        (many / f"{k}.png").touch()
    (many / "0.png").write_bytes(png(0))
    heard = Listener()

    with pytest.raises(DataError, match=r"1\.png cannot be decoded"):
        load_part(Part(dataset=str(many)), Conversion(size=(4, 4)), Workspace.of(None, tmp_path / "cache", heard))
    assert heard.messages[0] == f"looking for images in {many}: 2,000 files so far"
    assert [done for task, done, _ in heard.tasks if task == f"looking for images in {many}"] == [0, 0, 1]


def test_an_image_bears_the_name_of_its_real_folder(tmp_path):
    write(tmp_path, classes("zebra", each=1))
    (tmp_path / "animal").symlink_to("zebra")

    found = walk(tmp_path)
    assert (list(found.images), found.again) == (["zebra/0.png"], 1)


def test_a_link_does_not_lead_above_the_folder(tmp_path):
    write(tmp_path, {**pngs("in/photos/a.png", "in/b.png", "c.png")})
    (tmp_path / "in/photos/up").symlink_to(tmp_path)

    assert list(walk(tmp_path / "in/photos").images) == ["a.png"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_read_is_named(tmp_path):
    write(tmp_path, classes("cat", "dog"))
    (tmp_path / "dog").chmod(0)

    with pytest.raises(DataError, match="dog cannot be read"):
        walk(tmp_path)
    (tmp_path / "dog").chmod(0o700)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_regular_file_is_not_waited_for(tmp_path, make):
    make(tmp_path / "a.png")

    with pytest.raises(DataError, match=r"a\.png cannot be read \((it is no regular file|Is a directory)\)"):
        read_file(tmp_path / "a.png")


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(LARGEST + 1)

    with pytest.raises(DataError, match=r"a\.png has 0\.5 GB, and an image at most 0\.5 GB"):
        read_file(tmp_path / "a.png")


def test_pictures_can_be_gone_through_twice(tmp_path):
    found = files.in_zip(zipped(tmp_path / "a.zip", pngs("a.png", "b.png")))
    pictures = Pictures(list(found.images.values()))

    first, again = ([np.asarray(each).tobytes() for each in pictures] for _ in range(2))
    assert first == again
    assert len(pictures) == 2


def test_what_was_found_is_told_again_from_the_cache_and_once_a_run(tmp_path):
    folder = write(tmp_path / "photos", {**classes("cat", "dog"), "cat/a.txt": b""})

    def told():
        heard, said = Listener(), set()
        for _ in range(2):
            workspace = Workspace.of(None, tmp_path / "cache", heard)
            load_part(Part(dataset=str(folder)), Conversion(), workspace, said=said)
        return heard.messages

    assert told() == told() == [
        f"{folder} (test): 8 images in 2 classes: cat 4, dog 4",
        f"{folder} (test): passing over 1 files of no known image format (.txt 1)",
    ]  # fmt: skip


def test_many_classes_are_shortened():
    labels = [k for k in range(100) for _ in range(1 + k % 3)]

    assert described("it", labels, [f"c{k}" for k in range(100)], len(labels)) == (
        "it: 199 images in 100 classes: c0 1, c1 2, c2 3, c3 1, c4 2, c5 3, c6 1, c7 2, c8 3, c9 1, c10 2, c11 3, and "
        "88 others with 1 to 3 images each"
    )


def test_a_zip_that_is_named_is_meant_where_a_folder_has_its_name_too(tmp_path):
    write(tmp_path, {"photos/a.png": png(0), "other/a.png": png(0)})
    zipped(tmp_path / "photos.zip", pngs("a.png"))
    zipped(tmp_path / "alone.zip", pngs("a.png"))

    assert place(f"{tmp_path}/photos.zip") == ("photos", f"{tmp_path}/photos.zip")
    assert place(f"{tmp_path}/photos") == ("photos", f"{tmp_path}/photos")
    assert place(f"{tmp_path}/alone.zip") == ("alone", f"{tmp_path}/alone")


@pytest.mark.parametrize("name", ["gaussian", "rademacher", "blob"])
def test_noise_is_made_in_pieces_of_the_same_pixels(name, monkeypatch):
    noise = registry.dataset(name, {"count": 7})
    conversion = Conversion(size=(5, 6), channels=3)
    whole = noise.read("test", Path(), conversion).images
    monkeypatch.setattr(f"{type(noise).__module__}._NUMBERS", 200)

    np.testing.assert_array_equal(whole, noise.read("test", Path(), conversion).images)


def test_noise_takes_little_more_memory_than_its_bytes():
    count, side = 150, 224
    tracemalloc.start()
    try:
        images = registry.dataset("uniform", {"count": count}).read(
            "test", Path(), Conversion(size=(side, side), channels=3)
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert images.images.nbytes == count * side * side * 3
    # As float64 they were 180 MB, several times.
    assert peak < images.images.nbytes + (100 << 20)
