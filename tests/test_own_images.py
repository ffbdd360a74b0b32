"""Images of a user's own: folders as benchmarks, divided classes, and named kinds of seen OOD images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import oodbench
from oodbench.benchmark import Part
from oodbench.engine.naming import GivenImages, is_registered, place
from oodbench.engine.request import request
from oodbench.engine.runner import prepare
from oodbench.errors import ConfigError, DataError, MissingData, UnknownName
from oodbench.hashing.values import digest
from oodbench.plugins import registry
from oodbench.store.records import ResultStore
from oodbench.tables import layout_table
from oodbench.tables.model import plain_text
from tests.helpers import save_photos, small_benchmark

CLASSES = ("cat", "cow", "dog", "elk", "fox", "owl")


@pytest.fixture
def photos(tmp_path):
    """A folder with six classes of 24 images, in no train/ and test/."""
    return save_photos(tmp_path / "photos", CLASSES)


def tiny(benchmark):
    """Return a benchmark with a network that trains in a moment."""
    return replace(benchmark, network="tinynet")


def test_a_folder_that_is_not_divided_gets_a_test_set_of_its_own(photos):
    benchmark = GivenImages(image_size="8").benchmark(str(photos))
    data = prepare(request([tiny(benchmark)], ["msp"])).data["photos"]

    train, test = len(data.id_train), len(data.id_test)
    assert train + test == 6 * 24
    assert 0.1 < test / (train + test) < 0.3
    assert data.id_train.class_names == data.id_test.class_names == CLASSES
    assert data.id_train.shape == (3, 8, 8)
    pixels = {image.tobytes() for image in data.id_train.images}
    assert not any(image.tobytes() in pixels for image in data.id_test.images)


@pytest.mark.parametrize("text", ["..", "../../photos", "./../inner/.."])
def test_a_path_that_goes_up_has_the_name_of_the_folder_where_it_ends(tmp_path, monkeypatch, text):
    (tmp_path / "photos/inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "photos/inner")

    assert place(text) == ("photos", str(tmp_path / "photos"))
    assert GivenImages().benchmark(text).name == "photos"


def test_a_link_has_its_own_name(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "photos")

    assert place("./link") == ("link", str(tmp_path / "link"))


def test_what_lies_above_a_link_is_where_its_folder_is(tmp_path):
    (tmp_path / "photos/inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "photos/inner")

    assert place("./link/..") == ("photos", str(tmp_path / "photos"))


@pytest.mark.parametrize("text", ["/", "./.zip", "./..zip", "./...zip"])
def test_a_path_without_a_name_is_refused(text):
    with pytest.raises(ConfigError, match=r"has no name that results could be kept under; move the images"):
        place(text)


def test_images_stay_where_they_are_when_others_are_added(photos):
    folder = registry.dataset(str(photos), {"test_share": 0.3})

    def tests():
        raw = folder.read("test", Path(), oodbench.Conversion())
        return {np.asarray(image).tobytes() for image in raw.images}

    before = tests()
    Image.new("RGB", (9, 9), "red").save(photos / "cat" / "new.png")
    assert before <= tests()


def test_a_folder_without_splits_is_a_test_set_where_it_is_out_of_distribution(photos):
    benchmark = small_benchmark()
    (cell,) = prepare(request([benchmark], ["msp"], out=[str(photos)])).plan.cells
    assert "photos" in cell.tests
    assert prepare(request([benchmark], ["msp"], out=[f"noise={photos}"])).plan.cells[0].tests.keys() == {
        "seen digits",
        "new digits",
        "photos (for noise)",
    }


def test_classes_are_divided_and_the_split_is_recorded(photos):
    own = GivenImages(split="50/20/30", split_seed=3, image_size="8")
    benchmark = tiny(own.benchmark(str(photos)))
    frame = oodbench.run(benchmark, "msp", settings={"recipe": {"epochs": 1}})

    assert benchmark.name == "photos-50-20-30-seed3"
    assert list(frame["out_dist"]) == ["seen classes", "unseen classes", "gaussian"]
    (record,) = ResultStore(Path("results")).all()
    assert record.split["seed"] == 3
    parts = [record.split[share] for share in ("id", "seen", "unseen")]
    assert sorted(name for part in parts for name in part) == sorted(CLASSES)
    assert list(record.class_names) == record.split["id"]
    assert [len(part) for part in parts] == [3, 1, 2]


def test_a_file_gives_the_split_its_name(photos, tmp_path):
    file = tmp_path / "pets.toml"
    file.write_text('id = ["cat", "dog"]\nunseen = ["fox"]\n')
    benchmark = GivenImages(split=str(file), image_size="8").benchmark(str(photos))
    data = prepare(request([tiny(benchmark)], ["msp"])).data["photos-pets"]

    assert data.id_train.class_names == ("cat", "dog")
    # No class is seen, so there is no such set, and no images to mine.
    assert list(data.ood) == ["unseen classes", "gaussian"]
    assert data.seen == {}
    with pytest.raises(ConfigError, match="odm needs seen OOD training images, and photos-pets has none"):
        prepare(request([tiny(benchmark)], ["odm"]))


@pytest.mark.parametrize(
    ("own", "name", "error", "message"),
    [
        ({"split_seed": 1}, "digits", ConfigError, "--split-seed needs a split of digits, such as --split 50/20/30"),
        ({"image_size": "8"}, "digits", ConfigError, "digits prescribes its own"),
        ({"image_size": "big"}, "./photos", ConfigError, "--image-size must be a number such as 64"),
        ({"channels": 2}, "./photos", ConfigError, r"--channels must be 1 \(grey\) or 3 \(RGB\), got 2"),
        ({"split": "50"}, "./photos", ConfigError, "there is no such file; give shares such as 50/20/30"),
        ({}, "fotos", UnknownName, "no benchmark 'fotos'"),
    ],
)
def test_what_cannot_be_is_refused(own, name, error, message):
    with pytest.raises(error, match=message):
        GivenImages(**own).benchmark(name)


def test_a_folder_that_is_not_there_or_has_no_classes_is_an_error(tmp_path, photos):
    with pytest.raises(MissingData, match="no train images of .*nowhere: there is no such folder"):
        prepare(request([GivenImages().benchmark(f"{tmp_path}/nowhere")], ["msp"]))
    with pytest.raises(DataError, match="has no labels, so its classes cannot be split"):
        prepare(request([GivenImages(split="50/20/30").benchmark(str(photos / "cat"))], ["msp"]))


NOISE = {"noise": Part(dataset="gaussian", split="train", settings={"count": 60})}
SEVERAL = {"seen digits": Part(dataset="digits", split="train", classes=("0", "3")), **NOISE}


def test_a_method_sees_the_first_kind_of_seen_images_unless_it_names_another():
    benchmark = small_benchmark(seen=SEVERAL)
    frame = oodbench.run(benchmark, ["odm", "odm(seen=noise)"])

    seen = frame[frame["seen"]].set_index("variant")["out_dist"]
    assert seen.to_dict() == {"odm": "seen digits", "odm (seen=noise)": "noise"}
    records = {record.variant: record for record in ResultStore(Path("results")).all()}
    first, second = records["odm"], records["odm (seen=noise)"]
    assert first.fingerprints["weights"] != second.fingerprints["weights"]
    assert first.fingerprints["seen"] != second.fingerprints["seen"]
    assert json.loads(json.dumps(second.settings))["seen"] == "noise"


def test_an_unknown_kind_of_seen_images_is_refused():
    with pytest.raises(UnknownName, match=r"small has no seen OOD images 'nois' for odm. Did you mean 'noise'\?"):
        prepare(request([small_benchmark(seen=SEVERAL)], ["odm(seen=nois)"]))


def test_a_benchmark_runs_its_variants_where_a_method_is_asked_for_by_its_bare_name():
    benchmark = small_benchmark(seen=SEVERAL, variants={"odm": ({}, {"seen": "noise"})})

    def variants(*methods):
        cells = prepare(request([benchmark], methods)).plan.cells
        return [cell.label.removeprefix("small ").removesuffix(" seed 0") for cell in cells]

    assert variants("odm") == ["odm", "odm (seen=noise)"]
    assert variants("odm(margin=5)") == ["odm (margin=5)"]


def run_on(folder, **options):
    """Run msp on the classes of a folder, and return the rows."""
    size = options.pop("image_size", "8")
    benchmark = tiny(GivenImages(image_size=size).benchmark(str(folder)))
    return oodbench.run(benchmark, "msp", settings={"recipe": {"epochs": 1}}, **options)


@pytest.mark.parametrize("change", ["another folder of that name", "another size", "one more image"])
def test_results_of_folders_of_one_name_do_not_overwrite_each_other_and_are_not_averaged(tmp_path, change):
    first = save_photos(tmp_path / "a" / "photos", CLASSES[:2])
    before = run_on(first, seeds=2)
    if change == "another folder of that name":
        after = run_on(save_photos(tmp_path / "b" / "photos", CLASSES[:2], seed=1))
    elif change == "another size":
        after = run_on(first, image_size="6")
    else:
        Image.new("RGB", (9, 9), "red").save(first / "cat" / "new.png")
        after = run_on(first)
    frame = oodbench.load_results()
    assert len(frame) == len(before) + len(after) == 3
    assert set(frame["key"]) == {*before["key"], *after["key"]}
    table = layout_table(frame, "matrix")
    assert len({plain_text(row[0]) for row in table.rows}) == 2
    assert table.caption.startswith("OOD detection with photos [images ")
    assert "over 1 to 2 seeds" in table.caption


def test_benchmarks_that_come_with_oodbench_keep_their_file_names():
    benchmark = registry.benchmark("digits")
    (cell,) = prepare(request(["digits"], ["msp"], out=["gaussian"])).plan.cells

    config = benchmark.recipes[benchmark.recipe].config("ce")
    assert cell.file == Path("digits") / f"msp-{digest([cell.method, config])[:8]}-seed0.json"


def test_a_folder_that_is_called_like_a_benchmark_is_not_that_benchmark(tmp_path):
    run_on(save_photos(tmp_path / "own" / "digits", CLASSES[:2]))
    oodbench.run("digits", "msp", settings={"recipe": {"epochs": 1}})

    origins = {record.benchmark["plugin"] for record in ResultStore(Path("results")).all()}
    assert origins == {"passed to oodbench.run", f"oodbench {oodbench.__version__}"}


def test_a_benchmark_whose_classes_are_drawn_is_still_the_registered_one():
    drawn = registry.benchmark("tsinghua")
    part = replace(drawn.id_train, classes=("a", "b"))
    assert is_registered(replace(drawn, id_train=part))
    assert not is_registered(replace(drawn, conversion=oodbench.Conversion(size=(9, 9))))
    assert not is_registered(replace(drawn, id_test=replace(part, dataset="/own/tsinghua")))


def test_a_size_may_be_a_number(photos):
    frame = oodbench.run(str(photos), "msp", image_size=8, settings={"recipe": {"epochs": 1}})
    assert set(frame["method"]) == {"msp"}
    with pytest.raises(ConfigError, match="digits prescribes its own"):
        oodbench.run("digits", "msp", image_size=16)
