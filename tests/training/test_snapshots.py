"""Snapshots: the training does not notice them, and a resumed one has those of one that was not stopped."""

from __future__ import annotations

import dataclasses
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
from torch import nn

import oodbench
from oodbench.engine.request import request
from oodbench.engine.runner import prepare
from oodbench.errors import ConfigError, StoreError, TrainingError
from oodbench.objectives import CrossEntropy
from oodbench.store.artifacts import ArtifactStore
from oodbench.store.records import ResultStore
from oodbench.store.snapshots import ID, Snapshots, load_snapshots, snapshots_file
from oodbench.training import snapshots as taking
from oodbench.training.checkpoint import Checkpoint
from oodbench.training.config import TrainConfig
from oodbench.training.loop import train
from oodbench.training.snapshots import CheckpointWithSnapshots, SnapshotTaker
from tests.helpers import DIGITS, Listener, small_benchmark
from tests.test_work import TIMES
from tests.training.test_loop import CPU, KilledError, build, images, weights

SETS = ["seen digits", "new digits", "noise"]


def run(methods, folder="results", cache="cache", benchmark=None, **options):
    listener = Listener()
    frame = oodbench.run(
        benchmark or small_benchmark(), methods, results_dir=folder, cache_dir=cache, report=listener, **options
    )
    return frame, listener


def taken(folder="results", method=None):
    store = ResultStore(Path(folder))
    record = next(record for record in store.all() if method in (None, record.method))
    return load_snapshots(store, record)


def same(one, other):
    np.testing.assert_array_equal(one.epochs, other.epochs)
    np.testing.assert_array_equal(one.labels_id, other.labels_id)
    assert one.fingerprints == other.fingerprints
    assert [*one.ood] == [*other.ood]
    for name, values in {ID: one.id, **one.ood}.items():
        np.testing.assert_array_equal(values, other.id if name == ID else other.ood[name])


def test_outputs_of_the_same_images_are_kept_after_each_epoch():
    run("ml", snapshots=20)
    found = taken()

    assert found.epochs.tolist() == [0, 1, 2, 3, 4]
    assert found.id.shape == (5, 20, 3)
    assert {name: values.shape for name, values in found.ood.items()} == dict.fromkeys(SETS, (5, 20, 3))
    # Evenly over the set, with the classes of these images.
    assert set(found.labels_id) == set(range(len(DIGITS)))
    # What is learnt is not what the network said before.
    assert np.abs(found.id[-1] - found.id[0]).max() > 0.1


def test_the_last_snapshot_is_what_the_trained_network_says():
    run("ml", snapshots=50)
    store = ResultStore(Path("results"))
    (record,) = store.all()
    scores, found = store.scores(record), taken()

    rows = np.linspace(0, len(scores.embedding_id) - 1, 50).round().astype(int)
    np.testing.assert_allclose(found.id[-1], scores.embedding_id[rows], atol=1e-5)
    np.testing.assert_array_equal(found.labels_id, scores.labels_id[rows])
    # Of 50 images of noise all are kept in both.
    np.testing.assert_allclose(found.ood["noise"][-1], scores.embedding_ood["noise"], atol=1e-5)


@pytest.mark.parametrize("method", ["msp", "ml", "odm", "vae", "mc_dropout"])
def test_a_training_with_snapshots_ends_with_the_same_numbers_under_the_same_key(method):
    without, _ = run(method, "without", "cache-without")
    with_them, _ = run(method, "with", "cache-with", snapshots=20)

    pd.testing.assert_frame_equal(without.drop(columns=TIMES), with_them.drop(columns=TIMES))
    (one,), (other,) = (ResultStore(Path(folder)).all() for folder in ("without", "with"))
    assert (one.key, one.fingerprints) == (other.key, other.fingerprints)
    assert one.training == other.training


class Draws(nn.Module):
    """A network that draws random numbers, and has a part that stays in evaluation mode, whenever it is asked."""

    def __init__(self):
        super().__init__()
        self.body = build()
        self.frozen = nn.BatchNorm1d(3).eval()

    def features(self, images):
        return self.frozen(self.body(images)) + torch.rand(1)

    def head(self, features):
        return features

    def forward(self, images):
        return self.body(images)


@dataclasses.dataclass
class FewImages:
    """As much of a benchmark's images as is looked at."""

    images: np.ndarray
    labels: np.ndarray
    fingerprint: str = "few"

    def __len__(self):
        return len(self.images)


@dataclasses.dataclass
class FewData:
    id_test: FewImages
    ood: dict


def a_taker(**changes):
    data = images(40, seed=5)
    return SnapshotTaker(
        data=FewData(FewImages(data.images, data.labels), {"far": FewImages(data.seen, None, "far")}),
        objective=CrossEntropy(),
        count=10,
        device=CPU,
        **changes,
    )


def trained(taker, epochs=6, network=Draws, **options):
    def begin():
        module = network()
        if taker is not None:
            taker.begin(module)
        return module

    return train(
        begin,
        CrossEntropy(),
        images(),
        TrainConfig(epochs=epochs, batch_size=32),
        seed=1,
        device=CPU,
        on_epoch=lambda epoch, n_epochs, *_: taker and taker.after(epoch, n_epochs),
        **options,
    )[0]


def test_looking_moves_neither_random_numbers_nor_modes():
    plain = trained(None)
    modes = []

    class Watched(Draws):
        def forward(self, images):
            modes.append((self.training, self.body[3].training, self.frozen.training))
            return super().forward(images)

    looked_at = trained(a_taker(), network=Watched)

    assert torch.equal(weights(plain), weights(looked_at))
    # `frozen` is put in training mode by the loop itself, once, and what the loop says stays.
    assert set(modes) == {(True, True, True)}


def test_modes_of_single_parts_are_kept():
    network = Draws()
    network.train()
    network.frozen.eval()
    a_taker().begin(network)

    assert (network.training, network.frozen.training) == (True, False)


def test_a_long_training_keeps_few_epochs_evenly_with_the_first_and_the_last(monkeypatch):
    monkeypatch.setattr(taking, "EPOCHS", 4)
    taker = a_taker()
    trained(taker, epochs=9)

    assert taker.result().epochs.tolist() == [0, 3, 6, 9]


def test_wide_outputs_are_bounded_in_bytes(monkeypatch):
    taker = a_taker()
    # 10 images of each set, three numbers each.
    monkeypatch.setattr(taking, "BYTES", 3 * 2 * 10 * 3 * 4)
    trained(taker, epochs=8)
    found = taker.result()

    assert found.epochs.tolist() == [0, 4, 8]
    assert found.id.nbytes + found.ood["far"].nbytes <= taking.BYTES


@pytest.mark.parametrize("killed_at", [1, 2, 5])
def test_a_killed_training_goes_on_with_the_snapshots_of_one_that_was_not(tmp_path, killed_at):
    whole = a_taker()
    trained(whole)
    stopped, resumed = a_taker(), a_taker()

    def kill(epoch, n_epochs, *_):
        if epoch == killed_at:
            raise KilledError
        stopped.after(epoch, n_epochs)

    def begin():
        module = Draws()
        stopped.begin(module)
        return module

    checkpoint = CheckpointWithSnapshots(tmp_path / "state.pt", taker=stopped)
    config = TrainConfig(epochs=6, batch_size=32)
    options = {"seed": 1, "device": CPU, "checkpoint_seconds": 0}
    with pytest.raises(KilledError):
        train(begin, CrossEntropy(), images(), config, checkpoint=checkpoint, on_epoch=kill, **options)
    trained(resumed, checkpoint=CheckpointWithSnapshots(tmp_path / "state.pt", taker=resumed), checkpoint_seconds=0)

    assert resumed.resumed_without == 0
    same(resumed.result(), whole.result())


@pytest.mark.parametrize("before", ["without", "other images"])
def test_what_was_trained_without_is_missing_and_counted(tmp_path, before):
    whole, stopped, resumed = a_taker(), a_taker(), a_taker()
    trained(whole)
    stopped.count = 5
    path = tmp_path / "state.pt"

    def kill(epoch, *_):
        if epoch == 4:
            raise KilledError

    def begin():
        module = Draws()
        stopped.begin(module)
        return module

    checkpoint = Checkpoint(path) if before == "without" else CheckpointWithSnapshots(path, taker=stopped)
    with pytest.raises(KilledError):
        train(
            begin,
            CrossEntropy(),
            images(),
            TrainConfig(epochs=6, batch_size=32),
            seed=1,
            device=CPU,
            checkpoint=checkpoint,
            on_epoch=kill,
            checkpoint_seconds=0,
        )
    trained(resumed, checkpoint=CheckpointWithSnapshots(path, taker=resumed))
    found, expected = resumed.result(), whole.result()

    assert resumed.resumed_without == 3
    assert found.epochs.tolist() == [0, 4, 5, 6]
    np.testing.assert_array_equal(found.id, expected.id[[0, 4, 5, 6]])


def test_an_unusable_checkpoint_begins_with_snapshots_anew(tmp_path):
    whole, taker = a_taker(), a_taker()
    trained(whole)
    checkpoint = CheckpointWithSnapshots(tmp_path / "state.pt", taker=taker)
    taker.begin(Draws())
    checkpoint.save({"device": "cuda", "losses": [1.0, 1.0]})
    trained(taker, checkpoint=checkpoint)

    same(taker.result(), whole.result())


KILLED = """
import time
from pathlib import Path
import oodbench, torch
from oodbench.training import loop
from helpers import small_benchmark, Listener
torch.set_num_threads(1)
loop.train.__kwdefaults__["checkpoint_seconds"] = 0
class Slow(Listener):
    def progress(self, task, done, total):
        if "contrastive" in task and done == 3:
            Path("ready").touch()
            time.sleep(60)
oodbench.run(small_benchmark(), ["odm"], results_dir="results", cache_dir="cache", report=Slow(), snapshots=20)
"""


def test_a_run_that_is_killed_and_started_again_ends_with_the_same_snapshots():
    run("odm", "whole", "cache-whole", snapshots=20)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    process = subprocess.Popen([sys.executable, "-P", "-c", KILLED], env=environment)
    deadline = time.monotonic() + 60
    while not Path("ready").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(Path("results").rglob("snapshots-*"))

    _, listener = run("odm", snapshots=20)

    assert listener.count("trained") == 1
    same(taken(), taken("whole"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Continued(CrossEntropy):
    """Starts where the plain classifier ends."""

    name = "continued"

    @property
    def starts_from(self):
        return CrossEntropy()


def test_an_objective_that_starts_from_another_begins_with_what_that_one_ended_with():
    from oodbench.posthoc import LogitMethod

    class Later(LogitMethod):
        name, title, source = "later", "later", "here"

        @property
        def networks(self):
            return (Continued(),)

        def score_logits(self, logits):
            return logits.amax(dim=1)

    run(["msp", Later()], snapshots=20)
    first, then = taken(method="msp"), taken(method="later")

    np.testing.assert_allclose(then.id[0], first.id[-1], atol=1e-6)
    assert np.abs(then.id[-1] - first.id[-1]).max() > 0


def test_methods_that_share_a_network_share_its_snapshots():
    run(["msp", "energy"], snapshots=20)

    assert len(list(Path("results/small").glob("snapshots-*.npz"))) == 1
    same(taken(method="msp"), taken(method="energy"))


def test_a_network_without_an_embedding_is_drawn_by_its_code():
    run("autoencoder", snapshots=20)

    assert taken().id.shape[:2] == (5, 20)


def test_a_network_with_nothing_to_draw_is_told_and_not_trained_again():
    _, listener = run("flow", snapshots=20)

    (told,) = [line for line in listener.messages if line.startswith("no snapshots of")]
    assert "its network gives no embedding, no features and no code" in told
    _, listener = run("flow", snapshots=20, force=True)
    assert (listener.count("trained"), listener.count("no snapshots")) == (0, 0)


def test_a_network_that_is_there_without_snapshots_is_told_with_what_to_do():
    run("msp")
    _, listener = run("msp", snapshots=20)

    assert (listener.count("trained"), listener.count("scored")) == (0, 0)
    (told,) = listener.messages
    assert told == (
        "no snapshots of small ce seed 0: this network was trained before, without them or on other sets; to train "
        "again for them: --force (in Python: force=True)"
    )
    store = ResultStore(Path("results"))
    with pytest.raises(
        StoreError, match=r"keep some: oodbench run --in small --method msp --snapshots 300, with --force"
    ):
        load_snapshots(store, store.all()[0])


def test_force_trains_it_again_once():
    first, _ = run("msp")
    second, listener = run("msp", snapshots=20, force=True)

    assert (listener.count("trained"), listener.count("scored")) == (1, 1)
    pd.testing.assert_frame_equal(first.drop(columns=TIMES), second.drop(columns=TIMES))
    assert taken().epochs.tolist() == [0, 1, 2, 3, 4]
    _, listener = run("msp", snapshots=20, force=True)
    assert (listener.count("trained"), listener.count("scored")) == (0, 1)
    assert run("msp", snapshots=20)[1].messages == []


def test_the_network_stays_until_the_one_with_snapshots_is_whole(monkeypatch):
    run("msp")

    def fail(*_):
        raise KilledError

    with monkeypatch.context() as changed:
        changed.setattr(SnapshotTaker, "after", fail)
        with pytest.raises(TrainingError, match="KilledError"):
            run("msp", snapshots=20, force=True)

    _, listener = run("energy")
    assert listener.count("trained") == 0


def test_stored_cells_get_the_snapshots_of_a_network_that_has_some():
    run("msp", "elsewhere", snapshots=20)
    run("msp")
    for file in Path("results/small").glob("snapshots-*"):
        file.unlink()
    _, listener = run("msp", snapshots=20)

    assert (listener.count("trained"), listener.count("scored")) == (0, 1)
    same(taken(), taken("elsewhere"))


def test_another_ood_set_needs_other_snapshots():
    run("msp", snapshots=20)
    _, listener = run("msp", snapshots=20, out=["uniform"])

    assert listener.count("no snapshots of small ce seed 0") == 1
    assert "uniform" not in taken().ood
    _, listener = run("msp", snapshots=20, out=["uniform"], force=True)
    assert listener.count("trained") == 1
    assert {*taken().ood} == {*SETS, "uniform"}


def test_snapshots_of_networks_that_are_gone_go_as_well():
    run("msp", snapshots=20)
    (before,) = Path("results/small").glob("snapshots-*")
    for file in Path("results/small").glob("msp-*"):
        file.unlink()
    run("msp", settings=["recipe.epochs=2"], snapshots=20)

    assert len(list(Path("results/small").glob("snapshots-*"))) == 1
    assert not before.exists()


def test_snapshots_of_other_images_are_refused():
    run("msp", snapshots=20)
    store = ResultStore(Path("results"))
    (record,) = store.all()
    path = snapshots_file(store, record)
    found = Snapshots.of_file(path)
    path.write_bytes(dataclasses.replace(found, fingerprints={**found.fingerprints, ID: "0" * 64}).packed())

    with pytest.raises(StoreError, match="are of other images; take new ones: oodbench run"):
        load_snapshots(store, record)


def test_the_cache_counts_snapshots_with_their_network():
    from oodbench.store.usage import kept_in

    run("msp", snapshots=100)
    (network,) = [one for one in kept_in(ArtifactStore(Path("cache"))) if one.kind == "networks"]

    assert network.size == sum(file.stat().st_size for file in network.path.iterdir())
    assert (network.path / "snapshots.npz").stat().st_size < network.size


def test_a_dry_run_says_what_is_trained_again():
    run("msp")

    def to_train(**options):
        prepared = prepare(request([small_benchmark()], ["msp"], snapshots=20), results_dir=Path("results"), **options)
        (job,) = prepared.plan.trainings()
        return not job.is_there(prepared.data, prepared.workspace)

    cache = {"workspace": oodbench.store.workspace.Workspace.of(None, "cache")}
    assert not to_train(**cache)
    assert to_train(force=True, **cache)


def test_several_processes_keep_them_as_one_does():
    run(["msp", "ml"], "alone", "cache-alone", snapshots=20)
    run(["msp", "ml"], "together", "cache-together", snapshots=20, device="cpu,cpu")

    for method in ("msp", "ml"):
        same(taken("alone", method), taken("together", method))


@pytest.mark.parametrize("count", [0, 9, 1001, "300", True])
def test_a_number_of_images_that_cannot_be_is_one_sentence(count):
    with pytest.raises(ConfigError, match="--snapshots must be from 10 to 1,000, how many images of each set"):
        run("msp", snapshots=count)
