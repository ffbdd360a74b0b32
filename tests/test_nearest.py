"""Backtracking: which images are drawn, which training images are the nearest, and what keeps it from being drawn."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import oodbench
from oodbench.batch import Batch
from oodbench.benchmark import OodSet, Part
from oodbench.engine.backtrack import ID_TEST, NEIGHBOURS, Cluster, Refused, _changes, _Clusters, _space, backtrack
from oodbench.errors import ScoreError, StoreError
from oodbench.figures.nearest import draw_nearest
from oodbench.images import ImageSet
from oodbench.objectives import CrossEntropy
from oodbench.plugins import registry
from oodbench.store.records import ResultStore
from oodbench.store.workspace import Workspace
from tests.helpers import save_photos, small_benchmark
from tests.test_records import a_record


def refused(n=3, *, taken_for="7", channels=1, level=None):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n + 1, channels, 8, 8), dtype=np.uint8)
    if level is not None:
        images[:] = level
    return Refused(
        image=images[0],
        score=-0.5,
        taken_for=taken_for,
        neighbours=images[1:],
        classes=["2", "7", "7"][:n],
        distances=np.arange(1.0, n + 1),
    )


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_a_row_shows_the_refused_image_and_its_neighbours_with_class_and_distance():
    figure = draw_nearest(a_record("msp"), {"noise": [refused()]}, "features")
    assert titles(figure) == ["taken for 7\nscore -0.5", "2\n1", "7\n2", "7\n3"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["noise"]
    assert "in the features" in figure.get_supxlabel()


def test_clusters_stand_between_the_refused_image_and_its_neighbours():
    close = [Cluster(image=np.zeros((1, 8, 8), dtype=np.uint8), name=name, distance=2.0) for name in ("7 (90%)", "2")]
    with_some = dataclasses.replace(refused(), clusters=close)
    figure = draw_nearest(a_record("skip"), {"noise": [with_some, refused()]}, "code")
    assert titles(figure)[:5] == ["taken for 7\nscore -0.5", "7 (90%)\n2", "2\n2", "2\n1", "7\n2"]
    assert "nearest clusters" in figure.get_supxlabel()
    assert "clusters" not in draw_nearest(a_record("msp"), {"noise": [refused()]}, "features").get_supxlabel()


def a_batch(images, labels, **outputs):
    names = ("2", "6", "7")
    source = ImageSet(name="set", images=images, labels=labels, class_names=names if labels is not None else ())
    return Batch.of(source, {name: np.array(values) for name, values in outputs.items()}, torch.device("cpu"))


def test_a_cluster_is_its_most_central_image_and_the_class_of_most_of_its_images():
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 2, 2), dtype=np.uint8)
    # The second of three clusters is empty.
    squared = [[1.0, 9.0, 4.0], [0.5, 9.0, 4.0], [2.0, 9.0, 3.0], [4.0, 9.0, 1.0], [4.0, 9.0, 0.1]]
    train = a_batch(images, np.array([0, 0, 1, 2, 2]), squared_distances=squared)

    found = _Clusters.of(train, ("2", "6", "7"))
    ((first, second),) = found.near(a_batch(images[:1], None, squared_distances=[[4.0, 0.0, 9.0]]))

    assert [first.name, second.name] == ["2 (66%)", "7"]
    assert [first.distance, second.distance] == [2.0, 3.0]
    assert [first.image.max(), second.image.max()] == [1, 4]
    assert _Clusters.of(a_batch(images, None, code=squared), ()) is None


def test_methods_that_do_not_classify_and_colour_images_are_drawn():
    figure = draw_nearest(a_record("vae"), {"a": [refused(taken_for="", channels=3)] * 2}, "code")
    assert titles(figure)[0] == "score -0.5"
    assert figure.axes[0].images[0].get_array().shape == (8, 8, 3)


def test_an_image_of_a_single_grey_level_keeps_its_level():
    figure = draw_nearest(a_record("msp"), {"noise": [refused(level=200)]}, "features")
    assert figure.axes[0].images[0].get_clim() == (0, 255)


def test_sets_that_are_let_through_are_named():
    figure = draw_nearest(a_record("msp"), {"easy": [refused()], "hard": []}, "features")
    assert "None refused: hard." in figure.get_supxlabel()
    assert "None refused: hard." in draw_nearest(a_record("msp"), {"hard": []}, "features").get_supxlabel()


def test_what_auto_precision_took_is_no_change_of_the_recipe():
    prescribed = {"epochs": 4, "precision": "auto"}
    assert _changes({"epochs": 2, "precision": "float32", "newer": 1}, prescribed) == {"epochs": 2}


class Gives:
    """A batch that gives some outputs."""

    def __init__(self, **outputs):
        self.outputs = outputs

    def at(self, index):
        return self

    @property
    def logits(self):
        return self.outputs["logits"]


class Embeds:
    def embed(self, outputs):
        return outputs


def test_a_code_or_an_embedding_goes_before_features_and_class_probabilities_are_none():
    logits = torch.tensor([[1.0, -2.0], [0.0, 3.0]])
    assert _space(Gives(code=logits, features=logits, logits=logits), CrossEntropy()) == "code"
    assert _space(Gives(features=logits, logits=logits), CrossEntropy()) == "features"
    assert _space(Gives(features=logits, logits=logits), Embeds()) == "embedding"
    with pytest.raises(ScoreError, match=r"neither features nor an embedding .* \(it gives: distance\)"):
        _space(Gives(distance=logits), CrossEntropy())


@pytest.fixture
def small(monkeypatch):
    known = small_benchmark(
        ood=(OodSet(name="new digits", part=Part(dataset="digits", classes=("5",)), role="novelty"),)
    )
    find = registry.benchmark
    monkeypatch.setattr(registry, "benchmark", lambda name: known if name == "small" else find(name))
    return known


def stored(folder, small, method="msp", **options):
    places = {"results_dir": folder / "r", "cache_dir": folder / "c", "data_dir": folder}
    oodbench.run(small, method, recipe="short", **places, **options)
    (record,) = ResultStore(folder / "r").all()
    return record, ResultStore(folder / "r").scores(record), Workspace.of(folder, folder / "c")


def test_refused_images_of_a_stored_result_have_the_nearest_training_images(small, tmp_path):
    record, scores, workspace = stored(
        tmp_path, small, settings=["recipe.epochs=1", "recipe.max_images=60"], contaminate="0.2:uniform"
    )
    found = backtrack(record, scores, workspace)

    assert found.space == "features"
    assert list(found.sets) == [ID_TEST, "new digits"]
    limit = np.quantile(scores.id, 0.06)
    for entry in (entry for of_set in found.sets.values() for entry in of_set):
        assert entry.score < limit
        assert len(entry.neighbours) == NEIGHBOURS
        assert (np.diff(entry.distances) >= 0).all()
        assert set(entry.classes) <= {"2", "6", "7"}
    assert all(entry.clusters == [] for of_set in found.sets.values() for entry in of_set)
    lowest = found.sets["new digits"][0]
    assert lowest.score == scores.ood["new digits"].min()


def test_refused_images_have_the_nearest_of_learnt_clusters(small, tmp_path):
    record, scores, workspace = stored(
        tmp_path, small, "skip(width=4)", contaminate="0.2:uniform", contaminate_labels="none"
    )
    found = backtrack(record, scores, workspace)

    assert found.space == "code"
    for entry in (entry for of_set in found.sets.values() for entry in of_set):
        assert 1 <= len(entry.clusters) <= 3
        assert [cluster.distance for cluster in entry.clusters] == sorted(c.distance for c in entry.clusters)
        assert {cluster.name.partition(" ")[0] for cluster in entry.clusters} <= {"2", "6", "7"}


@pytest.fixture
def photos(tmp_path):
    save_photos(tmp_path / "mine" / "photos", ("cat", "cow", "dog", "elk", "fox", "owl"))
    save_photos(tmp_path / "mine" / "scenes", ("sea", "sky"), seed=1)
    return tmp_path / "mine"


def stored_photos(folder, photos, **options):
    places = {"results_dir": folder / "r", "cache_dir": folder / "c", "data_dir": folder}
    settings = ["recipe.epochs=1", "recipe.network=tinynet"]
    oodbench.run(str(photos / "photos"), "msp", image_size="12x8", settings=settings, **places, **options)
    (record,) = ResultStore(folder / "r").all()
    return record, ResultStore(folder / "r").scores(record)


def test_images_of_ones_own_are_found_at_the_paths_that_are_given(photos, tmp_path):
    record, scores = stored_photos(tmp_path, photos, out=[str(photos / "scenes")])
    elsewhere = Workspace.of(tmp_path, tmp_path / "c")
    with pytest.raises(StoreError, match=r"photos cannot be laid out again: no train images of .*photos"):
        backtrack(record, scores, elsewhere)

    paths = {"photos": str(photos / "photos")}
    assert list(backtrack(record, scores, elsewhere, paths).sets) == [ID_TEST, "gaussian"]
    paths["scenes"] = str(photos / "scenes")
    assert list(backtrack(record, scores, elsewhere, paths).sets) == [ID_TEST, "gaussian", "scenes"]
    # The data folder is where they are looked for.
    assert list(backtrack(record, scores, Workspace.of(photos, tmp_path / "c")).sets) == [ID_TEST, "gaussian", "scenes"]


def test_split_classes_are_divided_as_they_were(photos, tmp_path):
    record, scores = stored_photos(tmp_path, photos, split="50/0/50", split_seed=3)
    found = backtrack(record, scores, Workspace.of(tmp_path, tmp_path / "c"), {"photos": str(photos / "photos")})
    assert list(found.sets) == [ID_TEST, "unseen classes", "gaussian"]
    shown = {name for of_set in found.sets.values() for entry in of_set for name in entry.classes}
    assert shown <= set(record.class_names)


def test_a_network_that_is_gone_is_told_with_what_to_run(small, tmp_path):
    record, scores, _ = stored(tmp_path, small)
    with pytest.raises(StoreError, match=r"network of msp on small is not in .*; run it again: oodbench run --in sm"):
        backtrack(record, scores, Workspace.of(tmp_path, tmp_path / "other"))
    other = dataclasses.replace(record, key="other")
    with pytest.raises(StoreError, match=r"not what would be run now: images, settings or code have changed; run it"):
        backtrack(other, scores, Workspace.of(tmp_path, tmp_path / "c"))
    with pytest.raises(StoreError, match=r"model that was given"):
        backtrack(dataclasses.replace(record, training={}), scores, Workspace.of(tmp_path, tmp_path / "c"))
