"""A stored detector says of new images what the run said of its own."""

from __future__ import annotations

import dataclasses
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import oodbench
from oodbench import Detection, Detector, metrics
from oodbench.detector_file import FORMAT, find_detector, read_about
from oodbench.engine.request import request
from oodbench.engine.runner import prepare
from oodbench.errors import ConfigError, DataError, DeviceError, MetricError, MissingData, PluginError, StoreError
from oodbench.folders import default_data_dir
from oodbench.images import Conversion
from oodbench.plugins import registry
from oodbench.store.records import ResultStore
from oodbench.store.workspace import Workspace

from .helpers import Listener, small_benchmark

METHODS = ("msp", "odin", "mahalanobis", "knn", "lof", "react(tune=id)", "ensemble(members=2)", "odm", "ml")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with the results of a run that stored its detectors, and with its test images as files."""
    folder = tmp_path_factory.mktemp("home")
    benchmark, cache = small_benchmark(), folder / "cache"
    oodbench.run(benchmark, METHODS, results_dir=folder / "results", cache_dir=cache, save_detectors=True)
    data = prepare(request([benchmark], ["msp"]), workspace=Workspace.of(cache_dir=cache), results_dir=folder).data[
        "small"
    ]
    for name, images in {"id": data.id_test, "noise": data.ood["noise"]}.items():
        (folder / name).mkdir()
        for i, image in enumerate(images.images):
            Image.fromarray(image[0]).save(folder / name / f"{i:03}.png")
    return folder


def stored(home, method):
    """Return the detector of a method, its record and its scores."""
    store = ResultStore(home / "results")
    record = next(each for each in store.all() if each.method == method.partition("(")[0])
    file = (home / "results" / store.file_of(record)).with_suffix(".detector")
    return Detector.load(file, "cpu"), record, store.scores(record)


@pytest.fixture
def msp(home):
    return stored(home, "msp")[0]


@pytest.fixture
def copied(home, tmp_path):
    """A copy of the file of MSP's detector, to be broken."""
    (file,) = (home / "results").rglob("msp-*.detector")
    (tmp_path / "msp.detector").write_bytes(file.read_bytes())
    return tmp_path / "msp.detector"


@pytest.mark.parametrize("method", METHODS)
def test_scores_are_those_of_the_run(home, method):
    detector, record, scores = stored(home, method)

    for folder, expected in (("id", scores.id), ("noise", scores.ood["noise"])):
        found = detector.detect(home / folder)
        assert [each.score for each in found] == expected.tolist()
        assert [Path(each.source).name for each in found] == [f"{i:03}.png" for i in range(len(expected))]
    assert detector.method == record.variant


@pytest.mark.parametrize("method", METHODS)
def test_classes_and_verdicts_are_those_of_the_run(home, method):
    detector, record, _ = stored(home, method)
    found = detector.detect(home / "id")
    data = prepare(
        request([small_benchmark()], ["msp"]), workspace=Workspace.of(cache_dir=home / "cache"), results_dir=home
    ).data["small"]

    classes = [data.class_names[label] for label in data.id_test.labels]
    right = [each.class_name == name for each, name in zip(found, classes, strict=True)]
    assert np.mean(right) == record.accuracy
    accepted = np.mean([each.is_in_distribution for each in found])
    assert 0.95 <= accepted < 0.97
    noise = np.mean([each.is_in_distribution for each in detector.detect(home / "noise")])
    assert noise == next(row for row in record.rows if row.out_dist == "noise").metrics["fpr_at_95tpr"]


@pytest.mark.parametrize("tpr", [0.01, 0.5, 0.8, 0.95, 0.999, 1.0])
def test_the_threshold_is_that_of_the_metrics(home, tpr):
    detector, _, scores = stored(home, "knn")
    threshold = detector.threshold(tpr)

    assert (scores.id >= threshold).mean() >= tpr
    assert (scores.id >= np.nextafter(threshold, np.inf)).mean() < tpr
    fpr = metrics.fpr_at_tpr(scores.id, scores.ood["noise"], tpr=tpr)
    assert (scores.ood["noise"] >= threshold).mean() == fpr
    verdicts = [each.is_in_distribution for each in detector.detect(home / "id", tpr=tpr)]
    assert verdicts == (scores.id >= threshold).tolist()


@pytest.mark.parametrize("tpr", [0, -1, 1.5, 95])
def test_a_tpr_that_cannot_be_is_refused(msp, home, tpr):
    with pytest.raises(MetricError, match=r"tpr must be in \(0, 1\]"):
        msp.detect(home / "id", tpr=tpr)


def test_odin_and_its_detector_share_one_network_in_the_file(home):
    detector, _, _ = stored(home, "odin")

    assert detector.fitted.network is detector.networks[0]
    sizes = {file.name.partition("-")[0]: file.stat().st_size for file in (home / "results").rglob("*.detector")}
    assert sizes["odin"] < 1.1 * sizes["msp"] < sizes["ensemble"]


def test_a_detector_can_be_saved_again(msp, home, tmp_path):
    msp.save(tmp_path / "deep" / "again.detector")

    again = Detector.load(tmp_path / "deep" / "again.detector", "cpu")
    assert again.detect(home / "noise") == msp.detect(home / "noise")
    assert (again.class_names, again.in_dist) == (("2", "6", "7"), "small")
    assert again.conversion == Conversion(size=(8, 8), channels=1)
    assert list((tmp_path / "deep").iterdir()) == [tmp_path / "deep" / "again.detector"]


def test_the_facts_can_be_read_without_running_anything(copied, home):
    about = read_about(copied)
    record = next(each for each in ResultStore(home / "results").all() if each.method == "msp")

    assert (about["method"], about["in_dist"], about["format"]) == ("msp", "small", FORMAT)
    assert about["record"]["key"] == record.key
    assert about["record"]["versions"] == record.versions
    with zipfile.ZipFile(copied) as archive, archive.open("scores_id.npy") as member:
        scores = np.load(member)
    assert (np.diff(scores) >= 0).all()


def test_images_come_as_files_pictures_and_arrays(msp, home):
    file = home / "id" / "000.png"
    picture = Image.open(file)
    array = np.asarray(picture)[np.newaxis, np.newaxis]
    (of_file,) = msp.detect(file)
    everything = msp.detect([str(file), picture, array, torch.tensor(array), home / "noise"])

    assert of_file == Detection(
        source=str(file), class_name=of_file.class_name, score=of_file.score, is_in_distribution=True
    )
    assert [each.source for each in everything[:4]] == [str(file), "image 1", "image 2", "image 3"]
    assert len(everything) == 4 + 50
    np.testing.assert_allclose([each.score for each in everything[:4]], of_file.score, rtol=1e-6)
    assert all(each.source.startswith(str(home / "noise")) for each in everything[4:])


def test_images_of_any_size_and_colour_are_converted_as_in_training(msp, tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (20, 31, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "colour.png")
    grey = np.asarray(Image.fromarray(pixels).convert("L").resize((8, 8), Image.Resampling.BILINEAR))

    found = msp.detect([tmp_path / "colour.png", grey[np.newaxis, np.newaxis], pixels.transpose(2, 0, 1)[np.newaxis]])
    assert found[0].score == found[1].score == found[2].score


def test_a_folder_is_searched_in_the_order_of_its_paths(msp, home, tmp_path):
    for name in ("b/1.png", "a-b/1.png", "a/2.PNG", "a/1.jpg", "a/notes.txt", "3.png"):
        (tmp_path / "new" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "new" / name).write_bytes((home / "id" / "000.png").read_bytes())

    names = [Path(each.source).relative_to(tmp_path / "new").as_posix() for each in msp.detect(tmp_path / "new")]
    assert names == ["3.png", "a/1.jpg", "a/2.PNG", "a-b/1.png", "b/1.png"]


def test_images_stream(msp, home, monkeypatch):
    monkeypatch.setattr("oodbench.detector.BATCH_SIZE", 8)
    opened = []

    def pictures():
        for file in sorted((home / "id").iterdir()):
            opened.append(file)
            yield file

    detections = msp.stream(pictures())
    assert opened == []
    first = next(detections)
    assert len(opened) == 8
    rest = list(detections)
    assert len(rest) + 1 == len(opened) == len(list((home / "id").iterdir()))
    whole = msp.detect(home / "id")
    np.testing.assert_allclose([each.score for each in (first, *rest)], [each.score for each in whole], rtol=1e-5)


def test_an_image_that_cannot_be_decoded_ends_it_or_is_told(msp, home, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    images = [home / "id" / "000.png", tmp_path / "broken.png", home / "id" / "001.png"]
    told = []

    with pytest.raises(DataError, match=r"broken\.png cannot be decoded"):
        msp.detect(images)
    found = list(msp.stream(images, unreadable=told.append))
    assert [each.source for each in found] == [str(images[0]), str(images[2])]
    assert [str(tmp_path / "broken.png") in str(error) for error in told] == [True]


@pytest.mark.parametrize(
    ("images", "error", "said"),
    [
        ("nowhere.png", MissingData, "there is no file or folder nowhere.png"),
        ("empty", MissingData, "no images in empty"),
        (np.zeros((2, 8, 8), np.uint8), DataError, "must be uint8 of shape (n, channels, height, width)"),
        (np.zeros((1, 3, 8, 8)), DataError, "with 1 or 3 channels, got float64 (1, 3, 8, 8)"),
        (5, DataError, "images must be paths, PIL images or uint8 arrays"),
        (Image.new("F", (8, 8)), DataError, "cannot be converted (its pixels are floating-point numbers)"),
    ],
    ids=["missing", "empty", "3-D", "floats", "number", "float picture"],
)
def test_what_is_no_image_is_one_sentence(msp, tmp_path, images, error, said):
    (tmp_path / "empty").mkdir()
    with pytest.raises(error) as caught:
        msp.detect(images)

    assert said in str(caught.value)


def test_no_images_are_no_detections(msp):
    assert msp.detect([]) == []


@pytest.mark.parametrize("damage", ["cut", "flipped", "no zip", "another zip"])
def test_a_damaged_file_is_named(copied, damage):
    content = bytearray(copied.read_bytes())
    if damage == "cut":
        copied.write_bytes(content[:-100])
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
        copied.write_bytes(content)
    elif damage == "no zip":
        copied.write_bytes(b"no detector")
    else:
        torch.save({}, copied)

    with pytest.raises(StoreError, match=r"msp\.detector is not a whole detector .*oodbench run --save-detectors"):
        Detector.load(copied)


def rewritten(file, change):
    """Change the facts of a detector's file."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    about = json.loads(members["about.json"])
    change(about)
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in {**members, "about.json": json.dumps(about)}.items():
            archive.writestr(name, content)


def test_a_file_of_another_format_is_refused(copied):
    rewritten(copied, lambda about: about.update(format=FORMAT + 1))

    with pytest.raises(
        StoreError, match=rf"has the format {FORMAT + 1}, and this version of oodbench reads {FORMAT}; make it again"
    ):
        Detector.load(copied)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"there is no detector .*none\.detector; store one: oodbench run"):
        Detector.load(tmp_path / "none.detector")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_named(copied):
    with pytest.raises(DeviceError, match="PyTorch finds no CUDA GPU here"):
        Detector.load(copied, "cuda")


PLUGIN = """
from dataclasses import dataclass
from typing import ClassVar
from oodbench.posthoc import LogitMethod

@dataclass(frozen=True, kw_only=True)
class Second(LogitMethod):
    title: ClassVar[str] = "second largest logit"
    source: ClassVar[str] = "tests"

    def score_logits(self, logits):
        return -logits.sort(dim=1).values[:, -2]
"""


def test_a_method_that_is_not_installed_is_named(plugins, home, monkeypatch):
    plugins("oodbench-second", {"methods": {"second": "second_of_mine:Second"}}, {"second_of_mine.py": PLUGIN})
    oodbench.run(small_benchmark(), "second", cache_dir=home / "cache", save_detectors=True)
    file = find_detector(Path("results"))
    assert len(Detector.load(file).detect(home / "noise")) == 50

    monkeypatch.setitem(sys.modules, "second_of_mine", None)
    with pytest.raises(
        PluginError, match=r"needs the Python module 'second_of_mine', .* \(second of oodbench-second 1\.0\)"
    ):
        Detector.load(file)
    monkeypatch.setitem(sys.modules, "second_of_mine", type(sys)("second_of_mine"))
    with pytest.raises(PluginError, match=r"cannot be loaded \(AttributeError.*it was made with .*torch"):
        Detector.load(file)


def test_a_plugin_file_in_the_environment_is_run_before_its_detector_is_loaded(home, tmp_path, monkeypatch):
    def start_anew():
        for name in [name for name in sys.modules if name.startswith("oodbench_plugin_")]:
            del sys.modules[name]
        registry.forget()

    (tmp_path / "second.py").write_text(PLUGIN)
    monkeypatch.setenv("OODBENCH_PLUGINS", str(tmp_path / "second.py"))
    start_anew()
    oodbench.run(small_benchmark(), "second", cache_dir=home / "cache", save_detectors=True)
    file = find_detector(Path("results"))
    start_anew()
    assert len(Detector.load(file).detect(home / "noise")) == 50

    monkeypatch.delenv("OODBENCH_PLUGINS")
    start_anew()
    with pytest.raises(PluginError, match="a plugin file must lie where it was: --plugin FILE"):
        Detector.load(file)


def test_a_stored_cell_without_its_detector_is_scored_again_with_the_network_that_is_there():
    def run(**options):
        listener = Listener()
        frame = oodbench.run(small_benchmark(), ["msp", "knn"], report=listener, **options)
        return frame, [listener.count(start) for start in ("trained", "scored", "stored the detector")]

    first, counts = run()
    assert counts == [1, 2, 0]
    assert list(Path("results").rglob("*.detector")) == []
    second, counts = run(save_detectors=True)
    assert counts == [0, 2, 2]
    columns = ["method", "out_dist", "auroc", "accuracy"]
    assert first[columns].equals(second[columns])
    assert run(save_detectors=True)[1] == [0, 0, 0]
    next(Path("results").rglob("knn-*.detector")).write_bytes(b"damaged")
    assert run(save_detectors=True)[1] == [0, 1, 1]
    rewritten(next(Path("results").rglob("msp-*.detector")), lambda about: about["record"].update(key="older"))
    assert run(save_detectors=True)[1] == [0, 1, 1]


def test_the_size_of_a_detector_is_told():
    listener = Listener()
    oodbench.run(small_benchmark(), "msp", report=listener, save_detectors=True)
    (file,) = Path("results").rglob("*.detector")

    assert f"stored the detector {file} ({file.stat().st_size / 1e6:.1f} MB)" in listener.messages


def test_a_detector_that_cannot_be_stored_is_told_and_its_record_is_kept(monkeypatch):
    from oodbench.posthoc import LogitMethod

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Local(LogitMethod):
        title = source = "a method that nobody can import"

        def score_logits(self, logits):
            return logits.amax(dim=1)

    with pytest.raises(PluginError, match=r"the detector local-.* cannot be stored .*at the top of a module"):
        oodbench.run(small_benchmark(), ["msp", Local()], save_detectors=True)
    assert [record.method for record in ResultStore(Path("results")).all()] == ["local", "msp"]
    assert [file.name[:3] for file in Path("results").rglob("*.detector*")] == ["msp"]


def test_a_detector_that_cannot_be_written_is_named(msp, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write .*free space or change permissions"):
        msp.save(tmp_path / "file" / "msp.detector")


def test_a_detector_is_found_by_its_record_or_its_folder(home, copied, tmp_path):
    (record,) = (home / "results").rglob("msp-*.json")
    (alone := tmp_path / "alone").mkdir()
    copied.rename(alone / "msp.detector")

    assert find_detector(record) == record.with_suffix(".detector")
    assert find_detector(alone) == alone / "msp.detector"
    assert find_detector(alone / "msp.detector") == alone / "msp.detector"
    with pytest.raises(ConfigError, match=rf"has {len(METHODS)} detectors; name one: .*ensemble-.*, …$"):
        find_detector(home / "results")
    with pytest.raises(MissingData, match="no detector in "):
        find_detector(home / "id")
    (alone / "odin.json").write_text("{}")
    with pytest.raises(MissingData, match=r"no detector beside .*odin\.json; store it: run it again with --save-det"):
        find_detector(alone / "odin.json")


def test_a_detector_of_an_older_result_is_not_taken_for_that_of_its_record(home, copied):
    (record,) = (home / "results").rglob("msp-*.json")
    (beside := copied.with_suffix(".json")).write_bytes(record.read_bytes())
    assert find_detector(beside) == copied

    rewritten(copied, lambda about: about["record"].update(key="older"))
    with pytest.raises(StoreError, match="belongs to an older result"):
        find_detector(beside)
    beside.write_text("[]")
    with pytest.raises(StoreError, match=r"msp\.json is not a whole record"):
        find_detector(beside)


def test_a_benchmark_that_takes_images_as_they_are_gives_its_detector_their_size():
    benchmark = small_benchmark(conversion=Conversion(), ood=small_benchmark().ood[:2])
    oodbench.run(benchmark, "msp", save_detectors=True)
    detector = Detector.load(find_detector(Path("results")))

    assert detector.conversion == Conversion(size=(8, 8), channels=1)
    assert not default_data_dir().exists()
