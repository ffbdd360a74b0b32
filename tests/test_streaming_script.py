"""The script on photos in files runs on a few; what it measures is not tested."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def test_both_ways_go_through_all_files(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    script = importlib.import_module("streaming")
    script.write_photos(tmp_path, 240, 40)
    assert script.bare(tmp_path, "resnet18", 32, 0, 40) == 240
    assert script.ours(tmp_path, "resnet18", 32) == 240
    (line,) = capsys.readouterr().err.splitlines()
    assert int(line.removesuffix(" methods")) > 20
    sys.modules.pop("streaming")
