"""Embeddings turn, and are learnt epoch by epoch, in small files."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from oodbench.errors import ConfigError, StoreError
from oodbench.figures import animation
from oodbench.figures.animation import as_gif, as_mp4, learning, turning
from oodbench.store.records import ResultStore
from oodbench.store.snapshots import ID, Snapshots, keep_snapshots, load_snapshots, snapshots_file
from tests.report.made import save_results


@pytest.fixture
def stored(tmp_path):
    store = ResultStore(save_results(tmp_path / "results", {"odm": 1.0}, sets={"near": "novelty"}, n=30))
    (record,) = store.all()
    return store, record


def some_snapshots(record=None, dimensions=3, epochs=(1, 5, 9)):
    random = np.random.default_rng(0)
    shape = (len(epochs), 12, dimensions)
    return Snapshots(
        epochs=np.array(epochs),
        id=random.normal(size=shape).astype(np.float32),
        labels_id=np.arange(12) % 2,
        ood={"near": random.normal(size=shape).astype(np.float32)},
        fingerprints={ID: "1" * 64, "near": "2" * 64} if record is None else _fingerprints(record),
    )


def _fingerprints(record):
    return {ID: record.fingerprints["id_test"], **{row.out_dist: row.fingerprint for row in record.rows}}


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


@pytest.fixture
def figures(monkeypatch):
    """Return the figures that were made into pictures, each as what it says, its axes' limits and its colours."""
    seen = []

    def picture(figure, dpi):
        axes = [axes for axes in figure.axes if axes.has_data()]
        seen.append(
            SimpleNamespace(
                said=figure.texts[-1].get_text(),
                titles=[each.get_title() for each in axes],
                limits=[(each.get_xlim(), each.get_ylim(), each.get_zlim()) for each in axes],
                legend=[text.get_text() for text in figure.legends[0].get_texts()],
            )
        )
        return Image.new("RGB", (4, 4))

    monkeypatch.setattr(animation, "_picture", picture)
    return seen


@pytest.mark.parametrize("dimensions", [3, 5])
def test_epochs_are_drawn_one_after_another_on_the_same_axes(stored, figures, dimensions):
    store, record = stored
    drawn = partial(learning, [(record, store.scores(record), some_snapshots(record, dimensions))])

    assert len([*drawn(dpi=30, frames=9)]) == 3
    assert [figure.said for figure in figures] == ["epoch 1 of 9", "epoch 5 of 9", "epoch 9 of 9"]
    assert len({str(figure.limits) for figure in figures}) == 1
    assert len({str(figure.legend) for figure in figures}) == 1
    # Most points are inside.
    (low, high), *_ = figures[0].limits[0]
    if dimensions == 3:
        assert np.mean((some_snapshots().id > low) & (some_snapshots().id < high)) > 0.97


def test_a_longer_training_is_thinned_and_ends_with_its_end(stored, figures):
    store, record = stored
    snapshots = some_snapshots(record, epochs=range(0, 101, 10))
    [*learning([(record, store.scores(record), snapshots)], dpi=30, frames=3)]

    assert [figure.said for figure in figures] == ["epoch 0 of 100", "epoch 50 of 100", "epoch 100 of 100"]


def test_trainings_of_different_lengths_begin_and_end_together(tmp_path, figures):
    store = ResultStore(save_results(tmp_path / "results", {"ml": 1.0, "odm": 1.0}, sets={"near": "novelty"}, n=30))
    ml, odm = store.all()
    far = some_snapshots(odm, epochs=(0, 2))
    far = replace(far, id=100 * far.id)
    [*learning([(ml, store.scores(ml), some_snapshots(ml)), (odm, store.scores(odm), far)], dpi=30, frames=9)]

    said = [figure.said for figure in figures]
    assert said[0] == "epoch 1 of 9 (ml), 0 of 2 (odm)"
    assert said[-1] == "epoch 9 of 9 (ml), 2 of 2 (odm)"
    # A network's points fill its own row.
    (ml_low, _), (odm_low, _) = (limits[0] for limits in figures[0].limits)
    assert odm_low < 10 * ml_low < 0


def test_a_set_without_snapshots_has_no_panel(tmp_path, figures):
    store = ResultStore(save_results(tmp_path / "results", {"odm": 1.0}, n=30))
    (record,) = store.all()
    results = [(record, store.scores(record), some_snapshots(record))]
    [*learning(results, dpi=30, frames=1)]

    assert [title.partition("\n")[0] for title in figures[0].titles] == ["near"]
    with pytest.raises(ConfigError, match="these snapshots are of none of the OOD sets; take new ones: oodbench run"):
        [*learning([(record, results[0][1], replace(results[0][2], ood={}))], dpi=30, frames=1)]


def test_images_without_classes_have_one_colour(stored, figures):
    store, record = stored
    [*learning([(record, store.scores(record), replace(some_snapshots(record), labels_id=None))], dpi=30, frames=1)]

    assert len(figures) == 1


def test_the_end_of_a_training_stays_for_a_while(stored):
    drawn = [Image.new("RGB", (8, 8), (10 * k, 0, 0)) for k in range(6)]
    film = Image.open(io.BytesIO(as_gif(lambda **_: drawn, rest=1.5)))
    shown = []
    for k in range(film.n_frames):
        film.seek(k)
        shown.append(film.info["duration"])

    assert shown[-1] - shown[0] == 1500


def test_snapshots_are_kept_beside_their_record(stored):
    store, record = stored
    snapshots = some_snapshots(record)
    (file,) = (path.relative_to(store.root) for path in store.root.glob("*/odm-*.json"))
    keep_snapshots(snapshots.packed(), store, file, record)
    loaded = load_snapshots(store, record)

    assert snapshots_file(store, record).name == "snapshots-odmnetwork.npz"
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
