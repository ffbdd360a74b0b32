"""`oodbench cache` shows what is kept, and removes what may go, the least recently used first."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from oodbench.store.artifacts import ArtifactStore

KEYS = [digit * 64 for digit in "abc"]


@pytest.fixture
def kept():
    """Fill the cache with three things of a kilobyte, the first of which was used last."""
    store = ArtifactStore(Path("cache"))
    for age, key in enumerate(KEYS):
        folder = store.save("outputs", key, lambda aside: (aside / "x").write_bytes(bytes(1000)) and None)
        used = time.time() - 86_400 * age
        os.utime(folder / "artifact.json", (used, used))
    return store


def left():
    return [path.name[0] for path in sorted(Path("cache/outputs").glob("*/*"))]


def test_it_shows_size_and_age_and_removes_nothing(oodbench, kept):
    done = oodbench("cache", "--cache-dir", "cache", "--keep", "2KB")

    assert done.code == 0
    (line,) = [line for line in done.out.splitlines() if line.startswith("outputs")]
    assert "2 days to moments ago" in line
    assert "one pass through the network" in line
    assert done.err.endswith("Next: oodbench cache --keep 2KB --cache-dir cache --clean\n")
    assert left() == ["a", "b", "c"]


def test_the_least_recently_used_goes_first(oodbench, kept):
    size = sum(file.stat().st_size for file in Path("cache").rglob("*") if file.is_file())
    oodbench("cache", "--cache-dir", "cache", "--keep", str(size - 1), "--clean")
    assert left() == ["a", "b"]
    oodbench("cache", "--cache-dir", "cache", "--keep", "0", "--clean")
    assert left() == []


def test_what_nobody_can_use_goes_without_a_size(oodbench, kept):
    Path("cache/checkpoints").mkdir()
    aside = Path("cache/checkpoints/x.unusable")
    aside.write_bytes(b"x")
    going_on = Path("cache/checkpoints/y.pt")
    going_on.write_bytes(b"y")

    done = oodbench("cache", "--cache-dir", "cache", "--clean")

    assert done.out.splitlines()[-1] == "removed 1 B"
    assert (aside.exists(), going_on.exists()) == (False, True)
    assert left() == ["a", "b", "c"]


def test_files_of_others_stay(oodbench, kept):
    theirs = Path("cache/photos/ab/cat/artifact.json")
    theirs.parent.mkdir(parents=True)
    theirs.write_text("{}")
    oodbench("cache", "--cache-dir", "cache", "--keep", "0", "--clean")
    assert theirs.exists()


@pytest.mark.parametrize("size", ["20XB", "x", "-1", "1e400", "9" * 20])
def test_a_size_that_is_none_is_one_sentence(oodbench, kept, size):
    done = oodbench("cache", "--cache-dir", "cache", f"--keep={size}")
    assert (done.code, done.err) == (2, f"Error: --keep must be a size such as 20GB or 500MB, got {size!r}\n")


def test_a_cache_that_is_not_there_is_one_sentence(oodbench):
    done = oodbench("cache", "--cache-dir", "nowhere")
    assert done.code == 2
    assert done.err.startswith("Error: there is no cache folder nowhere")
