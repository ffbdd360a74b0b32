"""Work on a Ray cluster: the same table as in this process, whoever is lost on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import oodbench
from oodbench.engine.naming import GivenImages
from oodbench.engine.on_ray import OnRay
from oodbench.engine.request import request
from oodbench.engine.runner import execute, prepare
from oodbench.errors import ConfigError, DeviceError
from oodbench.given.building import load_model
from oodbench.given.model import GivenModel
from oodbench.plugins import registry
from oodbench.store.records import ResultStore
from oodbench.store.rows import to_frame
from oodbench.store.workspace import Workspace
from tests.helpers import Listener, save_photos, small_benchmark
from tests.test_work import TIMES

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'oodbench[ray]'")

pytestmark = pytest.mark.filterwarnings("default")
IGNORED = [*TIMES, "device", "trained_on"]


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    # Ray lets all others go before its workers, which on a busy machine is for minutes.
    os.environ.setdefault("RAY_worker_niceness", "0")
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    made.add_node(num_cpus=1)
    environment = os.environ.get("RAY_ADDRESS")
    os.environ["RAY_ADDRESS"] = made.address
    yield made
    os.environ.pop("RAY_ADDRESS") if environment is None else os.environ.update(RAY_ADDRESS=environment)
    ray.shutdown()
    made.shutdown()


def run(results, *, on=None, methods=("msp", "ml", "odm"), **settings):
    listener = Listener()
    frame = oodbench.run(
        small_benchmark(),
        list(methods),
        results_dir=results,
        cache_dir=f"cache-{results}",
        device="cpu",
        on=on,
        report=listener,
        **settings,
    )
    return frame, listener


def test_a_cluster_gives_the_table_of_this_process(cluster):
    alone, _ = run("alone")
    together, listener = run("together", on="ray")

    pd.testing.assert_frame_equal(alone.drop(columns=IGNORED), together.drop(columns=IGNORED))
    trained = [line for line in listener.messages if "] trained small" in line]
    # The nodes of this cluster share the cache: each network is trained once.
    assert len(trained) == 3


PLUGIN = """
import os, signal, time
from dataclasses import dataclass
from pathlib import Path
from oodbench import LogitMethod

@dataclass(frozen=True, kw_only=True)
class Once(LogitMethod):
    title = "kills its worker once"
    source = "here"
    flag: str = ""

    def score_logits(self, logits):
        if self.flag and not Path(self.flag).exists():
            Path(self.flag).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return logits.amax(dim=1)

@dataclass(frozen=True, kw_only=True)
class Always(LogitMethod):
    title = "kills its worker"
    source = "here"

    def score_logits(self, logits):
        os.kill(os.getpid(), signal.SIGKILL)

@dataclass(frozen=True, kw_only=True)
class Together(LogitMethod):
    title = "says which node it is on, and waits until so many files are in its folder"
    source = "here"
    folder: str = ""
    files: int = 2

    def score_logits(self, logits):
        if self.folder:
            import ray
            folder = Path(self.folder)
            folder.joinpath(ray.get_runtime_context().get_node_id()).touch()
            deadline = time.time() + 300
            while len(list(folder.iterdir())) < self.files and time.time() < deadline:
                time.sleep(0.05)
        return logits.amax(dim=1)
"""


@pytest.fixture
def plugin_file(plugins, tmp_path):
    (tmp_path / "lost.py").write_text(PLUGIN)
    registry.add_file(tmp_path / "lost.py")


@pytest.mark.usefixtures("plugin_file")
def test_a_worker_that_is_lost_is_replaced_and_a_plugin_file_reaches_every_node(cluster):
    flag = Path("killed").absolute()
    frame, listener = run("lost", on="ray", methods=(f"once(flag={flag})", "ml"))

    assert flag.exists()
    assert set(frame["method"]) == {"once", "ml"}
    assert len([line for line in listener.messages if "] trained small ce" in line]) == 1


@pytest.mark.usefixtures("plugin_file")
def test_workers_that_are_lost_again_and_again_are_one_sentence(cluster):
    with pytest.raises(DeviceError, match="a worker of the cluster was lost 4 times .* goes on from what is stored"):
        run("gone", on="ray", methods=("always",))


def until(condition, seconds=300):
    """Return whether a condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


@pytest.mark.usefixtures("plugin_file")
def test_a_node_that_is_removed_in_mid_run_is_done_without(cluster, tmp_path):
    folder = tmp_path / "nodes"
    folder.mkdir()
    (leaving,) = (node for node in cluster.worker_nodes)

    def remove():
        # Each node scores a group, and waits for a third file.
        if until(lambda: len(list(folder.iterdir())) == 2):
            cluster.remove_node(leaving)
        (folder / "gone").touch()

    remover = threading.Thread(target=remove)
    remover.start()
    try:
        frame, listener = run("left", on="ray", methods=(f"together(folder={folder},files=3)",), seeds=2)
    finally:
        remover.join()
        cluster.add_node(num_cpus=1)

    alone, _ = run("stayed", methods=("together",), seeds=2)
    assert {file.name for file in folder.iterdir()} >= {leaving.node_id, "gone"}
    # The folder is a setting, and so a part of the key.
    named = [*IGNORED, "variant", "settings", "key"]
    pd.testing.assert_frame_equal(*(table.drop(columns=named) for table in (alone, frame)))
    # The nodes share the cache: what was trained before is not trained again.
    assert len([line for line in listener.messages if "] trained small ce" in line]) == 2


DRIVER = """
import sys
from pathlib import Path
import oodbench
from oodbench.store.records import ResultStore
from tests.helpers import Listener, small_benchmark

class Writing(Listener):
    def message(self, text):
        with Path(sys.argv[1]).open("a") as file:
            print(text, file=file)

methods = ["msp", "odm", *sys.argv[4:]]
oodbench.run(
    small_benchmark(), methods, results_dir=sys.argv[2], cache_dir=sys.argv[3], device="cpu", on="ray", report=Writing()
)
"""


def driver(*arguments):
    """Start a run on the cluster in a process of its own, which writes what it is told into a file."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    return subprocess.Popen([sys.executable, "-P", "-c", DRIVER, *map(str, arguments)], env=environment)


def trained(file):
    return [line for line in file.read_text().splitlines() if "] trained small" in line] if file.exists() else []


def test_a_driver_that_is_killed_and_started_again_trains_nothing_twice(cluster):
    process = driver("told", "results", "cache-results")
    try:
        assert until(lambda: trained(Path("told")))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    weights = {file: file.stat().st_mtime_ns for file in Path("cache-results/networks").glob("*/*/weights.pt")}
    together, listener = run("results", on="ray", methods=("msp", "odm"))
    alone, _ = run("alone", methods=("msp", "odm"))

    assert weights
    assert weights == {file: file.stat().st_mtime_ns for file in weights}
    assert len([line for line in listener.messages if "] trained small" in line]) <= 2 - len(weights)
    pd.testing.assert_frame_equal(alone.drop(columns=IGNORED), together.drop(columns=IGNORED))


def test_two_drivers_on_one_cluster_give_their_tables(cluster):
    other = driver("told", "other", "cache-other", "max_logit")
    try:
        together, _ = run("mine", on="ray", methods=("msp", "odm"))
        assert other.wait(timeout=300) == 0
    finally:
        other.kill()
    theirs = oodbench.load_results("other").query("method != 'max_logit'").reset_index(drop=True)

    pd.testing.assert_frame_equal(theirs.drop(columns=IGNORED), together.drop(columns=IGNORED))


NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(3 * 8 * 8, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, images):
        return self.head(self.body(images.flatten(1)).relu())
"""


@pytest.mark.usefixtures("plugin_file")
def test_a_given_model_reaches_every_node(cluster, tmp_path):
    folder = tmp_path / "nodes"
    folder.mkdir()
    Path("net.py").write_text(NET)
    photos, others = (
        save_photos(tmp_path / "photos", ["cats", "dogs"]),
        save_photos(tmp_path / "others", ["cars"], seed=1),
    )
    model = GivenModel.of(load_model("net.py:Net", None), normalise="none")

    def scored(results, executor, methods):
        wanted = request(
            [str(photos)],
            methods,
            seeds=2,
            out=[f"gaussian={others}"],
            own=GivenImages(image_size="8", trained=True),
            model=model,
        )
        workspace = Workspace.of(cache_dir=f"cache-{results}")
        return to_frame(execute(prepare(wanted, workspace=workspace, results_dir=Path(results), executor=executor)))

    # Both groups wait until each node has begun one.
    there = scored("there", OnRay(), [f"together(folder={folder})", "max_logit"]).query("method == 'max_logit'")
    here = scored("here", None, ["max_logit"])

    assert len(list(folder.iterdir())) == 2
    pd.testing.assert_frame_equal(here.drop(columns=IGNORED), there.drop(columns=IGNORED).reset_index(drop=True))


def test_an_address_where_no_cluster_answers_is_one_sentence():
    with pytest.raises(ConfigError, match=r"no Ray cluster answers at 127\.0\.0\.1:1 .*; start one with ray start"):
        run("nowhere", on="ray", ray_address="127.0.0.1:1")


def test_an_address_without_ray_and_another_executor_are_refused():
    with pytest.raises(ConfigError, match="--ray-address is for --on ray; give it too"):
        run("none", ray_address="auto")
    with pytest.raises(ConfigError, match="--on must be ray, or be left out for this machine, got 'slurm'"):
        run("none", on="slurm")


def test_snapshots_of_a_training_come_back_with_its_records(cluster):
    from oodbench.store.snapshots import load_snapshots

    found = []
    for results, on in (("alone-snapshots", None), ("together-snapshots", "ray")):
        run(results, on=on, methods=("ml",), snapshots=20)
        store = ResultStore(Path(results))
        found.append(load_snapshots(store, store.all()[0]))

    assert found[1].epochs.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(found[0].id, found[1].id)
