"""Whatever is wrong with what is read from a disk is one sentence, and never a result."""

from __future__ import annotations

import copy
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from oodbench.detector_file import FORMAT, Contents, read_contents, write_contents
from oodbench.errors import StoreError
from oodbench.hashing.values import digest
from oodbench.store.artifacts import ArtifactStore
from oodbench.store.atomic import folder_atomic
from oodbench.store.records import ResultStore, Scores
from oodbench.store.rows import to_frame
from oodbench.store.schema import Malformed, checked, parsed
from oodbench.store.verified import differences, verify, verify_unsigned

from .test_records import FILE, a_record, a_row, some_scores

SPLIT = {
    "dataset": "signs",
    "shares": "50/20/30",
    "seed": 0,
    "min_images": 10,
    "id": ["a", "b"],
    "seen": [],
    "unseen": ["c"],
    "groups": {"round": ["a"]},
    "dropped": {"d": "3 images"},
}


@pytest.fixture
def store(tmp_path):
    return ResultStore(tmp_path / "results")


@pytest.fixture
def saved(store):
    record = a_record(rows=[a_row("novel"), a_row("noise", "anomaly")], split=SPLIT, settings={"margin": 5.0})
    return store.save(FILE, record, some_scores(record))


def deep(depth):
    nested = []
    for _ in range(depth):
        nested = [nested]
    return nested


OTHERS = [None, True, 7, -1, 2**70, 0.5, "x", "\ud800", [], [1], {}, {"x": 1}, {"x": {"y": [None]}}, deep(50)]


def places(content, path=()):
    """Yield the path of every entry of nested mappings and lists."""
    entries = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for name, entry in entries:
        yield (*path, name)
        yield from places(entry, (*path, name))


def changed(content, path, value):
    """Return a copy with another value at a path; Ellipsis drops the entry."""
    other = copy.deepcopy(content)
    place = other
    for name in path[:-1]:
        place = place[name]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return other


def used(store):
    """Do with a record what tables do: a wrong one is refused before, or harmless."""
    records = store.all()
    for record in records:
        store.file_of(record)
        assert record.variant
    frame = to_frame(records)
    assert np.isfinite(frame["auroc"].dropna()).all()
    frame.to_csv()


def test_each_entry_of_a_record_dropped_or_of_another_type_is_one_sentence_or_harmless(store, saved):
    path = store.root / FILE
    content = json.loads(path.read_text())
    del content["sha256"]
    refused = 0
    for i, where in enumerate(places(content)):
        for value in (..., *OTHERS[i % 5 :: 5]):
            other = changed(content, where, value)
            path.write_text(json.dumps({**other, "sha256": digest(other)}))
            try:
                used(store)
            except StoreError:
                refused += 1
    assert refused > 100


@pytest.mark.parametrize(
    "where",
    ["key", "benchmark", "method", "settings", "rows", "fingerprints", "versions", "seconds", "class_names", "n_id"],
)
@pytest.mark.parametrize("value", [None, 7.5, "x", [1], deep(100)], ids=["null", "number", "text", "list", "deep"])
def test_an_entry_of_another_type_is_named(store, saved, where, value):
    path = store.root / FILE
    content = json.loads(path.read_text())
    del content["sha256"]
    if isinstance(value, str) and isinstance(content[where], str):
        return
    other = {**content, where: value}
    path.write_text(json.dumps({**other, "sha256": digest(other)}))
    with pytest.raises(StoreError, match=rf"is not a whole record \({where}.*; delete it and run"):
        store.load(FILE)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", str(2**64), "9" * 5000])
def test_numbers_that_no_result_has_are_refused(store, saved, number):
    path = store.root / FILE
    path.write_text(path.read_text().replace('"auroc": 0.5', f'"auroc": {number}', 1))
    with pytest.raises(StoreError, match="is no number that a result has|Exceeds the limit"):
        store.load(FILE)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '{"schema": 2, "schema": 2}'])
def test_texts_that_python_reads_or_dies_of_are_refused(store, saved, text):
    (store.root / FILE).write_text(text)
    with pytest.raises(StoreError, match="is not a whole record .*(nested too deeply|named twice)"):
        store.load(FILE)


def test_every_bit_that_flips_in_a_record_is_noticed_or_changes_nothing(store, saved):
    path = store.root / FILE
    whole = path.read_bytes()
    for i in range(0, len(whole), 7):
        flipped = bytearray(whole)
        flipped[i] ^= 1 << (i % 8)
        path.write_bytes(flipped)
        try:
            assert store.load(FILE) == saved
        except StoreError:
            continue


def test_a_record_whose_number_was_changed_is_not_believed(store, saved):
    path = store.root / FILE
    path.write_text(path.read_text().replace('"auroc": 0.5', '"auroc": 0.9', 1))
    with pytest.raises(StoreError, match=r"is not a whole record \(its checksum does not fit"):
        store.all()


def honest(store, **changes):
    """Store a record that says what its scores say."""
    scores = Scores(id=np.array([2.0, 3.0, 4.0, 5.0]), ood={"novel": np.array([0.0, 1.0, 4.5])})
    rows = [a_row("novel", metrics={"auroc": 0.5})]
    wanted = a_record(rows=rows, accuracy=None, **changes)
    found = {text.split(" of ")[0]: float(text.split(" is ")[1].split(",")[0]) for text in differences(wanted, scores)}
    assert found["auroc"] == pytest.approx(9 / 12)
    metrics = {**wanted.rows[0].metrics}
    from oodbench.store import verified

    metrics |= {name: value for name, value in verified._metrics(wanted, scores, "novel").items() if name in metrics}
    record = a_record(rows=[a_row("novel", metrics=metrics)], accuracy=None, **changes)
    return store.save(FILE, record, scores)


def test_a_record_that_says_what_its_scores_say_is_verified(store):
    verify(store, [honest(store)])


def test_a_record_of_the_first_schema_is_verified_where_its_scores_are(store):
    honest(store)
    path = store.root / FILE
    content = json.loads(path.read_text())
    del content["sha256"]
    content["schema"] = 1
    path.write_text(json.dumps(content))
    verify_unsigned(store, store.all())

    content["rows"][0]["metrics"]["auroc"] = 0.95
    path.write_text(json.dumps(content))
    with pytest.raises(StoreError, match=r"is not what its scores say: auroc of novel is 0.75, not 0.95; run"):
        verify_unsigned(store, store.all())


@pytest.mark.parametrize(
    ("kind", "value"),
    [(int, True), (int, 1.0), (float, "1"), (str, 1), (bool, 0), (tuple[int, ...], [1, "2"]), (tuple[int, int], [1])],
)
def test_values_of_another_type_are_malformed(kind, value):
    with pytest.raises(Malformed):
        checked(kind, value)


def test_numbers_and_texts_come_through_as_they_are():
    assert parsed(b'{"a": [1, 2.5, "\xc3\xa9", null, true]}') == {"a": [1, 2.5, "é", None, True]}


ADDS = """
import sys
from pathlib import Path
from oodbench.store.records import ResultStore
from tests.test_records import FILE, a_record, a_row, some_scores

record = a_record(rows=[a_row(sys.argv[1])])
store = ResultStore(Path("results"))
print("ready", flush=True)
sys.stdin.readline()
store.add(FILE, record, some_scores(record))
"""


def test_runs_that_share_a_cell_lose_nothing(store, saved, tmp_path):
    names = [f"set {i}" for i in range(4)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment, "cwd": tmp_path}
    started = [subprocess.Popen([sys.executable, "-P", "-c", ADDS, name], **pipes) for name in names]
    assert [process.stdout.readline() for process in started] == ["ready\n"] * 4
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate()[1] or process.returncode for process in started] == [0] * 4
    (record,) = store.all()
    # What was stored before has another key.
    assert sorted(row.out_dist for row in record.rows if row.out_dist.startswith("set")) == names
    assert sorted(store.scores(record).ood) == sorted(row.out_dist for row in record.rows)
    assert [path.name for path in (tmp_path / "results" / "tiny").iterdir() if path.name.startswith(".")] == []


WAITS = """
import sys, time
from pathlib import Path
from oodbench.store.artifacts import ArtifactStore

def write(aside):
    (aside / "file").write_text("half")
    print("writing", flush=True)
    time.sleep(60)

ArtifactStore(Path("cache")).save("things", "ab" + "0" * 62, write)
"""


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", WAITS], env=environment, cwd=tmp_path, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"writing\n"
    store = ArtifactStore(tmp_path / "cache")
    store.sweep()
    assert len(list((tmp_path / "cache").rglob("file"))) == 1
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert len(list(store.left_behind())) == 1
    store.sweep()
    assert [path for path in (tmp_path / "cache").rglob("*") if path.name.endswith(".tmp")] == []


def test_files_of_others_that_end_in_tmp_are_not_swept(store, tmp_path):
    (tmp_path / "results" / "tiny").mkdir(parents=True)
    theirs = tmp_path / "results" / "tiny" / ".notes.tmp"
    theirs.write_text("mine")
    store.sweep()
    assert theirs.exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest["facts"].update(epochs=4),
        lambda manifest: manifest.update(facts={"other": 3}),
        lambda manifest: manifest.pop("sha256"),
        lambda manifest: manifest.update(sha256=0),
        lambda manifest: manifest["files"].clear(),
        lambda manifest: manifest.update(files=[]),
    ],
)
def test_facts_that_were_changed_are_noticed(tmp_path, change):
    key = "ab" + "0" * 62
    folder = ArtifactStore(tmp_path).save("things", key, lambda aside: {"epochs": (aside / "x").write_text("abc")})
    manifest = json.loads((folder / "artifact.json").read_text())
    change(manifest)
    (folder / "artifact.json").write_text(json.dumps(manifest))
    for quick in (True, False):
        assert ArtifactStore(tmp_path).find("things", key, quick=quick) is None


def test_a_copied_cache_is_read_once_and_then_found_quickly(tmp_path, monkeypatch):
    key = "ab" + "0" * 62
    ArtifactStore(tmp_path / "one").save("things", key, lambda aside: (aside / "x").write_text("abc") and None)
    shutil.copytree(tmp_path / "one", tmp_path / "two", copy_function=shutil.copyfile)
    read = []
    real = ArtifactStore.__init__.__globals__["file_digest"]
    monkeypatch.setattr("oodbench.store.artifacts.file_digest", lambda file: read.append(file.name) or real(file))
    for _ in range(3):
        assert ArtifactStore(tmp_path / "two").find("things", key, quick=True) is not None
    assert read == ["x"]


def test_a_folder_in_a_folder_is_whole_as_well(tmp_path):
    with folder_atomic(tmp_path / "a") as aside:
        (aside / "b").mkdir()
        (aside / "b" / "c").write_text("c")
    assert (tmp_path / "a" / "b" / "c").read_text() == "c"


FULL = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from oodbench.errors import StoreError
from oodbench.store.artifacts import ArtifactStore
from oodbench.store.space import new_array

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

def mapped(aside):
    new_array(aside / "x.npy", np.float32, (100_000,))[...] = 1

def plain(aside):
    np.save(aside / "x.npy", np.zeros(100_000))

for write in (mapped, plain):
    try:
        ArtifactStore(Path("cache")).save("things", "ab" + "0" * 62, write)
    except StoreError as error:
        print(error)
"""


def test_a_full_disk_is_a_sentence_and_not_the_end_of_the_process(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-P", "-c", FULL], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.startswith("cannot write to the cache folder cache (") for line in lines] == [True, True]
    assert "requested and" not in done.stdout
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


class Scorer:
    def score(self, batch):
        return torch.zeros(len(batch))

    def classify(self, batch):
        return None


ABOUT = {
    "format": FORMAT,
    "method": "msp",
    "in_dist": "digits",
    "class_names": ["a", "b"],
    "conversion": {"size": [8, 8], "channels": 1},
    "record": {"key": "k", "plugin": "oodbench", "versions": {"torch": "2"}, "seed": 0},
}
THINGS = {"fitted": Scorer(), "networks": (torch.nn.Linear(1, 1),), "readings": ()}


def a_detector(file, about=None, scores=None, things=None):
    contents = Contents(
        about=ABOUT if about is None else about,
        scores_id=np.zeros(3) if scores is None else scores,
        things=THINGS if things is None else things,
    )
    write_contents(file, contents)
    return file


def loaded(file):
    return read_contents(file, torch.device("cpu"))


def test_a_detector_is_read_as_it_was_written(tmp_path):
    assert loaded(a_detector(tmp_path / "x.detector")).about == ABOUT


def test_each_fact_of_a_detector_dropped_or_of_another_type_is_one_sentence_or_harmless(tmp_path):
    file = a_detector(tmp_path / "x.detector")
    for where in list(places(ABOUT)):
        for value in (..., *OTHERS):
            with zipfile.ZipFile(file, "w") as archive:
                text = json.dumps(changed(ABOUT, where, value))
                archive.writestr("about.json", text)
            # What comes after the facts is missing: so far nothing may be wrong but that.
            with pytest.raises(StoreError, match="whole detector|has the format"):
                loaded(file)


@pytest.mark.parametrize("about", [b"", b"[]", b"\xff\xfe", b"null", b"[" * 99999, b'{"format": 2}', b'{"format": []}'])
def test_facts_that_are_none_are_one_sentence(tmp_path, about):
    file = tmp_path / "x.detector"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("about.json", about)
    with pytest.raises(StoreError, match="whole detector|has the format"):
        loaded(file)


@pytest.mark.parametrize(
    "scores",
    [np.zeros((2, 2)), np.zeros(0), np.array([np.nan]), np.zeros(3, np.float32), np.array(["x"]), np.float64(1)],
)
def test_scores_that_are_none_are_one_sentence(tmp_path, scores):
    with pytest.raises(StoreError, match="is not a whole detector .*scores"):
        loaded(a_detector(tmp_path / "x.detector", scores=scores))


def test_scores_of_objects_are_not_unpickled(tmp_path):
    with pytest.raises(StoreError, match="is not a whole detector"):
        loaded(a_detector(tmp_path / "x.detector", scores=np.array([{}], dtype=object)))


@pytest.mark.parametrize(
    "things",
    [
        {},
        {**THINGS, "fitted": 3},
        {**THINGS, "networks": ()},
        {**THINGS, "networks": [1]},
        {**THINGS, "networks": ("x",)},
        {**THINGS, "readings": None},
        {**THINGS, "readings": (1,)},
    ],
)
def test_things_of_another_kind_are_one_sentence(tmp_path, things):
    with pytest.raises(StoreError, match="is not a whole detector"):
        loaded(a_detector(tmp_path / "x.detector", things=things))
