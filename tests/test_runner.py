"""From a request to results: everything once, nothing lost, same seed, same numbers."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import oodbench
from oodbench.benchmark import OodSet, Part
from oodbench.engine.plan import make_plan
from oodbench.engine.request import request
from oodbench.engine.runner import execute, prepare
from oodbench.errors import (
    ConfigError,
    DataError,
    DeviceError,
    MissingData,
    ScoreError,
    StoreError,
    TrainingError,
    UnknownName,
)
from oodbench.hashing.values import digest
from oodbench.metrics import METRICS
from oodbench.objectives import CrossEntropy
from oodbench.plugins import registry
from oodbench.posthoc import LogitMethod
from oodbench.store.artifacts import ArtifactStore
from oodbench.store.records import ResultStore
from oodbench.store.workspace import Workspace

from .helpers import Listener, small_benchmark

IGNORED = ["train_seconds", "fit_seconds", "score_seconds"]


FEW = ("msp", "odin(epsilon=auto)", "gram", "ensemble(members=2)", "ml", "odm")
"""One of each kind: of logits, tuned, of inner layers, of several networks, trained anew, trained on seen images."""
CPU = f"cpu (threads: {torch.get_num_threads()})"


def run(methods=FEW, results="results", cache="cache", **options):
    listener = Listener()
    frame = oodbench.run(small_benchmark(), methods, results_dir=results, cache_dir=cache, report=listener, **options)
    return frame, listener


@pytest.fixture
def more():
    """Have folders with a few images of two other kinds, and return the option that says where."""
    rng = np.random.default_rng(0)
    for name in ("dots", "spots"):
        folder = Path("images", name, "test")
        folder.mkdir(parents=True)
        for i in range(30):
            Image.fromarray(rng.integers(0, 256, (8, 8)).astype(np.uint8)).save(folder / f"{i:02}.png")
    return {"data_dir": "images"}


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """Return the rows of one method of each kind, of two seeds."""
    folder = tmp_path_factory.mktemp("everything")
    return run(seeds=2, results=folder / "results", cache=folder / "cache")[0]


@pytest.fixture
def few_installed(monkeypatch):
    """Leave only a few methods for "all", and return their names: trainings of all take minutes."""
    found, few = registry.names, ["ensemble", "ml", "msp", "odin", "odm"]
    monkeypatch.setattr(registry, "names", lambda kind: few if kind == "methods" else found(kind))
    return few


def test_every_method_has_a_row_for_every_ood_set_and_seed(everything):
    frame = everything
    names = [method.partition("(")[0] for method in FEW]
    expected = {(m, s, o) for m in names for s in (0, 1) for o in ("seen digits", "new digits", "noise")}
    assert set(zip(frame["method"], frame["seed"], frame["out_dist"], strict=True)) == expected
    assert frame[list(METRICS)].notna().all().all()
    assert frame["accuracy"].between(0.5, 1).all()


def test_same_seed_gives_the_same_table_twice(everything):
    again, _ = run()

    first = everything[everything["seed"] == 0].reset_index(drop=True)
    pd.testing.assert_frame_equal(first.drop(columns=IGNORED), again.drop(columns=IGNORED))


def test_another_seed_gives_other_numbers():
    frame, _ = run("ml", seeds=2)

    assert frame.groupby("seed")["auroc"].mean().nunique() == 2


def test_seeds_may_begin_elsewhere(everything):
    later, _ = run(first_seed=1)

    second = everything[everything["seed"] == 1].reset_index(drop=True)
    pd.testing.assert_frame_equal(second.drop(columns=IGNORED), later.drop(columns=IGNORED))
    assert request(["digits"], ["msp"], seeds=2, first_seed=3).seeds == (3, 4)


def test_methods_that_share_an_objective_share_one_trained_network():
    _, listener = run(["msp", "odin"])

    assert listener.count("trained") == 1
    assert listener.count("scored") == 2


def test_each_set_goes_through_a_network_once_for_all_methods():
    _, listener = run(["msp", "odin(epsilon=auto)"])

    passes = [task for task, done, total in listener.tasks if task.startswith("forward pass") and done == total]
    # ID training (for odin's validation images) and test images, and the three OOD sets.
    assert len(passes) == 5


def test_what_is_stored_is_not_run_again():
    first, _ = run("msp")
    second, listener = run("msp")

    pd.testing.assert_frame_equal(first, second)
    assert listener.messages == []


def test_force_scores_again_with_the_network_that_is_there():
    first, _ = run("msp")
    second, listener = run("msp", force=True)

    assert (listener.count("trained"), listener.count("scored")) == (0, 1)
    pd.testing.assert_frame_equal(first.drop(columns=IGNORED), second.drop(columns=IGNORED))


def test_new_method_uses_the_network_that_is_there():
    run("msp")
    _, listener = run("odin")

    assert (listener.count("trained"), listener.count("scored")) == (0, 1)


def test_changed_recipe_trains_anew_and_keeps_the_other_result():
    run("msp")
    frame, listener = run("msp", settings={"recipe": {"epochs": 3}})

    assert listener.count("trained") == 1
    assert set(frame["recipe"]) == {"default (epochs=3)"}
    assert set(oodbench.load_results()["recipe"]) == {"default", "default (epochs=3)"}


def test_changed_hyper_parameter_is_another_result_beside_the_first():
    run("ml")
    run("ml", settings=["ml.margin=2"])

    assert set(oodbench.load_results()["variant"]) == {"ml", "ml (margin=2)"}


def test_training_that_is_cut_short_says_so():
    frame, _ = run("msp", recipe="short")

    assert set(frame["cut_short"]) == {"2 of 4 epochs, at most 100 training images"}
    assert "Reduced training" in oodbench.make_table(frame)


def test_changed_images_are_a_changed_result():
    run("msp")
    ood = (OodSet(name="noise", part=Part(dataset="gaussian", settings={"count": 60}), role="anomaly"),)
    listener = Listener()
    frame = oodbench.run(small_benchmark(ood=ood), "msp", cache_dir="cache", report=listener)

    assert (listener.count("trained"), listener.count("scored")) == (0, 1)
    assert frame["n_ood"].tolist() == [60]


def test_rows_carry_what_is_needed_to_make_them_again():
    frame, _ = run("odin(epsilon=auto)")
    row = frame.iloc[0]
    record = ResultStore(Path("results")).all()[0]

    assert json.loads(row["settings"])["temperature"] == 1000.0
    assert json.loads(row["fitted"])["epsilon"] in [0.0, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08]
    assert row["sees"] == "id_validation"
    assert (row["device"], row["trained_on"]) == (CPU, CPU)
    assert row["torch_version"] == torch.__version__
    assert row["plugin"] == f"oodbench {oodbench.__version__}"
    assert len({record.fingerprints[name] for name in ("id_train", "id_test", "weights")}) == 3
    assert row["train_seconds"] > 0


def test_metrics_are_those_of_the_stored_scores():
    frame, _ = run("ml")
    store = ResultStore(Path("results"))
    record = store.all()[0]
    scores = store.scores(record)

    expected = [oodbench.metrics.auroc(scores.id, scores.ood[row.out_dist]) for row in record.rows]
    assert frame["auroc"].tolist() == expected


def test_seen_mark_is_only_on_rows_of_methods_that_used_seen_images():
    frame, _ = run(["msp", "ml", "odm"])

    assert set(frame.loc[frame["seen"], "method"]) == {"odm"}
    assert set(frame.loc[frame["seen"], "out_dist"]) == {"seen digits"}


def test_missing_ood_set_is_skipped_with_a_word_and_leaves_a_gap():
    ood = (*small_benchmark().ood, OodSet(name="cats", part=Part(dataset="cats"), role="anomaly"))
    listener = Listener()
    frame = oodbench.run(small_benchmark(ood=ood), "msp", report=listener)

    assert listener.count("small: skipping the OOD set 'cats': no test images of cats: looked for") == 1
    assert frame.loc[frame["out_dist"] == "cats", "auroc"].isna().all()
    assert "no data: cats" in oodbench.make_table(frame)


def test_method_that_needs_seen_images_is_left_out_of_all_and_refused_by_name(few_installed):
    bare = small_benchmark(seen={}, ood=small_benchmark().ood[1:])
    with pytest.warns(UserWarning, match="left out: odm needs seen OOD training images, and small has none"):
        frame = oodbench.run(bare, "all", settings=["ensemble.members=2"])

    assert set(frame["method"]) == set(few_installed) - {"odm"}
    with pytest.raises(ConfigError, match="odm needs seen OOD training images, and small has none"):
        oodbench.run(bare, "odm")


def test_plan_has_each_training_once(few_installed):
    prepared = prepare(request([small_benchmark()], ["all"], seeds=2))

    trainings = prepared.plan.trainings()
    assert len(prepared.plan.cells) == 2 * len(few_installed)
    # Five classifiers for the ensemble of each seed, the first two of which serve everybody else.
    assert sorted(job.seed for job in trainings if job.objective.name == "ce") == list(range(10))
    assert [job.seed for job in trainings if job.objective.uses_seen_ood] == [0, 1]
    assert len({job.key for job in trainings}) == len(trainings)
    assert prepared.to_do() == list(prepared.plan.cells)


def test_repeated_names_are_one():
    wanted = request([small_benchmark(), small_benchmark()], ["msp", "msp"])

    assert len(make_plan(wanted, prepare(wanted).data).cells) == 1


def test_key_of_a_cell_depends_on_method_settings_recipe_and_seed():
    def keys(*methods, **options):
        return {cell.key for cell in prepare(request([small_benchmark()], methods, **options)).plan.cells}

    base = keys("ml")
    others = [
        keys("msp"),
        keys("ml", settings=["ml.margin=3"]),
        keys("ml", recipe="short"),
        keys("ml", seeds=2) - base,
    ]
    assert all(not base & other for other in others)
    assert base <= keys("ml", seeds=2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Own(LogitMethod):
    title = "mine"
    source = "here"
    scale: float = 1.0

    def score_logits(self, logits):
        return self.scale * logits.amax(dim=1)


given = []
"""What methods of the class `Pair` were fitted with."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair(Own):
    networks = (CrossEntropy(), CrossEntropy())
    sees = frozenset({"id_validation"})

    def fit(self, inputs):
        given.append(inputs)
        return super().fit(inputs)


def test_validation_images_of_several_networks_are_those_that_none_was_trained_on():
    benchmark = small_benchmark(validation_share=0.4)
    prepared = prepare(request([benchmark], [Pair(), "msp"]))
    halves = [job.hold_out(prepared.data["small"]) for job in prepared.plan.trainings()]
    given.clear()

    execute(prepared)

    rows = given[0].validation.rows
    assert len(halves) == 2
    assert len(rows) > 20
    assert set(rows) == set(halves[0].validation) & set(halves[1].validation)
    assert not any(set(rows) & set(half.fit) for half in halves)
    assert given[0].train.rows.tolist() == halves[0].fit.tolist()


def test_several_networks_that_no_image_was_held_out_from_give_no_validation_images():
    given.clear()
    oodbench.run(small_benchmark(validation_share=0.01), Pair())

    assert given[0].validation is None


def test_a_record_of_several_networks_states_all_of_them():
    run(["msp", "ensemble(members=2)", "ensemble(members=3)"])
    store = ResultStore(Path("results"))
    ensemble, larger, msp = sorted(store.all(), key=lambda record: record.variant)
    (cell, _) = prepare(
        request([small_benchmark()], ["ensemble(members=2)", "msp"]), workspace=Workspace.of(cache_dir="cache")
    ).plan.cells
    facts = [ArtifactStore(Path("cache")).facts("networks", key) for key in cell.network_keys]

    assert len(facts) == 2
    assert ensemble.seconds["train"] == sum(fact["seconds"] for fact in facts)
    assert msp.seconds["train"] == facts[0]["seconds"]
    assert msp.fingerprints["members"] is None
    assert len({ensemble.fingerprints["members"], larger.fingerprints["members"], None}) == 3
    # Pictures show the first network, which is that of the other method.
    assert ensemble.fingerprints["weights"] == msp.fingerprints["weights"]
    assert np.array_equal(store.scores(ensemble).embedding_id, store.scores(msp).embedding_id)


def test_a_record_names_each_device_that_trained_one_of_its_networks_once():
    (cell,) = prepare(
        request([small_benchmark()], ["ensemble(members=3)"]), workspace=Workspace.of(cache_dir="cache")
    ).plan.cells
    run("ensemble(members=3)")
    facts = Path("cache", "networks", cell.network_keys[1][:2], cell.network_keys[1], "artifact.json")
    manifest = json.loads(facts.read_text().replace(f'"device": "{CPU}"', '"device": "a GPU"'))
    manifest["sha256"] = digest({name: manifest[name] for name in ("files", "facts")})
    facts.write_text(json.dumps(manifest))

    frame, _ = run("ensemble(members=3)", force=True)

    assert set(frame["trained_on"]) == {f"{CPU}, a GPU"}


class NotANumber(Own):
    def score_logits(self, logits):
        return logits.amax(dim=1) * float("nan")


class OneForAll(Own):
    def score_logits(self, logits):
        return logits.amax()


def test_method_of_ones_own_runs_beside_the_others():
    frame, _ = run([Own(scale=2.0), "msp"])

    assert list(dict.fromkeys(frame["variant"])) == ["own (scale=2)", "msp"]
    assert set(frame.loc[frame["method"] == "own", "plugin"]) == {"passed to oodbench.run"}


def test_scores_that_are_not_finite_are_an_error_that_names_method_and_set():
    with pytest.raises(ScoreError, match=r"notanumber gave 178 of 178 images of digits \(test\) a score that is NaN"):
        run(NotANumber())


def test_scores_of_the_wrong_shape_are_an_error_that_names_the_shape_wanted():
    with pytest.raises(ScoreError, match=r"oneforall returned scores of shape \(\) for 178 images"):
        run(OneForAll())


def test_failing_method_loses_nothing_that_was_finished():
    with pytest.raises(ScoreError):
        run(["msp", NotANumber()])

    assert set(oodbench.load_results()["method"]) == {"msp"}


class Faulty(Own):
    def score_logits(self, logits):
        return logits.amax(dim=1) / {}["missing"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FaultyLoss(CrossEntropy):
    name = "faulty loss"

    def loss(self, outputs, labels, generator):
        raise ValueError("no loss today")


class Untrainable(Own):
    networks = (FaultyLoss(),)


def test_what_goes_wrong_in_a_method_is_one_sentence_and_the_others_are_stored():
    said = (
        r"^faulty failed with KeyError: 'missing' \(test_runner\.py, line \d+, in score_logits\); OODBENCH_TRACEBACK=1"
    )
    with pytest.raises(ScoreError, match=said) as caught:
        run([Faulty(), "msp"])

    assert isinstance(caught.value.__cause__, KeyError)
    assert set(oodbench.load_results()["method"]) == {"msp"}


def test_what_goes_wrong_in_a_training_is_one_sentence_and_other_networks_are_trained():
    said = r"^training small faulty loss seed 0 failed with ValueError: no loss today \(test_runner\.py, line"
    with pytest.raises(TrainingError, match=said):
        run([Untrainable(), "msp"])

    assert set(oodbench.load_results()["method"]) == {"msp"}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"methods": "mps"}, UnknownName, "no method 'mps'. Did you mean 'msp'"),
        ({"recipe": "shrt"}, UnknownName, "benchmark small has no recipe 'shrt'. Did you mean 'short'"),
        ({"settings": ["ml.marin=3"]}, UnknownName, "ml has no setting 'marin'. Did you mean 'margin'"),
        ({"settings": ["mll.margin=3"]}, UnknownName, "settings for 'mll', which is no method of this run"),
        ({"settings": ["recipe.epoch=3"]}, UnknownName, "recipe has no setting 'epoch'. Did you mean 'epochs'"),
        ({"settings": ["recipe.epochs=0"]}, ConfigError, "epochs must be at least 1, got 0"),
        ({"seeds": 0}, ConfigError, "--seeds must be at least 1"),
        ({"first_seed": -1}, ConfigError, "--first-seed must be from 0 to 1,000,000, got -1"),
        ({"first_seed": 0.5}, ConfigError, "first_seed must be a whole number, such as 3, got 0.5"),
        ({"seeds": [0, 1]}, ConfigError, r"seeds must be a number, how many to run, such as 3, got \[0, 1\]"),
        ({"device": "gpu"}, DeviceError, "no device 'gpu'; choose auto, cpu, cuda or single GPUs"),
    ],
)
def test_wrong_request_is_refused_before_anything_is_done(options, error, message):
    methods = options.pop("methods", ["msp", "ml"])
    with pytest.raises(error, match=message):
        run(methods, **options)

    assert not Path("results").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_gpu_that_is_not_there_is_an_error():
    with pytest.raises(DeviceError, match="device 'cuda' was asked for"):
        run(device="cuda")


def test_results_folder_that_cannot_be_written_to_is_refused_before_training():
    Path("taken").write_text("a file")

    with pytest.raises(StoreError, match="taken/below cannot be written to"):
        run(results="taken/below")
    assert not Path("cache").exists()


def test_half_written_record_is_refused_by_name_and_kept():
    run("msp")
    (path,) = Path("results").glob("small/*.json")
    half = path.read_text()[:100]
    path.write_text(half)

    with pytest.raises(StoreError, match=rf"{path} is not a whole record .*delete it and run"):
        run("msp")
    assert path.read_text() == half


@pytest.mark.parametrize("kind", ["networks", "outputs", "images"])
def test_damaged_artifact_is_made_again_with_the_same_result(kind):
    first, _ = run("msp")
    damaged = [file for file in Path("cache", kind).rglob("*") if file.suffix in (".pt", ".npy")]
    for file in damaged:
        file.write_bytes(file.read_bytes()[:-7] + b"damaged")
    second, _ = run("msp", force=True)

    assert damaged
    pd.testing.assert_frame_equal(first.drop(columns=IGNORED), second.drop(columns=IGNORED))


def test_missing_id_images_are_an_error_that_says_where_and_how():
    bare = small_benchmark(id_train=Part(dataset="mnist", split="train"))

    with pytest.raises(
        MissingData, match=r"MNIST/raw/train-images-idx3-ubyte or .*mnist\.zip.*oodbench data --download"
    ):
        oodbench.run(bare, "msp", data_dir="images")


def test_class_that_is_not_in_the_data_is_an_error():
    bare = small_benchmark(id_train=Part(dataset="digits", split="train", classes=("2", "eleven")))

    with pytest.raises(DataError, match=r"digits \(train\) has no class 'eleven'; its classes are: 0, 1"):
        oodbench.run(bare, "msp")


KILLED = """
import time
from pathlib import Path
import oodbench, torch
from oodbench.training import loop
from helpers import small_benchmark, Listener
torch.set_num_threads(1)
loop.SECONDS_BETWEEN_CHECKPOINTS = 0
loop.train.__kwdefaults__["checkpoint_seconds"] = 0
class Slow(Listener):
    def progress(self, task, done, total):
        if "contrastive" in task and done == 2:
            Path("ready").touch()
            time.sleep(60)
oodbench.run(small_benchmark(), ["msp", "ml"], results_dir="results", cache_dir="cache", report=Slow())
"""


def test_run_that_is_killed_and_started_again_ends_with_the_same_table():
    whole, _ = run(["msp", "ml"], results="whole", cache="cache-whole")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    process = subprocess.Popen([sys.executable, "-P", "-c", KILLED], env=environment)
    deadline = time.monotonic() + 300
    while not Path("ready").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    between = oodbench.load_results()

    again, listener = run(["msp", "ml"])

    assert set(between["method"]) == {"msp"}
    assert (listener.count("trained"), listener.count("scored")) == (1, 1)
    assert not list(Path("cache", "checkpoints").iterdir())
    assert not [file for file in Path("results").rglob("*") if file.name.startswith(".")]
    pd.testing.assert_frame_equal(whole.drop(columns=IGNORED), again.drop(columns=IGNORED))


def test_a_damaged_checkpoint_is_told_and_does_not_keep_the_run_from_its_result():
    (job,) = prepare(request([small_benchmark()], ["msp"])).plan.trainings()
    checkpoint = Path("cache", "checkpoints", f"{job.key}.pt")
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"half a check")

    frame, listener = run("msp")

    assert len(frame) == 3
    assert listener.count("training anew: cannot resume from the checkpoint (it is damaged); it is kept as") == 1
    assert [path.name for path in checkpoint.parent.iterdir()] == [f"{job.key}.unusable"]


def test_scores_are_kept_in_full_precision():
    run("msp")
    store = ResultStore(Path("results"))

    assert store.scores(store.all()[0]).id.dtype == np.float64


def test_more_ood_sets_are_added_to_what_is_stored_and_cost_no_training(more):
    run("msp")
    wider, listener = run("msp", out="dots", **more)
    again, later = run("msp", **more)

    assert (listener.count("trained"), listener.count("scored")) == (0, 1)
    assert wider["out_dist"].tolist() == ["seen digits", "new digits", "noise", "dots"]
    assert later.messages == []
    assert again["out_dist"].tolist() == ["seen digits", "new digits", "noise"]
    assert set(oodbench.load_results()["out_dist"]) == {"seen digits", "new digits", "noise", "dots"}


def test_scores_of_sets_of_an_earlier_run_are_kept_with_the_new_ones(more):
    run("msp", out="dots", **more)
    store = ResultStore(Path("results"))
    (before,) = store.all()
    old = store.scores(before).ood["dots"]
    run("msp", out="spots", **more)
    (after,) = store.all()

    assert np.array_equal(store.scores(after).ood["dots"], old)
    assert [row.out_dist for row in after.rows] == ["seen digits", "new digits", "noise", "spots", "dots"]


def test_ood_set_that_is_asked_for_by_name_must_be_there():
    with pytest.raises(MissingData, match="no test images of cats"):
        run("msp", out="cats")


def test_network_that_cannot_take_the_images_is_an_error_that_says_so():
    with pytest.raises(ConfigError, match="network vgg13 cannot take images of 1×8×8 .*; choose another network"):
        run("msp", settings=["recipe.network=vgg13"])


def test_method_that_looks_at_the_test_sets_is_fitted_anew_for_others(more):
    odin = "odin(epsilon=auto,tune=test,tune_images=20)"
    run(odin)
    _, listener = run(odin, out="dots", **more)
    _, again = run(odin)

    assert (listener.count("scored"), again.count("scored")) == (1, 1)


def test_broken_plugin_is_left_out_of_all_with_its_reason(monkeypatch, few_installed):
    from oodbench.errors import PluginError

    found = registry.method

    def method(name):
        if name == "odm":
            raise PluginError("method 'odm' cannot be imported")
        return found(name)

    monkeypatch.setattr(registry, "method", method)
    prepared = prepare(request([small_benchmark()], ["all"]))

    assert prepared.plan.left_out == ("method 'odm' cannot be imported",)
    assert {cell.method_name for cell in prepared.plan.cells} == set(few_installed) - {"odm"}


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_force_replaces_a_damaged_result(more, suffix):
    run("msp", out="dots", **more)
    (path,) = Path("results").glob(f"small/*{suffix}")
    path.write_bytes(path.read_bytes()[:100])

    run("msp", force=True)

    store = ResultStore(Path("results"))
    (record,) = store.all()
    assert (
        set(store.scores(record).ood) == {row.out_dist for row in record.rows} == {"seen digits", "new digits", "noise"}
    )


def test_a_result_without_its_scores_is_made_again_with_the_network_that_is_there():
    first, _ = run("msp")
    (path,) = Path("results").glob("small/*.npz")
    path.unlink()
    second, listener = run("msp")

    assert (listener.count("trained"), listener.count("scored")) == (0, 1)
    assert path.exists()
    pd.testing.assert_frame_equal(first.drop(columns=IGNORED), second.drop(columns=IGNORED))


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("options", [{"out": "dots"}, {"force": True}], ids=["another set", "force"])
def test_a_run_that_dies_between_scores_and_record_is_gone_on_with(monkeypatch, more, options):
    options = {**options, **more}
    real = os.replace

    def replace(source, target):
        if target.suffix == ".json":
            raise StoppedError
        real(source, target)

    run("msp")
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", replace)
        with pytest.raises(StoppedError):
            run("msp", **options)
    store = ResultStore(Path("results"))
    (between,) = store.all()
    assert store.scores(between).ood.keys() == {"seen digits", "new digits", "noise"}

    again, _ = run("msp", **options)

    (record,) = store.all()
    assert list(store.scores(record).ood) == again["out_dist"].tolist()


def test_drawn_embeddings_are_spread_over_a_set_that_may_be_in_the_order_of_its_classes():
    from oodbench.engine.evaluation import DRAWN, _spread

    labels = np.repeat(np.arange(5), 500)

    assert np.bincount(labels[_spread(2500)]).tolist() == [DRAWN // 5] * 5
    assert _spread(7).tolist() == list(range(7))


def test_stored_cell_is_named_as_the_run_that_finds_it_asks_for_it():
    long = {"recipe": "short", "settings": ["recipe.epochs=4", "recipe.max_images=none", "odin.temperature=10"]}
    recipes = small_benchmark().recipes
    hotter = dataclasses.replace(recipes["default"], methods={"odin": {"temperature": 10}})
    benchmark = small_benchmark(recipes={**recipes, "default": hotter})
    before = oodbench.run(benchmark, ["odin", "msp"], **long)
    frame = oodbench.run(benchmark, ["odin", "msp"], seeds=2)

    assert set(before["recipe"]) == {"short (epochs=4, max_images=None)"}
    assert set(before["variant"]) == {"odin (temperature=10)", "msp"}
    assert set(frame["recipe"]) == {"default"}
    assert set(frame["variant"]) == {"odin", "msp"}
    assert set(before["key"]) < set(frame["key"])
    # Nor are there two methods in the table of what is stored.
    table = oodbench.make_table(oodbench.load_results(), "matrix")
    assert "over 2 seeds" in table
    assert "[" not in table


def test_two_benchmarks_of_the_same_id_images_have_rows_of_their_own():
    alike = [small_benchmark(), small_benchmark("alike", ood=small_benchmark().ood[2:])]
    sets = {"small": ["seen digits", "new digits", "noise"], "alike": ["noise"]}
    for _ in range(2):
        frame = oodbench.run(alike, "msp")
        assert {name: list(rows["out_dist"]) for name, rows in frame.groupby("in_dist")} == sets


def test_a_table_of_something_else_than_rows_is_refused():
    with pytest.raises(ConfigError, match=r"^a table is made of result rows, .*, got str$"):
        oodbench.make_table("x")
