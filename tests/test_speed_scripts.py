"""The speed scripts run, on a few images; what they measure is not tested."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

pytest.importorskip("pytorch_ood", reason="pytorch-ood is not installed: pip install oodbench[peers]")

FOLDER = Path(__file__).parents[1] / "benchmarks"
# With few images a fit may not be determined, or the peer's takes longer than all others together.
QUICK = ("openmax", "knn", "mahalanobis", "mahalanobis_step", "rmds", "gmm", "vim", "nac", "gram")


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    yield importlib.import_module
    for name in ("_scene", "detectors", "metrics", "scaling"):
        sys.modules.pop(name, None)


def test_detectors_are_timed_counted_and_compared(script, capsys):
    script("detectors").main(
        ["--images", "30", "--sets", "2", "--dropout-passes", "2", "--together", "--without", *QUICK]
    )

    lines = capsys.readouterr().out.splitlines()
    columns = {line.split()[0]: line.split() for line in lines if "," not in line.split()[0]}
    # 451 of 500 training images are fitted to; ID images go through theirs once for each OOD set, and ODIN's twice.
    assert columns["msp"][3] == columns["gradnorm"][3] == "120"
    assert columns["react"][3] == "571"
    assert columns["odin"][3] == columns["mc_dropout"][3] == "240"
    # Ours: all sets once, and 14 images of noise on trial; then ODIN and dropout twice on what is scored.
    assert columns["forward"][4] == "604"
    assert columns["msp"][6] == "0"
    assert columns["odin"][6] == columns["mc_dropout"][6] == "180"
    assert any(
        line.startswith("pytorch-ood's benchmark with msp, max_logit, energy, entropy, gen, klm") for line in lines
    )
    for name in (
        "msp",
        "max_logit",
        "energy",
        "entropy",
        "klm",
        "she",
        "fdbd",
        "react",
        "ash",
        "dice",
        "gradnorm",
        "odin",
    ):
        assert any(line.startswith(f"scores of {name} ") and ", 0 of 90 by more" in line for line in lines)


def test_growth_is_drawn(script, tmp_path):
    file = tmp_path / "scaling.png"

    script("scaling").main(
        [*["--methods", "1", "2", "--sets", "1", "--images", "20", "--base", "1", "1", "20", "--out"], str(file)],
    )

    assert file.stat().st_size > 10_000
    assert file.with_stem("scaling_costs").stat().st_size > 10_000


def test_metrics_are_timed(script, capsys):
    pytest.importorskip("torchmetrics", reason="torchmetrics is not installed: pip install oodbench[peers]")

    script("metrics").main(["--rounds", "1", "--shrink", "1000", "--resamples", "50"])

    printed = capsys.readouterr().out
    assert printed.count("oodbench, all metrics") == 2
    assert "intervals: 20 methods, 10 against 10, 50 resamples" in printed


def test_intervals_are_timed_alone(script, capsys):
    script("metrics").main(["--rounds", "0", "--shrink", "1000", "--methods", "2", "--resamples", "50"])

    printed = capsys.readouterr().out
    assert [title in printed for title in ("all metrics over samples (14)", "OSCR alone (1)", "oodbench")] == [1, 1, 0]
