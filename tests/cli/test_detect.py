"""`oodbench detect`: one line an image."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with the results of a run that stored a detector, and a few of its test images as files."""
    import oodbench
    from oodbench.engine.request import request
    from oodbench.engine.runner import prepare
    from oodbench.store.workspace import Workspace
    from tests.helpers import small_benchmark

    folder = tmp_path_factory.mktemp("home")
    options = {"cache_dir": folder / "cache", "results_dir": folder / "results"}
    oodbench.run(small_benchmark(), ["msp", "dbscan"], save_detectors=True, **options)
    workspace = Workspace.of(cache_dir=folder / "cache")
    data = prepare(request([small_benchmark()], ["msp"]), workspace=workspace, results_dir=folder).data["small"]
    for name, images in {"id": data.id_test.images[:20], "noise": data.ood["noise"].images[:20]}.items():
        (folder / name).mkdir()
        for i, image in enumerate(images):
            Image.fromarray(image[0]).save(folder / name / f"{i:03}.png")
    return folder


@pytest.fixture
def msp(home):
    """The file of a detector."""
    (file,) = (home / "results").rglob("msp-*.detector")
    return file


def test_text_is_aligned_and_the_header_is_apart(oodbench, home, msp):
    from oodbench import Detector

    done = oodbench("detect", "--from", msp, home / "id", home / "noise" / "000.png")

    detector = Detector.load(msp)
    expected = detector.detect([home / "id", home / "noise" / "000.png"])
    lines = done.out.splitlines()
    assert done.code == 0
    assert done.err == (
        f"msp of small: in-distribution from a score of {detector.threshold():.6g} up, which accepts 95% of the ID "
        "test images\n"
    )
    assert len(lines) == 21
    assert len({len(line) for line in lines[:20]}) == 1
    for line, each in zip(lines, expected, strict=True):
        verdict, name, score, source = line.split()
        assert (verdict, name, source) == ("in" if each.is_in_distribution else "out", each.class_name, each.source)
        assert float(score) == pytest.approx(each.score, rel=1e-5)
    assert sum(line.startswith("in ") for line in lines[:20]) > 15


def test_csv_and_json_hold_every_digit(oodbench, home, msp):
    from oodbench import Detector

    expected = [
        (each.source, each.class_name, each.score, "in" if each.is_in_distribution else "out")
        for each in Detector.load(msp).detect(home / "noise")
    ]
    as_csv = oodbench("detect", "--from", msp, home / "noise", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(as_csv.out)))
    assert [(row["source"], row["class"], float(row["score"]), row["verdict"]) for row in rows] == expected
    as_json = oodbench("detect", "--from", msp, home / "noise", "--format", "json")
    rows = [json.loads(line) for line in as_json.out.splitlines()]
    assert [tuple(row[name] for name in ("source", "class", "score", "verdict")) for row in rows] == expected


def test_tpr_moves_the_threshold(oodbench, home, msp):
    accepted = [
        oodbench("detect", "--from", msp, home / "id", "--tpr", tpr).out.count("in  ") for tpr in ("0.2", "0.6", "1")
    ]

    assert accepted[0] < accepted[1] < accepted[2] == 20


def test_the_record_names_its_detector(oodbench, home, msp):
    direct, by_record = (
        oodbench("detect", "--from", place, home / "noise") for place in (msp, msp.with_suffix(".json"))
    )

    assert direct.out == by_record.out
    assert direct.out.count("\n") == 20


def test_an_image_that_cannot_be_decoded_keeps_the_others_from_nothing(oodbench, home, msp, tmp_path):
    (tmp_path / "new").mkdir()
    for name in ("a.png", "c.png"):
        (tmp_path / "new" / name).write_bytes((home / "id" / "000.png").read_bytes())
    (tmp_path / "new" / "b.png").write_bytes(b"no image")

    done = oodbench("detect", "--from", msp, "new")
    assert done.code == 2
    assert [line.split()[-1] for line in done.out.splitlines()] == [
        str(Path("new") / name) for name in ("a.png", "c.png")
    ]
    assert done.err.splitlines()[1:] == [
        f"the image {Path('new') / 'b.png'} cannot be decoded (no known format); replace or remove it",
        "Error: 1 image could not be scored; it is named above",
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((".",), "Error: Missing option '--from'."),
        (("--from", "FILE"), "Error: Missing argument 'IMAGE_OR_FOLDER...'."),
        (("--from", "FILE", "nowhere.png"), "Error: Invalid value for 'IMAGE_OR_FOLDER...': Path 'nowhere.png' does"),
        (("--from", "FILE", "empty"), "Error: no images in empty; put some there, as one of "),
        (("--from", "FILE", "IMAGES", "--format", "xml"), "Error: no output format 'xml'; there is: text, csv, json."),
        (("--from", "FILE", "IMAGES", "--tpr", "95"), "Error: tpr must be in (0, 1], got 95.0; write 0.95 for 95%"),
        (
            ("--from", "FILE", "IMAGES", "--device", "tpu"),
            "Error: no device 'tpu'; choose auto, cpu, cuda or single GPUs",
        ),
        (("--from", "nowhere", "IMAGES"), "Error: there is no detector nowhere; store one: oodbench run --save-det"),
        (("--from", "empty", "IMAGES"), "Error: no detector in empty; store some: oodbench run --save-detectors"),
        (("--from", "RESULTS", "IMAGES"), "Error: RESULTS has 2 detectors; name one: small/dbscan-"),
        (
            ("--from", "damaged.detector", "IMAGES"),
            "Error: damaged.detector is not a whole detector (File is not a zip",
        ),
    ],
)
def test_wrong_words_are_one_sentence(oodbench, home, msp, tmp_path, arguments, sentence):
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged.detector").write_bytes(b"damaged")
    words = {"FILE": msp, "IMAGES": home / "id", "RESULTS": home / "results"}
    done = oodbench("detect", *(words.get(word, word) for word in arguments))

    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-1].startswith(sentence.replace("RESULTS", str(home / "results")))
    assert "Traceback" not in done.err


def test_help_warns_of_files_of_strangers(oodbench):
    text = " ".join(oodbench("detect", "--help").out.split())

    assert "Loading a detector runs code that its file names: take only files of people whom you trust." in text


def test_run_stores_a_detector_beside_each_record(oodbench, small, tmp_path):
    done = oodbench("run", "--in", small, "--method", "msp", "--save-detectors")

    (file,) = Path("results").rglob("*.detector")
    assert file.with_suffix(".json").exists()
    assert f"stored the detector {file} (" in done.err
    assert oodbench("table").out == done.out
