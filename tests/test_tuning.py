"""Settings that a run chooses on validation images: what is looked at, what is chosen, and what is said of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

import oodbench
from oodbench.benchmark import Part
from oodbench.data.altering import PIECES, WAYS, altered
from oodbench.engine.backtrack import _again
from oodbench.engine.request import request
from oodbench.errors import ConfigError, MissingData, UnknownName
from oodbench.metrics import auroc
from oodbench.plugins import registry
from oodbench.posthoc import LogitMethod
from oodbench.store.records import ResultStore
from oodbench.store.workspace import Workspace
from oodbench.tables import layout_table
from oodbench.testing.problem import problem
from oodbench.tuning import Tuned, changes, settings_of, tuned

from .fitting import batch_of, fit_inputs
from .helpers import Listener, small_benchmark

TUNED = [name for name, kind in registry.usable("methods").items() if hasattr(kind, "grid")]


@dataclass(frozen=True, kw_only=True)
class Weighed(LogitMethod):
    """The first logit, and a share of the second."""

    title: ClassVar[str] = "test"
    source: ClassVar[str] = "test"
    grid: ClassVar = {"weight": (0.0, 1.0, 2.0)}

    weight: float = 0.5

    def __post_init__(self):
        if self.weight == 2.0:
            raise ConfigError("weight must not be 2")

    def score_logits(self, logits):
        return logits[:, 0] + self.weight * logits[:, 1]


def inputs(validation, **parts):
    return fit_inputs(batch_of([[0.0, 0.0]]), validation=batch_of(validation), **parts)


ID = [[1.0, 0.0], [2.0, 0.0]]
TOLD_BY_THE_SECOND = [[3.0, -9.0], [1.5, -9.0]]
TOLD_BY_THE_FIRST = [[0.0, 9.0], [0.5, 9.0]]


def test_the_point_with_the_largest_auroc_is_chosen_and_written_down():
    method = tuned(Weighed(), "val", name="weighed")

    detector = method.fit(inputs(ID, ood_validation={"far": batch_of(TOLD_BY_THE_FIRST)}))

    assert detector.chosen == {"chosen": "weight", "weight": 0.0, "weight_at_edge": True, "validation_auroc": 1.0}
    assert detector.score(batch_of([[3.0, 5.0]])).tolist() == [3.0]


def test_of_equal_points_the_methods_own_settings_stay():
    method = tuned(Weighed(), "val", name="weighed")

    detector = method.fit(inputs(ID, ood_validation={"far": batch_of(TOLD_BY_THE_SECOND)}))

    # At 0.5 and at 1 both images are told from ID ones.
    assert detector.chosen["weight"] == 0.5
    assert not detector.chosen["weight_at_edge"]


def test_the_mean_over_all_validation_sets_decides():
    sets = {"a": batch_of(TOLD_BY_THE_FIRST), "b": batch_of(TOLD_BY_THE_FIRST), "c": batch_of(TOLD_BY_THE_SECOND)}
    method = tuned(Weighed(), "val", name="weighed")

    detector = method.fit(inputs(ID, ood_validation=sets))

    values = [auroc([1.0, 2.0], scores) for scores in ([0.0, 0.5], [0.0, 0.5], [3.0, 1.5])]
    assert detector.chosen["weight"] == 0.0
    assert detector.chosen["validation_auroc"] == pytest.approx(np.mean(values))


@pytest.mark.parametrize(
    ("tune", "part", "sees"),
    [
        ("id", {"altered": {"noise": batch_of(TOLD_BY_THE_FIRST)}}, {"id_validation"}),
        ("val", {"ood_validation": {"a": batch_of(TOLD_BY_THE_FIRST)}}, {"id_validation", "ood_validation"}),
        ("seen", {"seen_ood": batch_of(TOLD_BY_THE_FIRST)}, {"id_validation", "seen_ood"}),
        ("test", {"ood_test": {"a": batch_of(TOLD_BY_THE_FIRST)}}, {"id_validation", "ood_test"}),
    ],
)
def test_each_word_looks_at_its_own_images_and_says_so(tune, part, sees):
    method = tuned(Weighed(weight=1.0), tune, name="weighed")

    assert method.sees == sees
    assert method.fit(inputs(ID, **part)).chosen["weight"] == 0.0


def test_a_method_gets_nothing_for_its_fit_that_it_does_not_declare():
    given = []

    class Nosy(Weighed):
        def fit(self, inputs):
            given.append(inputs)
            return super().fit(inputs)

    tuned(Nosy(), "val", name="nosy").fit(inputs(ID, ood_validation={"a": batch_of(TOLD_BY_THE_FIRST)}))

    assert all(entry.validation is None and not entry.ood_validation and not entry.altered for entry in given)
    # One for its own weight, and one for each of the grid that it does not refuse.
    assert len(given) == 3


def test_without_held_out_images_or_others_it_is_a_sentence():
    method = tuned(Weighed(), "val", name="weighed")
    with pytest.raises(ConfigError, match="weighed needs held-out ID images to choose its settings on"):
        method.fit(replace(inputs(ID), validation=None))
    with pytest.raises(ConfigError, match="weighed.tune=val needs OOD images that this benchmark does not have"):
        method.fit(inputs(ID))


def test_settings_that_are_given_are_not_chosen():
    gen = registry.method("gen")
    assert tuned(gen(), "id", name="gen").names == ("gamma", "top")
    assert tuned(gen(gamma=0.5), "id", name="gen", given=["gamma"]).names == ("top",)
    assert tuned(gen(), "id", name="gen", given=["gamma", "top"]) is None
    assert tuned(registry.method("msp")(), "id", name="msp") is None


def test_a_method_that_chooses_by_itself_does():
    odin, mahalanobis = registry.method("odin"), registry.method("mahalanobis")
    assert tuned(odin(), "val", name="odin") == odin(epsilon="auto", tune="val")
    assert tuned(odin(epsilon=0.1), "val", name="odin", given=["epsilon"]) is None
    assert tuned(mahalanobis(), "val", name="mahalanobis") is None
    assert tuned(mahalanobis(layers="all"), "val", name="mahalanobis") == mahalanobis(layers="all", tune="val")


def test_a_word_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="tune must be one of id, val, seen, test, got 'vall'. Did you mean 'val'"):
        tuned(Weighed(), "vall", name="weighed")


def test_records_have_the_settings_and_what_they_are_chosen_on():
    method = tuned(registry.method("react")(score="msp"), "id", name="react")
    assert settings_of(method) == {"score": "msp", "percentile": 90.0, "tune": "id"}
    assert changes(method, registry.method("react")()) == {"score": "msp", "tune": "id"}
    assert settings_of(registry.method("react")()) == {"score": "energy", "percentile": 90.0}


@pytest.mark.parametrize("name", TUNED)
def test_every_method_with_a_grid_is_tuned(name):
    kind = registry.method(name)
    method = tuned(kind(**getattr(kind, "quick", {})), "id", name=name)
    tested = problem(method)

    detector = method.fit(tested.inputs)

    assert isinstance(method, Tuned)
    assert detector.score(tested.easy).isfinite().all()
    # Others than its own settings are taken for a gain only.
    own = method.method.fit(tested.inputs)
    value = auroc(own.score(tested.inputs.validation).numpy(), own.score(tested.inputs.altered["noise"]).numpy())
    assert detector.chosen["validation_auroc"] >= value


GRIDS = ["react", "dice", "ash", "gen", "knn", "fdbd", "nci", "relation", "vim", "nac", "scale", "vra"]


def run(methods, benchmark=None, **options):
    listener = Listener()
    frame = oodbench.run(benchmark or small_benchmark(), methods, report=listener, **options)
    return frame, listener


def test_points_of_grids_cost_no_pass_of_the_network():
    frame, listener = run(GRIDS, tune="id")

    passes = [task for task, done, total in listener.tasks if task.startswith("forward pass") and done == total]
    # ID training images, with the held-out ones, ID test images, three OOD sets, and three ways to alter held-out ones.
    assert len(passes) == 8
    assert frame["method"].nunique() == len(GRIDS)


def test_what_was_chosen_stands_in_the_record_and_below_the_table():
    frame, listener = run(["react", "msp"], tune="id")

    fitted = json.loads(frame.loc[frame["method"] == "react", "fitted"].iloc[0])
    assert fitted["chosen"] == "percentile"
    assert fitted["percentile"] in (85.0, 90.0, 95.0, 99.0)
    assert set(frame.loc[frame["method"] == "react", "sees"]) == {"id_validation"}
    notes = layout_table(frame, "matrix").notes
    chosen = f"percentile chosen: {fitted['percentile']:g}"
    assert any(note.startswith("react (tune=id): score=energy, tune=id, ") and chosen in note for note in notes)
    assert "nothing to choose, run with their settings: msp" in listener.messages


def test_each_method_may_say_it_for_itself():
    frame, _ = run(["react", "react(tune=id)"])
    assert frame["variant"].drop_duplicates().tolist() == ["react", "react (tune=id)"]

    with pytest.raises(ConfigError, match=r"react.tune=id has nothing to choose, since percentile is given"):
        run("react(percentile=85, tune=id)")
    with pytest.raises(UnknownName, match="msp has no setting 'tune'"):
        run("msp(tune=id)")


def test_set_goes_before_tune():
    wanted = request([small_benchmark()], ["gen", "react", "odin"], settings=["react.percentile=80"], tune="id")

    gen, react, odin = (entry.method for entry in wanted.methods["small"])
    assert isinstance(gen, Tuned)
    assert react == registry.method("react")(percentile=80.0)
    assert odin == registry.method("odin")(epsilon="auto", tune="id")
    assert wanted.untuned == ("react",)


def test_a_tuned_result_can_be_traced_back_to_its_network():
    benchmark = "digits"
    oodbench.run(benchmark, "gen(tune=id)", settings={"recipe": {"epochs": 1}})
    store = ResultStore(Workspace().artifacts.root.parent / "results")
    (record,) = (store.load(file.relative_to(store.root)) for file in store.root.rglob("*.json"))

    cell, _ = _again(record, Workspace(), {})

    assert cell.key == record.key
    assert isinstance(cell.method, Tuned)


def test_tuning_on_test_sets_is_marked():
    frame, _ = run("react", tune="test")

    assert set(frame["sees"]) == {"id_validation ood_test"}
    assert any("THE OOD TEST SETS" in note for note in layout_table(frame, "matrix").notes)


def test_validation_images_that_a_benchmark_has_are_looked_at_and_are_in_no_test_set():
    # The same digit is validated and tested on: its images are left out of the one.
    parts = {"zeros": Part(dataset="digits", classes=("1", "5"))}
    frame, listener = run("react", small_benchmark(ood_validation=parts), tune="val")

    assert set(frame["sees"]) == {"id_validation ood_validation"}
    assert "zeros" not in set(frame["out_dist"])
    assert any(
        message.startswith("leaving out") and message.endswith("they are test images as well")
        for message in listener.messages
    )


def test_validation_images_that_are_not_wanted_are_not_read():
    parts = {"gone": Part(dataset="gone")}
    run("msp", small_benchmark(ood_validation=parts))
    with pytest.raises((MissingData, UnknownName), match="gone"):
        run("react", small_benchmark(ood_validation=parts), tune="val")


@pytest.mark.parametrize(
    ("tune", "changes", "said"),
    [
        ("val", {}, "--tune val needs validation OOD images, and small has none; take --tune id"),
        ("seen", {"seen": {}, "ood": small_benchmark().ood[1:]}, "--tune seen needs seen OOD training images"),
        ("id", {"validation_share": 0.0}, "--tune id needs held-out ID images, and small holds none out"),
        ("ids", {}, "tune must be one of id, val, seen, test, got 'ids'"),
    ],
)
def test_what_a_benchmark_does_not_have_is_one_sentence_before_anything_is_loaded(tune, changes, said):
    with pytest.raises(ConfigError, match=said):
        request([small_benchmark(**changes)], ["react"], tune=tune)


def test_one_method_alone_is_told_what_is_missing():
    with pytest.raises(ConfigError, match="react.tune=val needs validation OOD images, and small has none"):
        run("react(tune=val)")


def pictures(n=6, side=9):
    return np.random.default_rng(0).integers(0, 256, (n, 3, side, side)).astype(np.uint8)


@pytest.mark.parametrize("way", WAYS)
def test_altered_images_are_new_and_the_same_with_the_same_seed(way):
    images = pictures()
    first, again, other = (altered(images, way, seed).images for seed in (0, 0, 1))

    assert first.shape == images.shape
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not (first == images).all(axis=(1, 2, 3)).any()


def test_a_jigsaw_has_the_same_pieces_in_other_places():
    images = pictures(side=8)
    mixed = altered(images, "jigsaw", 0).images

    def pieces(image):
        cut = image.reshape(3, PIECES, 2, PIECES, 2).transpose(1, 3, 0, 2, 4).reshape(PIECES**2, -1)
        return sorted(map(tuple, cut.tolist()))

    assert all(pieces(one) == pieces(other) for one, other in zip(images, mixed, strict=True))


def test_what_no_piece_holds_stays_and_images_smaller_than_the_cut_stay_as_they_are():
    images = pictures(side=9)
    mixed = altered(images, "jigsaw", 0).images
    assert np.array_equal(mixed[:, :, 8], images[:, :, 8])
    assert np.array_equal(altered(pictures(side=3), "jigsaw", 0).images, pictures(side=3))


def test_a_mean_is_of_two_different_images():
    images = np.array([0, 100, 201], dtype=np.uint8).reshape(3, 1, 1, 1)
    means = sorted(altered(images, "mean of two", 0).images.ravel().tolist())
    assert means == [50, 100, 150]


def test_noise_has_the_mean_and_the_spread_of_the_pixels():
    images = np.full((50, 1, 20, 20), 100, dtype=np.uint8)
    images[:, :, ::2] = 140
    noise = altered(images, "noise", 0).images
    assert noise.mean() == pytest.approx(120, abs=1)
    assert noise.std() == pytest.approx(20, abs=1)
