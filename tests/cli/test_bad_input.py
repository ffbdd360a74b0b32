"""Bad input gets one sentence that says what to do next, exit code 2, and no traceback."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("rn", "Error: no command 'rn'. Did you mean 'run'?"),
        ("run --methd msp", "Error: No such option '--methd'."),
        (
            "run --method odn",
            "Error: no method 'odn'. Did you mean 'odin' or 'godin' or 'odm'? See: oodbench list methods",
        ),
        (
            "run --in mnist267",
            "Error: no benchmark 'mnist267'. Did you mean 'mnist-267' or 'skip-mnist'? See: oodbench list benchmarks",
        ),
        ("run --in digits-osrs", "Error: no benchmark 'digits-osrs'. Did you mean 'digits-osr' or "),
        (
            "run --in skip-mnist-digit-23",
            "Error: no benchmark 'skip-mnist-digit-23'. Did you mean 'skip-mnist-digits-23' or ",
        ),
        ("run --set odm.margn=5", "Error: odm has no setting 'margn'. Did you mean 'margin'?"),
        ("run --set odm.margin=wide", "Error: odm.margin must be a finite number, got 'wide'"),
        ("run --set odm.margin=-1", "Error: odm.margin must be positive, got -1.0"),
        ("run --set margin=5", "Error: --set 'margin=5' is not of the form NAME.SETTING=VALUE, such as odm.margin=5"),
        (
            "run --method msp --set odm.margin=5",
            "Error: settings for 'odm', which is no method of this run; there is: msp, recipe.",
        ),
        ("run --recipe fst", "Error: benchmark digits has no recipe 'fst'; there is: default."),
        ("run --tune val", "Error: --tune val needs validation OOD images, and digits has none; take --tune id"),
        ("run --tune value", "Error: tune must be one of id, val, seen, test, got 'value'"),
        ("run --method msp(tune=id)", "Error: msp has no setting 'tune'"),
        ("run --seeds 0", "Error: --seeds must be at least 1, got 0"),
        ("run --seeds many", "Error: Invalid value for '--seeds': 'many' is not a valid integer."),
        ("run --device tpu", "Error: no device 'tpu'; choose auto, cpu, cuda or single GPUs"),
        ("table", "Error: no results in "),
        ("table --layout table3", "Error: no layout 'table3'. Did you mean 'table2' or 'table1'?"),
        ("table --format word", "Error: no table format 'word'; there is: text, markdown, latex, csv, html."),
        ("plot rocs", "Error: no kind of picture 'rocs'. Did you mean 'roc'?"),
        ("plot --format gif", "Error: no file format 'gif'"),
        ("list method", "Error: nothing of the kind 'method' can be listed. Did you mean 'methods'?"),
        ("data --download my-cats", "Error: my-cats cannot be downloaded."),
        ("check", "Error: name what to check, such as: oodbench check my-score, or a file: --plugin my_score.py"),
        ("check odn", "Error: nothing has the name 'odn'. Did you mean 'odin' or 'godin' or 'odm'? See: oodbench list"),
        ("new metod my-score", "Error: no kind of plugin to begin 'metod'. Did you mean 'method'?"),
        (
            "new method My_Score",
            "Error: 'My_Score' cannot be a name; use small letters, digits and hyphens, such as my-m",
        ),
        ("new method odm", "Error: there is a method 'odm' already, of oodbench 0.1.0; choose another name"),
        (
            "new method json",
            "Error: a Python package 'json' is installed already; choose another name, such as my-json",
        ),
        ("run --plugin no_such.py", "Error: the plugin file "),
    ],
)
def test_wrong_words_are_one_sentence(oodbench, arguments, sentence):
    done = oodbench(*arguments.split())

    assert done.code == 2
    assert done.err.splitlines()[-1].startswith(sentence)
    assert "Traceback" not in done.err
    assert done.out == ""


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_gpu_that_is_not_there(oodbench):
    done = oodbench("run", "--device", "cuda")

    assert (done.code, done.err) == (
        2,
        "Error: device 'cuda' was asked for, but PyTorch finds no CUDA GPU here; use 'cpu' or 'auto'\n",
    )


def test_missing_data_says_where_it_was_looked_for_and_how_to_get_it(oodbench):
    done = oodbench("run", "--in", "mnist-267", "--data-dir", "images")

    assert done.code == 2
    assert done.err == (
        "Error: no train images of mnist: looked for images/MNIST/raw/train-images-idx3-ubyte or "
        "images/MNIST/raw/train-images-idx3-ubyte.gz or images/mnist/train or images/mnist.zip. "
        "Run: oodbench data --download mnist (or put a folder or ZIP of images there).\n"
    )


def mnist_folder(root):
    """Write a few images of each digit as a folder."""
    for split in ("train", "test"):
        for digit in range(10):
            folder = root / "mnist" / split / str(digit)
            folder.mkdir(parents=True)
            for i in range(4):
                Image.new("L", (28, 28), color=20 * digit + i).save(folder / f"{i}.png")


def test_damaged_image_is_named(oodbench):
    mnist_folder(Path("images"))
    damaged = Path("images/mnist/train/6/2.png")
    damaged.write_bytes(damaged.read_bytes()[:40])

    done = oodbench("run", "--in", "mnist-267", "--data-dir", "images")

    assert done.code == 2
    assert done.err.splitlines()[-1].startswith(f"Error: the image {damaged} cannot be decoded (")
    assert "Traceback" not in done.err


def test_damaged_zip_is_named(oodbench):
    mnist_folder(Path("images"))
    shutil.make_archive("images/mnist", "zip", "images", "mnist")
    shutil.rmtree("images/mnist")
    content = Path("images/mnist.zip").read_bytes()
    Path("images/mnist.zip").write_bytes(content[: len(content) // 2])

    done = oodbench("run", "--in", "mnist-267", "--data-dir", "images")

    assert done.code == 2
    assert done.err.startswith("Error: images/mnist.zip is not a whole ZIP (")


def test_class_that_is_missing_from_the_data_is_named(oodbench):
    mnist_folder(Path("images"))
    shutil.rmtree("images/mnist/train/7")

    done = oodbench("run", "--in", "mnist-267", "--data-dir", "images")

    assert (done.code, done.err) == (
        2,
        "Error: mnist (train) has no class '7'; its classes are: 0, 1, 2, 3, 4, 5, 6, 8, 9\n",
    )


def test_empty_ood_set_is_named(oodbench):
    mnist_folder(Path("images"))
    with zipfile.ZipFile("images/svhn.zip", "w") as archive:
        archive.writestr("svhn/test/readme.txt", "nothing")

    done = oodbench("run", "--in", "mnist-267", "--data-dir", "images")

    assert done.code == 2
    assert done.err.splitlines()[-1].startswith("Error: no images in images/svhn.zip")


def test_results_folder_that_cannot_be_written_to(oodbench):
    Path("taken").write_text("a file")

    done = oodbench("run", "--results-dir", "taken")

    assert done.code == 2
    assert "taken" in done.err
    assert "Traceback" not in done.err


def test_cache_folder_that_cannot_be_written_to(oodbench):
    Path("taken").write_text("a file")

    done = oodbench("run", "--cache-dir", "taken/cache")

    assert done.code == 2
    assert done.err.splitlines()[-1].startswith("Error: cannot write to the cache folder taken/cache (")


@pytest.mark.parametrize("command", [["run", "--in", "small", "--method", "msp"], ["table"], ["plot"]])
def test_half_written_record_is_named_and_kept(oodbench, small, command):
    assert oodbench("run", "--in", small, "--method", "msp").code == 0
    (path,) = Path("results").glob("small/*.json")
    path.write_text(path.read_text()[:50])

    done = oodbench(*command)

    assert done.code == 2
    assert done.err.splitlines()[-1].startswith(f"Error: {path} is not a whole record (")
    assert len(path.read_text()) == 50
