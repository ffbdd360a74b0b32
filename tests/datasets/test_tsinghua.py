"""Tsinghua-Tencent 100K: frames in the published form become crops in folders, once, whatever happens on the way."""

from __future__ import annotations

import io
import json
import tomllib
import weakref
from collections import Counter
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from oodbench.api import Preparable
from oodbench.errors import ConfigError, DataError, MissingData
from oodbench.images import Conversion
from oodbench.plugins import registry
from oodbench.progress import SILENT

SIDE = 200


def box(left: Any, top: Any, right: Any, bottom: Any, category: Any = "pl50") -> dict[str, Any]:
    return {"category": category, "bbox": {"xmin": left, "ymin": top, "xmax": right, "ymax": bottom}}


def pixels_of(number: int) -> np.ndarray:
    """A frame whose pixels say where they are: red counts columns, green rows, blue is its number."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    return np.stack([columns, rows, np.full_like(rows, number)], axis=2).astype(np.uint8)


@pytest.fixture
def publish(data_dir: Path):
    """Write frames (lossless, whatever their suffix says) and annotations as the authors publish them."""

    def write(frames: dict[str, list[Any]], *, annotations: str = "annotations.json", on_disk: Any = None) -> Path:
        root = (data_dir / "tt100k" / annotations).parent
        for number, path in enumerate(frames if on_disk is None else on_disk):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels_of(number)).save(root / path, "png")
        root.mkdir(parents=True, exist_ok=True)
        images = {
            Path(path).stem: {"id": n, "path": path, "objects": objects}
            for n, (path, objects) in enumerate(frames.items())
        }
        (data_dir / "tt100k" / annotations).write_text(json.dumps({"types": ["pl50"], "imgs": images}))
        return root

    return write


def tsinghua(**settings: Any) -> Any:
    return registry.dataset("tsinghua", {"patch_sides": (10, 20), **settings})


def crops(data_dir: Path) -> dict[str, bytes]:
    """Return all crops by their names, with their pixels."""
    folder = data_dir / "tsinghua"
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: Image.open(path).tobytes() for name, path in sorted(found.items()) if path.suffix == ".png"}


def signs(data_dir: Path) -> list[str]:
    return [name for name in crops(data_dir) if "/background/" not in name]


def summary(data_dir: Path) -> Any:
    return json.loads((data_dir / "tsinghua" / "cut.json").read_text())


def findings(data_dir: Path) -> dict[str, Any]:
    return {name: (f["count"], f["first"]) for name, f in summary(data_dir)["findings"].items() if f["count"]}


THREE = {
    "train/1.jpg": [box(5, 5, 25, 20), box(150, 150, 180, 190, "i5")],
    "train/2.jpg": [box(10, 100, 30, 120, "p11")],
    "test/3.jpg": [box(5, 5, 25, 20)],
    "other/4.jpg": [],
}


def test_a_sign_is_cut_out_by_its_box(publish, data_dir: Path) -> None:
    publish({"train/1.jpg": [box(5.5, 7.2, 25.1, 18.3)]})
    tsinghua().prepare(data_dir, SILENT)
    with Image.open(data_dir / "tsinghua/train/pl50/train-1-0.png") as crop:
        np.testing.assert_array_equal(np.asarray(crop), pixels_of(0)[7:19, 5:26])


def test_signs_and_backgrounds_lie_in_the_split_of_their_frame(publish, data_dir: Path) -> None:
    publish(THREE)
    tsinghua().prepare(data_dir, SILENT)
    backgrounds = [name.split("/")[0] for name in crops(data_dir) if "/background/" in name]
    assert signs(data_dir) == [
        "test/pl50/test-3-0.png",
        "train/i5/train-1-1.png",
        "train/p11/train-2-0.png",
        "train/pl50/train-1-0.png",
    ]
    assert Counter(backgrounds).total() == 4
    assert Counter(backgrounds)["train"] >= 2


def test_what_was_cut_is_read_as_a_folder_of_classes(publish, data_dir: Path) -> None:
    publish(THREE)
    tsinghua().prepare(data_dir, SILENT)
    raw = tsinghua().read("train", data_dir, Conversion())
    assert raw.class_names == ("background", "i5", "p11", "pl50")
    assert len(list(raw.images)) == len(raw.labels)


def test_nothing_is_there_before_the_last_frame_is_cut(publish, data_dir: Path, monkeypatch) -> None:
    publish(THREE)
    break_at(monkeypatch, write=3)
    with pytest.raises(Killed):
        tsinghua().prepare(data_dir, SILENT)
    assert not any(tsinghua().locate(split, data_dir).present for split in ("train", "test"))


@pytest.mark.parametrize("annotations", ["annotations_all.json", "data/annotations.json", "data/annotations_all.json"])
def test_the_layouts_of_all_releases_are_found(annotations: str, publish, data_dir: Path) -> None:
    publish(THREE, annotations=annotations)
    tsinghua().prepare(data_dir, SILENT)
    assert len(signs(data_dir)) == 4


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({}, (48, 24)), ({"max_side": 10}, (10, 5)), ({"max_side": None}, (100, 50)), ({"max_side": "none"}, (100, 50))],
)
def test_large_signs_are_shrunk_to_the_longer_side(settings, expected, publish, data_dir: Path) -> None:
    publish({"train/1.jpg": [box(10, 10, 110, 60)]})
    tsinghua(**settings).prepare(data_dir, SILENT)
    with Image.open(data_dir / "tsinghua/train/pl50/train-1-0.png") as crop:
        assert crop.size == expected


def test_a_sign_keeps_at_least_one_pixel(publish, data_dir: Path) -> None:
    publish({"train/1.jpg": [box(10, 10, 11, 190)]})
    tsinghua(max_side=20).prepare(data_dir, SILENT)
    with Image.open(data_dir / "tsinghua/train/pl50/train-1-0.png") as crop:
        assert crop.size == (1, 20)


NAN = float("nan")


@pytest.mark.parametrize(
    ("entry", "finding"),
    [
        (box(30, 5, 20, 20), "box without four numbers in order"),
        (box(20, 5, 20, 20), "box without four numbers in order"),
        (box(5, 20, 20, 5), "box without four numbers in order"),
        (box("5", 5, 20, 20), "box without four numbers in order"),
        (box(None, 5, 20, 20), "box without four numbers in order"),
        (box(True, 5, 20, 20), "box without four numbers in order"),
        (box(NAN, 5, 20, 20), "box without four numbers in order"),
        (box(5, 5, float("inf"), 20), "box without four numbers in order"),
        ({"category": "pl50"}, "box without four numbers in order"),
        ({"category": "pl50", "bbox": {"xmin": 1}}, "box without four numbers in order"),
        ({"category": "pl50", "bbox": [5, 5, 20, 20]}, "box without four numbers in order"),
        ("pl50", "box without four numbers in order"),
        (box(5, 5, 20, 20, None), "box without a usable class name"),
        (box(5, 5, 20, 20, ""), "box without a usable class name"),
        (box(5, 5, 20, 20, "../../evil"), "box without a usable class name"),
        (box(5, 5, 20, 20, "pl50/.."), "box without a usable class name"),
        (box(5, 5, 20, 20, ".."), "box without a usable class name"),
        (box(5, 5, 10.9, 10), "box too small"),
        (box(-30, 5, 20, 20), "box with more than half outside of the frame"),
        (box(-30, -30, -5, -5), "box with more than half outside of the frame"),
        (box(190, 5, 230, 20), "box with more than half outside of the frame"),
        (box(SIDE, 5, SIDE + 20, 20), "box with more than half outside of the frame"),
    ],
)
def test_a_box_that_cannot_be_used_is_left_out_and_counted(entry, finding: str, publish, data_dir: Path) -> None:
    publish({"train/1.jpg": [entry, box(50, 50, 60, 60)]})
    tsinghua(patches=0).prepare(data_dir, SILENT)
    assert signs(data_dir) == ["train/pl50/train-1-1.png"]
    assert findings(data_dir) == {finding: (1, ["train/1.jpg"])}


@pytest.mark.parametrize(
    ("entry", "size"),
    [(box(-10, 5, 20, 20), (20, 15)), (box(190, 190, 204, 204), (10, 10)), (box(-5, 5, 5, 20), (5, 15))],
)
def test_a_box_that_the_border_cuts_is_clipped_and_counted(entry, size, publish, data_dir: Path) -> None:
    publish({"train/1.jpg": [entry]})
    tsinghua(patches=0).prepare(data_dir, SILENT)
    with Image.open(data_dir / "tsinghua/train/pl50/train-1-0.png") as crop:
        assert crop.size == size
    assert findings(data_dir) == {"box cut by the border of the frame (kept)": (1, ["train/1.jpg"])}


def test_a_sign_of_the_smallest_size_is_kept(publish, data_dir: Path) -> None:
    publish({"train/1.jpg": [box(5, 5, 11, 9), box(20, 20, 25, 25)]})
    tsinghua(patches=0).prepare(data_dir, SILENT)
    assert signs(data_dir) == ["train/pl50/train-1-0.png"]


def test_frames_without_files_and_files_without_annotations_are_counted(publish, data_dir: Path) -> None:
    there = ["train/1.jpg", "train/8.jpg", "test/9.jpg", "other/7.jpg"]
    publish({**THREE, "elsewhere/5.jpg": [], "train/../../6.jpg": [], "train/": []}, on_disk=there)
    tsinghua().prepare(data_dir, SILENT)
    assert findings(data_dir) == {
        "annotated frame that is not there": (4, ["other/4.jpg", "test/3.jpg", "train/", "train/2.jpg"]),
        "frame of train/ or test/ without annotations": (2, ["test/9.jpg", "train/8.jpg"]),
        "annotated frame outside of train/, test/ and other/": (2, ["5", "6"]),
    }
    assert {PurePosixPath(name).name.rpartition("-")[0] for name in crops(data_dir)} == {"train-1", "other-7"}


def test_only_the_first_few_frames_are_named(publish, data_dir: Path) -> None:
    publish({f"train/{i}.jpg": [box(0, 0, 2, 2)] * 2 for i in range(8)})
    tsinghua(patches=0).prepare(data_dir, SILENT)
    assert findings(data_dir) == {"box too small": (16, [f"train/{i}.jpg" for i in range(5)])}


def test_a_truncated_frame_is_counted_and_the_others_are_cut(publish, data_dir: Path) -> None:
    root = publish(THREE)
    content = io.BytesIO()
    Image.fromarray(pixels_of(0)).save(content, "jpeg")
    (root / "train/1.jpg").write_bytes(content.getvalue()[:2000])
    (root / "train/2.jpg").write_bytes(b"")
    tsinghua().prepare(data_dir, SILENT)
    assert signs(data_dir) == ["test/pl50/test-3-0.png"]
    assert findings(data_dir) == {"frame that cannot be decoded": (2, ["train/1.jpg", "train/2.jpg"])}


def test_signs_in_frames_of_other_are_not_cut_and_not_taken_for_background(publish, data_dir: Path) -> None:
    publish({"other/1.jpg": [box(0, 0, SIDE, SIDE)], "other/2.jpg": []})
    tsinghua().prepare(data_dir, SILENT)
    assert [PurePosixPath(name).name for name in crops(data_dir)] == ["other-2-patch0.png"]
    assert findings(data_dir) == {
        "sign in a frame of other/": (1, ["other/1.jpg"]),
        "frame without room for a background patch (signs kept)": (1, ["other/1.jpg"]),
    }


def test_a_frame_with_a_box_nobody_can_place_gives_no_background(publish, data_dir: Path) -> None:
    publish({"train/1.jpg": [box(None, 5, 20, 20), box(5, 5, 20, 20)]})
    tsinghua().prepare(data_dir, SILENT)
    assert list(crops(data_dir)) == ["train/pl50/train-1-1.png"]


def test_a_third_of_the_other_frames_goes_to_the_test_split(data_dir: Path) -> None:
    module = importable("_tt100k")
    splits = Counter(module.Frame(path=f"other/{i}.jpg").split for i in range(3000))
    assert splits["test"] == pytest.approx(1000, abs=80)
    assert splits.total() == 3000


def importable(name: str) -> Any:
    """Return a private module of the data sets, which only this test reaches for."""
    from importlib import import_module

    return import_module(f"{type(tsinghua()).__module__.rpartition('.')[0]}.{name}")


@pytest.mark.parametrize("seed", range(40))
def test_background_touches_no_sign_and_lies_in_the_central_area(seed: int) -> None:
    rng = np.random.default_rng(seed)
    share = rng.uniform(0.3, 1)
    corners = rng.uniform(-20, 300, (6, 2))
    boxes = [(x, y, x + width, y + width) for (x, y), width in zip(corners, rng.uniform(5, 60, 6), strict=True)]
    settings = importable("_cutting").CutSettings(patches=20, patch_sides=(10, 40), central_share=share, seed=seed)
    found = list(importable("_cutting").background_boxes((320, 240), boxes, settings, number=seed))
    assert found
    for left, top, right, bottom in found:
        assert 10 <= right - left == bottom - top <= 40
        assert abs((left + right) / 2 - 160) + (right - left) / 2 <= 160 * share
        assert abs((top + bottom) / 2 - 120) + (bottom - top) / 2 <= 120 * share
        assert all(right < b[0] or b[2] < left or bottom < b[1] or b[3] < top for b in boxes)


def test_background_has_the_pixels_of_its_place(publish, data_dir: Path) -> None:
    publish({"train/1.jpg": []})
    tsinghua(central_share=0.4).prepare(data_dir, SILENT)
    with Image.open(data_dir / "tsinghua/train/background/train-1-patch0.png") as patch:
        columns, rows, _ = np.asarray(patch).transpose(2, 0, 1)
    assert 60 <= min(columns.min(), rows.min()) < max(columns.max(), rows.max()) < 140


def test_patches_are_a_question_of_the_seed_and_of_nothing_else(publish, data_dir: Path, tmp_path: Path) -> None:
    def patches(**settings: Any) -> dict[str, bytes]:
        tsinghua(**settings).prepare(data_dir, SILENT)
        found = {name: pixels for name, pixels in crops(data_dir).items() if "/background/" in name}
        (data_dir / "tsinghua").rename(tmp_path / f"moved {len(list(tmp_path.iterdir()))}")
        return found

    publish(THREE)
    first = patches()
    assert patches() == first
    assert patches(seed=1) != first
    publish(dict(reversed(THREE.items())), on_disk=[])
    assert patches() == first


class Killed(BaseException):
    """The process dies here."""


def break_at(monkeypatch, *, write: int) -> None:
    """Die in the middle of the n-th file that is given its name."""
    import os

    real, calls = os.replace, iter(range(10_000))

    def replace(source: Any, target: Any) -> None:
        if next(calls) == write:
            raise Killed
        real(source, target)

    monkeypatch.setattr("os.replace", replace)


def files_written(publish, data_dir: Path, monkeypatch) -> int:
    """Return how many files a whole run gives a name."""
    import os

    real, calls = os.replace, []
    monkeypatch.setattr("os.replace", lambda *paths: (calls.append(paths), real(*paths)))
    publish(THREE)
    tsinghua().prepare(data_dir, SILENT)
    monkeypatch.undo()
    return len(calls)


def test_a_kill_at_any_write_changes_nothing_in_the_end(
    publish, data_dir: Path, tmp_path: Path, monkeypatch, own_folders
) -> None:
    total = files_written(publish, data_dir, monkeypatch)
    expected, told = crops(data_dir), summary(data_dir)
    assert total == 1 + len(expected) + 1  # the journal's head, the crops and the summary
    for write in range(total):
        (data_dir / "tsinghua").rename(tmp_path / f"before {write}")
        break_at(monkeypatch, write=write)
        with pytest.raises(Killed):
            tsinghua().prepare(data_dir, SILENT)
        monkeypatch.undo()
        tsinghua().prepare(data_dir, SILENT)
        assert crops(data_dir) == expected
        assert summary(data_dir) == told


def test_what_a_hard_kill_leaves_half_written_is_cleared_away(publish, data_dir: Path) -> None:
    publish(THREE)
    aside = data_dir / "tsinghua.partial/train/pl50"
    aside.mkdir(parents=True)
    (aside / ".train-1-0.png.abc.tmp").write_bytes(b"half")
    tsinghua().prepare(data_dir, SILENT)
    assert [path.name for path in (data_dir / "tsinghua/train/pl50").iterdir()] == ["train-1-0.png"]


def opened(monkeypatch) -> list[str]:
    """Remember which frames are decoded."""
    module = importable("tsinghua")
    real, names = module.decode, []
    monkeypatch.setattr(
        module, "decode", lambda content, where: (names.append(Path(where).name), real(content, where))[1]
    )
    return names


def test_finished_frames_are_not_opened_again(publish, data_dir: Path, monkeypatch) -> None:
    publish(THREE)
    break_at(monkeypatch, write=4)  # after the head, two files of other/4 and test/3, and one of two of test/3
    with pytest.raises(Killed):
        tsinghua().prepare(data_dir, SILENT)
    monkeypatch.undo()
    names = opened(monkeypatch)
    tsinghua().prepare(data_dir, SILENT)
    assert names == ["1.jpg", "2.jpg"]


def test_a_line_that_a_kill_cut_short_is_done_again(publish, data_dir: Path, monkeypatch) -> None:
    publish(THREE)
    tsinghua().prepare(data_dir, SILENT)
    expected, told = crops(data_dir), summary(data_dir)
    (data_dir / "tsinghua").rename(data_dir / "tsinghua.partial")
    journal = data_dir / "tsinghua.partial/frames.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    names = opened(monkeypatch)
    tsinghua().prepare(data_dir, SILENT)
    assert names == ["2.jpg"]
    assert (crops(data_dir), summary(data_dir)) == (expected, told)
    lines = (data_dir / "tsinghua/frames.jsonl").read_text().splitlines()
    assert [json.loads(line).get("frame") for line in lines] == [None, "other/4.jpg", "test/3.jpg", *sorted(THREE)[2:]]


def test_a_second_call_does_nothing(publish, data_dir: Path, monkeypatch, heard) -> None:
    publish(THREE)
    tsinghua().prepare(data_dir, SILENT)
    names = opened(monkeypatch)
    tsinghua().prepare(data_dir, heard)
    assert (names, heard.messages) == (
        [],
        [f"{data_dir / 'tsinghua'} is there and whole: nothing to do. To cut it anew, delete that folder."],
    )


def test_frames_are_in_memory_one_at_a_time(publish, data_dir: Path, monkeypatch) -> None:
    publish({f"train/{i}.jpg": [box(5, 5, 20, 20)] for i in range(5)})
    module = importable("tsinghua")
    real, alive = module.decode, []

    def decode(content: bytes, where: str) -> Any:
        assert [frame() for frame in alive if frame() is not None] == []
        picture = real(content, where)
        alive.append(weakref.ref(picture))
        return picture

    monkeypatch.setattr(module, "decode", decode)
    tsinghua().prepare(data_dir, SILENT)
    assert len(alive) == 5


def test_the_end_is_told_with_what_was_wrong(publish, data_dir: Path, heard) -> None:
    publish({**THREE, "test/5.jpg": [box(0, 0, 2, 2)] * 3})
    tsinghua().prepare(data_dir, heard)
    assert heard.messages == [
        f"cut 4 signs of 3 classes and 5 background patches out of 5 frames into {data_dir / 'tsinghua'}",
        "  3 × box too small: test/5.jpg",
        f"  signs by class: {data_dir / 'tsinghua/cut.json'}",
    ]
    assert heard.tasks == ["cutting signs out of frames"] * 6


def test_the_summary_counts_signs_by_class(publish, data_dir: Path) -> None:
    publish(THREE)
    tsinghua(patches=0).prepare(data_dir, SILENT)
    told = summary(data_dir)
    assert told["frames"] == 4
    assert told["crops"]["train"] == {"background": 0, "i5": 1, "p11": 1, "pl50": 1}
    assert told["crops"]["test"] == {"background": 0, "pl50": 1}
    assert told["settings"]["patches"] == 0


def test_other_settings_do_not_go_on_with_an_unfinished_folder(publish, data_dir: Path, monkeypatch) -> None:
    publish(THREE)
    break_at(monkeypatch, write=3)
    with pytest.raises(Killed):
        tsinghua().prepare(data_dir, SILENT)
    monkeypatch.undo()
    with pytest.raises(DataError, match=r"tsinghua.partial was begun with other settings .*; delete that folder"):
        tsinghua(seed=1).prepare(data_dir, SILENT)


def test_other_settings_than_those_of_the_finished_folder_are_an_error(publish, data_dir: Path) -> None:
    publish(THREE)
    tsinghua().prepare(data_dir, SILENT)
    with pytest.raises(DataError, match="tsinghua was cut with other settings .*; delete that folder to cut it anew"):
        tsinghua(seed=1).prepare(data_dir, SILENT)


def test_a_damaged_journal_is_an_error_with_a_next_step(publish, data_dir: Path) -> None:
    publish(THREE)
    (data_dir / "tsinghua.partial").mkdir()
    (data_dir / "tsinghua.partial/frames.jsonl").write_text("{}\nnonsense\n")
    with pytest.raises(DataError, match=r"frames.jsonl is damaged \(.*\); delete the folder .*partial to start anew"):
        tsinghua().prepare(data_dir, SILENT)


def test_crops_of_somebody_else_are_not_touched(publish, data_dir: Path) -> None:
    publish(THREE)
    (data_dir / "tsinghua/train/pl50").mkdir(parents=True)
    with pytest.raises(DataError, match="tsinghua is in the way: it was not made by this command; move it away"):
        tsinghua().prepare(data_dir, SILENT)


def test_missing_annotations_say_where_they_were_looked_for_and_how_to_get_them(data_dir: Path) -> None:
    with pytest.raises(MissingData, match=r"tt100k/annotations.json or .*_all.json or .*Download .*--prepare tsinghua"):
        tsinghua().prepare(data_dir, SILENT)


def test_annotations_without_any_frame_are_an_error_with_a_next_step(publish, data_dir: Path) -> None:
    publish(THREE, on_disk=[])
    with pytest.raises(MissingData, match=r"no frames in train/, test/ or other/ of .*tt100k\. Download"):
        tsinghua().prepare(data_dir, SILENT)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "cannot be read .*; unpack or download it again"),
        (b"\xff", "cannot be read .*; unpack or download it again"),
        (b"[]", 'has no table "imgs" of frames'),
        (b'{"imgs": []}', 'has no table "imgs" of frames'),
    ],
)
def test_damaged_annotations_are_an_error_with_a_next_step(content, message, publish, data_dir: Path) -> None:
    (publish(THREE) / "annotations.json").write_bytes(content)
    with pytest.raises(DataError, match=rf"annotations.json {message}"):
        tsinghua().prepare(data_dir, SILENT)


def test_a_full_disk_is_an_error_with_a_next_step(publish, data_dir: Path, monkeypatch) -> None:
    publish(THREE)

    def replace(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", replace)
    with pytest.raises(DataError, match=r"cannot be written to .*No space left.*run the command again: it goes on"):
        tsinghua().prepare(data_dir, SILENT)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_side": 0}, "tsinghua.max_side must be at least 1 pixel"),
        ({"min_side": 0}, "tsinghua.min_side must be at least 1 pixel"),
        ({"patches": -1}, "tsinghua.patches must not be negative"),
        ({"patch_sides": (20, 10)}, "tsinghua.patch_sides must be two lengths in pixels, the shorter first"),
        ({"patch_sides": (20,)}, "tsinghua.patch_sides must be two lengths"),
        ({"patch_sides": (0, 20)}, "tsinghua.patch_sides must be two lengths"),
        ({"central_share": 0}, "tsinghua.central_share must be above 0 and at most 1"),
        ({"central_share": 1.1}, "tsinghua.central_share must be above 0 and at most 1"),
        ({"seed": -1}, "tsinghua.seed must not be negative"),
    ],
)
def test_impossible_settings_are_refused(settings, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tsinghua(**settings)


def test_it_cannot_be_downloaded_and_says_how_to_get_it(data_dir: Path) -> None:
    assert not tsinghua().downloadable
    with pytest.raises(DataError, match="tsinghua cannot be downloaded. Download .* --prepare tsinghua"):
        tsinghua().download(data_dir)


def test_only_data_sets_that_need_it_can_be_prepared() -> None:
    assert isinstance(tsinghua(), Preparable)
    assert not isinstance(registry.dataset("mnist"), Preparable)


def table_of_groups() -> Any:
    """Read the table as it is installed."""
    package = type(tsinghua()).__module__.rpartition(".")[0]
    return tomllib.loads((files(package) / "tsinghua_groups.toml").read_text(encoding="utf-8"))


# The classes of the crops in tsinghua.zip that share a letter with a pattern, and those of the 2021 release.
NO_NUMBERS = ["pb", "pg", "pn", "pne", "po", "ps", "ip", "io", "p1", "p3", "i1", "i2", "i3", "i4", "i5", "background"]
OF_2021 = ["phclr", "phcs", "pmr", "pmb", "pmblr", "pcl", "pcr", "pn-2", "pnl", "p1n", "i4l", "i2r", "pt", "pd"]


@pytest.mark.parametrize("name", [*NO_NUMBERS, *OF_2021])
def test_other_signs_fall_into_no_group(name: str) -> None:
    patterns = [pattern for group in table_of_groups()["groups"].values() for pattern in group]
    assert [pattern for pattern in patterns if fnmatchcase(name, pattern)] == []


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("pl5", "speed limit"),
        ("pl120", "speed limit"),
        ("pr40", "end of speed limit"),
        ("il100", "minimum speed"),
        ("ph4.5", "height limit"),
        ("pw2.5", "width limit"),
        ("pm55", "weight limit"),
        ("pa13", "axle load limit"),
        ("i10", "turning arrow (mandatory)"),
        ("p23", "turning arrow (prohibited)"),
    ],
)
def test_similar_signs_fall_into_one_group(name: str, group: str) -> None:
    found = [
        label for label, patterns in table_of_groups()["groups"].items() if any(fnmatchcase(name, p) for p in patterns)
    ]
    assert found == [group]


def archive(real_data: Path) -> Path:
    found = real_data / "tsinghua.zip"
    if not found.is_file():
        pytest.skip(f"no tsinghua.zip in {real_data}")
    return found


@pytest.mark.parametrize(("split", "images", "classes"), [("train", 17_127, 152), ("test", 8_790, 137)])
def test_the_archive_of_crops_is_all_there(split: str, images: int, classes: int, real_data: Path) -> None:
    archive(real_data)
    raw = registry.dataset("tsinghua").read(split, real_data, Conversion())
    assert (len(raw.labels), len(raw.class_names)) == (images, classes)
    assert np.bincount(raw.labels)[raw.class_names.index("background")] == 600
    assert max(next(iter(raw.images)).size) <= 48


def test_no_class_of_the_archive_falls_into_two_groups_or_is_dropped_from_one(real_data: Path) -> None:
    with ZipFile(archive(real_data)) as opened:
        classes = {PurePosixPath(name).parts[2] for name in opened.namelist() if name.endswith(".jpg")}
    table = table_of_groups()
    matches = Counter(
        name for name in classes for patterns in table["groups"].values() if any(fnmatchcase(name, p) for p in patterns)
    )
    assert len(classes) == 163
    assert (len(matches), set(matches.values())) == (95, {1})
    assert set(table["drop"]) <= classes - matches.keys()
