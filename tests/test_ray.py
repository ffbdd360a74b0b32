"""Work on a Ray cluster: the same table as in this process, whoever is lost on the way."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

import oodbench
from oodbench.errors import ConfigError, DeviceError
from oodbench.plugins import registry
from tests.helpers import Listener, small_benchmark
from tests.test_work import TIMES

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'oodbench[ray]'")

pytestmark = pytest.mark.filterwarnings("default")
IGNORED = [*TIMES, "device", "trained_on"]


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

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
import os, signal
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


def test_an_address_where_no_cluster_answers_is_one_sentence():
    with pytest.raises(ConfigError, match=r"no Ray cluster answers at 127\.0\.0\.1:1 .*; start one with ray start"):
        run("nowhere", on="ray", ray_address="127.0.0.1:1")


def test_an_address_without_ray_and_another_executor_are_refused():
    with pytest.raises(ConfigError, match="--ray-address is for --on ray; give it too"):
        run("none", ray_address="auto")
    with pytest.raises(ConfigError, match="--on must be ray, or be left out for this machine, got 'slurm'"):
        run("none", on="slurm")
