"""Embeddings turn, and are learnt epoch by epoch, in small files."""

from __future__ import annotations

import io
import shutil
from functools import partial

import numpy as np
import pytest
from PIL import Image

from oodbench.errors import ConfigError, StoreError
from oodbench.figures import animation
from oodbench.figures.animation import as_gif, as_mp4, learning, turning
from oodbench.store.records import ResultStore
from oodbench.store.snapshots import Snapshots, load_snapshots, save_snapshots, snapshots_file
from tests.report.made import save_results


@pytest.fixture
def stored(tmp_path):
    store = ResultStore(save_results(tmp_path / "results", {"odm": 1.0}, sets={"near": "novelty"}, n=30))
    (record,) = store.all()
    return store, record


def some_snapshots(dimensions=3, epochs=(1, 5, 9)):
    random = np.random.default_rng(0)
    shape = (len(epochs), 12, dimensions)
    return Snapshots(
        epochs=np.array(epochs),
        id=random.normal(size=shape).astype(np.float32),
        labels_id=np.arange(12) % 2,
        ood={"near": random.normal(size=shape).astype(np.float32)},
    )


def test_cloud_turns_once_around(stored):
    store, record = stored
    pictures = [*turning([(record, store.scores(record))], dpi=30, frames=3)]

    assert len(pictures) == 3
    assert len({picture.tobytes() for picture in pictures}) == 3


def test_gif_is_made_smaller_until_it_fits(stored, monkeypatch):
    store, record = stored
    drawn = [*turning([(record, store.scores(record))], dpi=40, frames=4)]
    whole = as_gif(lambda **_: drawn)
    monkeypatch.setattr(animation, "BYTES", len(whole) - 1)
    smaller = as_gif(lambda **_: drawn)

    assert len(smaller) < len(whole)
    assert Image.open(io.BytesIO(whole)).n_frames == 4
    assert Image.open(io.BytesIO(smaller)).size < Image.open(io.BytesIO(whole)).size

    monkeypatch.setattr(animation, "BYTES", 10)
    with pytest.raises(ConfigError, match="choose fewer methods or OOD sets: --method, --ood"):
        as_gif(lambda **_: drawn)


def test_colours_of_points_are_kept_in_a_gif(stored):
    store, record = stored
    drawn = [*turning([(record, store.scores(record))], dpi=40, frames=2)]
    picture = Image.open(io.BytesIO(as_gif(lambda **_: drawn))).convert("RGB")
    colours = {colour for _, colour in picture.getcolors(1_000_000)}

    assert (0xC0, 0x39, 0x2B) in colours


@pytest.mark.parametrize("dimensions", [3, 5])
def test_epochs_are_drawn_one_after_another_on_the_same_axes(stored, dimensions):
    store, record = stored
    drawn = partial(learning, [(record, store.scores(record), some_snapshots(dimensions))])

    assert len([*drawn(dpi=30, frames=9)]) == 3
    assert len([*drawn(dpi=30, frames=2)]) == 2


def test_snapshots_are_kept_beside_their_record(stored):
    store, record = stored
    snapshots = some_snapshots()
    save_snapshots(snapshots_file(store, record), snapshots)
    loaded = load_snapshots(store, record)

    assert snapshots_file(store, record).name == "odm-1a2b3c4d-seed0.snapshots.npz"
    np.testing.assert_array_equal(loaded.id, snapshots.id)
    np.testing.assert_array_equal(loaded.ood["near"], snapshots.ood["near"])
    np.testing.assert_array_equal(loaded.labels_id, snapshots.labels_id)
    # They are no record, and do not keep records from being found.
    assert store.all() == [record]


def test_missing_and_damaged_snapshots_are_told(stored):
    store, record = stored
    with pytest.raises(StoreError, match="no snapshots of the training of odm on tiny, seed 0"):
        load_snapshots(store, record)

    snapshots_file(store, record).write_bytes(b"PK")
    with pytest.raises(StoreError, match="is damaged"):
        load_snapshots(store, record)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg: apt-get install ffmpeg")
def test_mp4_is_made_by_ffmpeg(stored):
    store, record = stored
    drawn = [*turning([(record, store.scores(record))], dpi=30, frames=2)]
    film = as_mp4(lambda **_: drawn)

    assert b"ftyp" in film[:16]
    assert film.index(b"moov") < film.index(b"mdat")


def test_missing_ffmpeg_is_told(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)

    with pytest.raises(ConfigError, match="an MP4 needs ffmpeg, which is not installed"):
        as_mp4(lambda **_: [])
