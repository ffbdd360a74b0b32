"""`oodbench report`, moving pictures, and results in the folder of one benchmark, as a user asks for them."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from oodbench.figures import animation
from tests.report.made import save_results


@pytest.fixture
def results(tmp_path):
    return save_results(tmp_path / "results", {"odm": 2.0, "msp": 0.5}, n=20)


def test_report_is_written_and_named(oodbench, results, tmp_path):
    done = oodbench("report", "--in", "tiny", "-o", tmp_path / "page.html", "--no-images")

    assert (done.code, done.err) == (0, "report: tiny\n")
    assert done.out.startswith(f"{tmp_path / 'page.html'} (")
    assert (tmp_path / "page.html").read_text().startswith("<!DOCTYPE html>")


def test_results_of_several_folders_come_together(oodbench, results, tmp_path):
    other = save_results(tmp_path / "more", {"odm": 1.0}, n=20, in_dist="other")
    done = oodbench("report", "--results-dir", results, "--results-dir", other, "--no-images")

    assert done.code == 0
    assert "Out-of-distribution detection: tiny, other" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("command", ["table", "plot"])
def test_folder_of_one_benchmark_is_a_results_folder(oodbench, results, command):
    done = oodbench(command, "--results-dir", results / "tiny", *(["histograms"] if command == "plot" else []))

    assert done.code == 0
    assert (results / "tiny" / "histograms.png").is_file() == (command == "plot")


def test_animated_embeddings_are_a_gif(oodbench, results, monkeypatch):
    monkeypatch.setattr(animation, "DPI", 30)
    monkeypatch.setattr(animation, "FRAMES", 2)
    done = oodbench("plot", "--animate", "--method", "odm", "--ood", "near")

    assert (done.code, done.out) == (0, "results/tiny/embeddings-odm-near.gif\n")


def test_a_training_is_drawn_epoch_by_epoch(oodbench, monkeypatch):
    monkeypatch.setattr(animation, "DPI", 40)
    done = oodbench(
        *("run", "--in", "digits", "--method", "ml", "--snapshots", "40", "--set", "recipe.epochs=3", "--device", "cpu")
    )
    assert done.code == 0
    done = oodbench("plot", "embeddings", "--animate", "--epochs", "--in", "digits")

    assert (done.code, done.out) == (0, "results/digits/embeddings-epochs.gif\n")
    film = Image.open(io.BytesIO(Path("results/digits/embeddings-epochs.gif").read_bytes()))
    # Before the training, and after each of three epochs.
    assert film.n_frames == 4
    assert Path("results/digits/embeddings-epochs.gif").stat().st_size < 1_000_000
    before = film.convert("RGB").tobytes()
    film.seek(3)
    assert film.convert("RGB").tobytes() != before


def test_sets_without_snapshots_are_named(oodbench, monkeypatch):
    monkeypatch.setattr(animation, "DPI", 40)
    run = ("run", "--in", "digits", "--method", "ml", "--set", "recipe.epochs=2", "--device", "cpu")
    oodbench(*run, "--snapshots", "40")
    oodbench(*run, "--out", "uniform")
    done = oodbench("plot", "embeddings", "--animate", "--epochs", "--in", "digits")

    assert (done.code, done.err) == (0, "left out, since there are no snapshots of it: uniform\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("report", "--in", "tinny"), "no stored benchmark 'tinny'. Did you mean 'tiny'?"),
        (("plot", "roc", "--animate"), "only embeddings can be animated: oodbench plot embeddings --animate"),
        (("plot", "embeddings", "--epochs"), "--epochs is for embeddings that move; add --animate"),
        (("plot", "--animate", "--format", "png"), "no file format 'png'"),
        (("plot", "--animate", "--epochs"), "no snapshots of the training of "),
        (("plot", "roc", "--ood", "nera"), "no OOD set 'nera' in tiny. Did you mean 'near'?"),
    ],
)
def test_wrong_words_are_one_sentence(oodbench, results, arguments, words):
    done = oodbench(*arguments)

    assert done.code == 2
    assert done.out == ""
    assert words in done.err
    assert done.err.count("\n") == 1


def test_tables_mark_what_cannot_be_told_from_the_best(oodbench, results):
    done = oodbench("table", "--layout", "matrix")
    assert (done.code, "≈ cannot be told from the best" in done.out) == (0, True)

    done = oodbench("table", "--layout", "matrix", "--spread", "interval")
    assert "95% interval over test images" in done.out

    done = oodbench("table", "--spread", "intervall")
    assert (done.code, done.err) == (2, "Error: no spread 'intervall'. Did you mean 'interval'?\n")


def test_a_table_of_records_without_scores_is_shown_without_marks(oodbench, results):
    for file in (results / "tiny").glob("*.npz"):
        file.unlink()
    done = oodbench("table", "--layout", "matrix")

    assert (done.code, "≈" in done.out) == (0, False)
    assert done.err.startswith("no method is marked as being as good as the best: the scores ")


def test_the_table_of_a_run_marks_what_cannot_be_told_from_the_best(oodbench, small):
    done = oodbench("run", "--in", small, "--method", "msp", "--method", "energy")
    assert (done.code, "≈ cannot be told from the best" in done.out) == (0, True)

    again = oodbench("run", "--in", small, "--method", "msp", "--method", "energy")
    assert again.out == done.out
    assert "no method is marked" not in again.err


def test_roc_curves_take_a_spread_and_refuse_what_is_none(oodbench, results):
    done = oodbench("plot", "roc", "--spread", "interval")
    assert (done.code, done.out.strip().endswith("roc.png")) == (0, True)

    done = oodbench("plot", "roc", "--spread", "intervall")
    assert (done.code, done.err) == (2, "Error: no spread 'intervall'. Did you mean 'interval'?\n")
