"""Shared by all tests: real data where there is any, and small threads so that numbers and times are steady."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder with real images, or skip the test."""
    places = [os.environ.get("OODBENCH_DATA"), Path(__file__).parents[2] / "shared" / "data"]
    for place in places:
        if place and Path(place).is_dir():
            return Path(place)
    pytest.skip("no real images: set OODBENCH_DATA to a folder that has them")


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch, request):
    """Give each test a working folder, a cache and a data folder of its own, so that nothing of the user's is used."""
    monkeypatch.setenv("OODBENCH_CACHE", str(tmp_path / "cache"))
    if "real_data" not in request.fixturenames:
        monkeypatch.delenv("OODBENCH_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
