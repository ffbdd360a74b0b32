"""Each command, as a user sees it."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from oodbench.metrics import METRICS, SAMPLE_METRICS
from oodbench.plugins import registry


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """Return a folder for what the first run left, and what it said."""
    return tmp_path_factory.mktemp("first"), []


@pytest.fixture
def stored(oodbench, small, first):
    """Have results of two methods and the cache of their run, made once and copied for each test."""
    folder, said = first
    if not said:
        done = oodbench("run", "--in", small, "--method", "msp", "--method", "ml")
        assert done.code == 0
        for name in ("results", "cache"):
            shutil.copytree(name, folder / name)
        said.append(done)
        return done
    for name in ("results", "cache"):
        shutil.copytree(folder / name, name)
    return said[0]


def test_run_prints_the_table_to_stdout_and_the_rest_to_stderr(stored):
    lines = stored.out.splitlines()

    assert lines[0] == "OOD detection with small as in-distribution, in percent; one seed."
    assert [line.split()[0] for line in lines[4:] if line.startswith(" m")] == ["msp", "ml"]
    assert stored.err.splitlines()[0] == "0 cells stored, 2 to do on cpu; 2 networks to train, 0 trained before"
    assert stored.err.splitlines()[-1].startswith("Next: oodbench plot --in small")


def test_second_run_does_nothing_and_prints_the_same_table(oodbench, stored, small):
    again = oodbench("run", "--in", small, "--method", "msp", "--method", "ml")

    assert again.out == stored.out
    assert again.err.splitlines()[0] == "2 cells stored, 0 to do on cpu"


def test_dry_run_prints_the_plan_and_does_nothing(oodbench, small):
    done = oodbench("run", "--in", small, "--method", "msp", "--method", "odin", "--seeds", "2", "--dry-run")

    plan, forecast = done.out.split("\n\nimages ")
    assert plan == (
        "network           training   training images   state\n"
        "───────────────────────────────────────────────────────\n"
        "small ce seed 0   4 epochs   323               to train\n"
        "small ce seed 1   4 epochs   323               to train\n"
        "\n"
        "cell                recipe    OOD sets   images to score   state\n"
        "────────────────────────────────────────────────────────────────\n"
        "small msp seed 0    default   3 of 3     408               to do\n"
        "small msp seed 1    default   3 of 3     408               to do\n"
        "small odin seed 0   default   3 of 3     408               to do\n"
        "small odin seed 1   default   3 of 3     408               to do\n"
        "\n"
        "0 cells stored, 4 to do on cpu; 2 networks to train, 0 trained before\n"
        "images through networks: 2,560 in training, 816 test images once for all methods"
    )
    head, _, *sets, _, last = forecast.splitlines()
    assert head.split() == ["number", "pixels", "kept", "decoded"]
    assert [line.split("  ")[0] for line in sets] == ["digits (train)", "digits (test)", "gaussian (test)"]
    assert re.fullmatch(r"kept in the end: .+ of pixels \(--pixel-cache 20.0 GB\), .+ of outputs", last)
    assert not Path("results").exists()


def test_a_dry_run_downloads_nothing(oodbench, small, monkeypatch):
    called = []
    monkeypatch.setattr(type(registry.dataset("mnist")), "download", lambda *given: called.append(given))
    done = oodbench("run", "--in", small, "--method", "msp", "--out", "mnist", "--download", "--dry-run")

    assert called == []
    assert done.code == 2
    assert done.err.startswith("nothing is downloaded in a dry run: what is not there counts as missing\n")
    assert "Error: no test images of mnist" in done.err


def test_run_without_arguments_plans_every_method_on_the_embedded_benchmark(oodbench):
    done = oodbench("run", "--dry-run")

    cells = [line.split() for line in done.out.splitlines() if "default" in line]
    assert sorted(name for _, name, *_ in cells) == registry.names("methods")
    names = [name for _, name, *_ in cells]
    assert names[0] == "adascale"
    # Those that are trained on seen OOD images come last.
    assert names.index("ml") < names.index("vae") < names.index("odm") < names.index("outlier_exposure")
    assert {benchmark for benchmark, *_ in cells} == {"digits"}


def test_settings_of_the_command_line_reach_method_and_recipe(oodbench, small):
    oodbench("run", "--in", small, "--method", "ml", "--set", "ml.margin=2", "--set", "recipe.epochs=3")

    (path,) = Path("results/small").glob("*.json")
    record = json.loads(path.read_text())
    assert (record["settings"]["margin"], record["training"]["epochs"], record["recipe"]) == (
        2.0,
        3,
        "default (epochs=3)",
    )


def test_flat_table_is_tidy(oodbench, stored):
    done = oodbench("table", "--layout", "flat", "--format", "csv")

    rows = list(csv.DictReader(io.StringIO(done.out)))
    of_samples = [name for name in SAMPLE_METRICS if name in rows[0]]
    head = ["in_dist", "method", "seed", "out_dist", "role", "accuracy", *METRICS, *of_samples, "recipe"]
    assert list(rows[0])[: len(head)] == head
    assert "oscr" in of_samples
    assert [(row["method"], row["out_dist"], row["role"]) for row in rows[:3]] == [
        ("msp", "seen digits", "seen"),
        ("msp", "new digits", "novelty"),
        ("msp", "noise", "anomaly"),
    ]
    assert all(0 <= float(row["auroc"]) <= 1 for row in rows)


@pytest.mark.parametrize(
    ("format_", "start"),
    [
        ("text", "OOD detection with small"),
        ("markdown", "OOD detection with small"),
        ("latex", "% needs \\usepackage{booktabs}"),
        ("csv", "Method,ID acc.,Out-dist"),
        ("html", '<meta charset="utf-8">\n<table'),
    ],
)
def test_table_comes_in_every_format(oodbench, stored, format_, start):
    assert oodbench("table", "--format", format_).out.startswith(start)


def test_table_of_chosen_methods_is_in_the_order_given(oodbench, stored):
    done = oodbench("table", "--method", "ml", "--method", "msp", "--format", "csv")

    assert [row["Method"] for row in csv.DictReader(io.StringIO(done.out))] == ["ml"] * 3 + ["msp"] * 3


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("--in mnist-267", "Error: no stored benchmark 'mnist-267'; there is: small."),
        ("--method odm", "Error: no stored method 'odm'"),
        ("--recipe xyz", "Error: no stored recipe 'xyz'; there is: default."),
    ],
)
def test_table_of_what_is_not_stored_says_what_is(oodbench, stored, option, sentence):
    done = oodbench("table", *option.split())

    assert done.code == 2
    assert done.err.startswith(sentence)


def test_plot_draws_every_kind_and_prints_the_files(oodbench, stored):
    done = oodbench("plot")

    files = [Path(line) for line in done.out.splitlines()]
    assert files == [Path(f"results/small/{kind}.png") for kind in ("embeddings", "histograms", "roc")]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)


def test_plot_of_one_kind_goes_where_it_is_told(oodbench, stored):
    done = oodbench("plot", "roc", "--format", "pdf", "--out", "pictures")

    assert done.out == "pictures/roc.pdf\n"
    assert Path("pictures/roc.pdf").read_bytes().startswith(b"%PDF")


def test_plot_of_a_seed_that_is_not_stored_names_those_that_are(oodbench, stored):
    done = oodbench("plot", "--seed", "7")

    assert (done.code, done.err) == (2, "Error: no stored result has seed 7; there are: [0]\n")


def test_list_names_every_plugin_its_source_and_whether_its_data_is_there(oodbench):
    done = oodbench("list", "--data-dir", "images")

    for words in ("Liang et al., ICLR 2018", "seen OOD images", "missing: mnist, svhn, cifar10", "any other name"):
        assert words in done.out


def test_list_of_one_kind_is_only_that(oodbench):
    done = oodbench("list", "methods")

    assert "odin" in done.out
    assert "mnist-267" not in done.out


def test_data_says_where_each_set_is_looked_for(oodbench):
    Path("images/cats/test").mkdir(parents=True)
    Image.new("L", (2, 2)).save("images/cats/test/0.png")

    done = oodbench("data", "mnist", "cats", "gaussian", "--data-dir", "images")

    assert done.out == (
        "mnist: Handwritten digits, 28×28 grey, 60,000 + 10,000\n"
        "  train  missing  images/MNIST/raw/train-images-idx3-ubyte\n"
        "                  or images/MNIST/raw/train-images-idx3-ubyte.gz\n"
        "                  or images/mnist/train\n"
        "                  or images/mnist.zip\n"
        "  test   missing  images/MNIST/raw/t10k-images-idx3-ubyte\n"
        "                  or images/MNIST/raw/t10k-images-idx3-ubyte.gz\n"
        "                  or images/mnist/test\n"
        "                  or images/mnist.zip\n"
        "  how to get it: Run: oodbench data --download mnist (or put a folder or ZIP of images there).\n"
        "cats: Your own images: any folder, or a ZIP of one\n"
        "  train  missing  images/cats/train\n"
        "                  or images/cats.zip\n"
        "  test   there    images/cats/test\n"
        "                  1 image without classes\n"
        "  how to get it: Put images into <data folder>/<name>/test/<class>/, or right into test/ where they "
        "have no labels.\n"
        "gaussian: Gaussian noise, N(0.5, 1) clipped to [0, 1]\n"
        "  train  there    comes with the installation\n"
        "  test   there    comes with the installation\n"
    )


def test_picture_of_a_part_does_not_take_the_place_of_the_whole(oodbench, stored):
    done = oodbench("plot", "roc", "--method", "ml")

    assert done.out == "results/small/roc-ml.png\n"


def test_stored_method_is_found_as_it_was_asked_for(oodbench, small):
    oodbench("run", "--in", small, "--method", "ml(margin=2)", "--set", "recipe.epochs=2")

    assert "ml (margin=2)" in oodbench("table", "--method", "ml(margin=2)", "--recipe", "default").out


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("networks", "lenet"),
        ("recipes", "minutes on 2 CPU cores"),
        ("settings", "temperature"),
        ("methods", "odin"),
        ("metrics", "FPR at 95% TPR"),
        ("layouts", "as they are"),
    ],
)
def test_list_of_each_kind(oodbench, kind, words):
    assert words in oodbench("list", kind).out


def test_misspelt_data_set_is_asked_about(oodbench):
    done = oodbench("data", "minst")

    assert done.code == 2
    assert done.err == (
        "Error: nothing is there for 'minst': looked for data/minst/train or data/minst.zip or data/minst/test. "
        "Did you mean 'mnist'?\n"
    )


def test_ood_set_that_is_asked_for_by_name_must_be_there(oodbench, small):
    done = oodbench("run", "--in", small, "--method", "msp", "--out", "cats")

    assert done.code == 2
    assert "no test images of cats" in done.err


def publish_frame():
    """Write a data set that needs preparation: one frame of Tsinghua-Tencent 100K with one sign."""
    folder = Path("images/tt100k/train")
    folder.mkdir(parents=True)
    Image.new("RGB", (300, 300)).save(folder / "1.jpg")
    sign = {"category": "pl50", "bbox": {"xmin": 5, "ymin": 5, "xmax": 25, "ymax": 25}}
    annotations = {"types": ["pl50"], "imgs": {"1": {"id": 1, "path": "train/1.jpg", "objects": [sign]}}}
    (folder.parent / "annotations.json").write_text(json.dumps(annotations))


def test_data_set_is_prepared_and_then_there(oodbench):
    publish_frame()

    done = oodbench("data", "--prepare", "tsinghua", "--data-dir", "images", "--set", "tsinghua.patch_sides=20,30")

    assert (done.code, done.out.splitlines()[1]) == (0, "  train  there    images/tsinghua/train")
    assert done.err.startswith(
        "cut 1 signs of 1 classes and 1 background patches out of 1 frames into images/tsinghua\n"
        "  signs by class: images/tsinghua/cut.json\n"
    )
    assert json.loads(Path("images/tsinghua/cut.json").read_text())["settings"]["patch_sides"] == [20, 30]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--prepare"], "Error: --prepare needs a name: oodbench data --prepare NAME"),
        (["--prepare", "mnist"], "Error: mnist needs no preparation: it is read as it is published"),
        (["mnist", "--set", "tsinghua.seed=1"], "Error: --set tsinghua.… is for no data set of this command; name it"),
        (["--prepare", "tsinghua"], "Error: no annotations of TT100K: looked for "),
        (["--prepare", "tsinghua", "--set", "tsinghua.sead=1"], "Error: tsinghua has no setting 'sead'. Did you mean"),
    ],
)
def test_preparation_that_cannot_be_done_says_why(oodbench, arguments, message):
    done = oodbench("data", *arguments)

    assert done.code == 2
    assert message in done.err


def test_a_run_in_which_every_method_is_left_out_is_one_sentence(oodbench, small, monkeypatch):
    found = registry.names
    monkeypatch.setattr(registry, "names", lambda kind: ["ml", "odm"] if kind == "methods" else found(kind))
    diverging = ("--set", "recipe.learning_rate=100", "--set", "recipe.optimizer=sgd")
    done = oodbench("run", "--in", small, *diverging, "--method", "all")

    assert done.code == 2
    assert "left out: " in done.err
    assert done.err.splitlines()[-1] == ("Error: no method could be scored on small; see above why each was left out")


def test_a_benchmark_on_which_nothing_could_be_scored_does_not_hide_the_table_of_another(oodbench, small, monkeypatch):
    from oodbench.engine import runner

    execute = runner.execute

    def only_small(prepared):
        return [record for record in execute(prepared) if record.benchmark["name"] == "small"]

    monkeypatch.setattr(runner, "execute", only_small)
    done = oodbench("run", "--in", small, "--in", "digits", "--method", "msp", "--set", "recipe.epochs=1")

    assert done.code == 2
    assert done.out.startswith("OOD detection with small as in-distribution")
    assert "no method could be scored on digits" in done.err
