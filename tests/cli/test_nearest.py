"""`oodbench plot nearest`: a picture a method, or one sentence."""

from pathlib import Path

from tests.helpers import save_photos


def test_a_picture_of_each_method_is_written(oodbench, small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = oodbench("run", "--in", "small", "--method", "msp", "--recipe", "short", "--cache-dir", "c")
    assert ran.code == 0
    done = oodbench("plot", "nearest", "--in", "small", "--method", "msp", "--cache-dir", "c")
    assert (done.code, done.out.strip()) == (0, "results/small/nearest-msp.png")
    assert Path("results/small/nearest-msp.png").stat().st_size > 1000

    gone = oodbench("plot", "nearest", "--in", "small", "--method", "msp", "--cache-dir", "elsewhere")
    assert gone.code == 2
    assert gone.err.startswith("Error: the network of msp on small is not in elsewhere; run it again: ")


def test_images_of_ones_own_are_found_at_the_path_that_is_given(oodbench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_photos(Path("mine/photos"), ("cat", "cow", "dog"))
    settings = ["--set", "recipe.epochs=1", "--set", "recipe.network=tinynet", "--image-size", "8", "--cache-dir", "c"]
    assert oodbench("run", "--in", "mine/photos", "--method", "msp", *settings).code == 0
    chosen = ["plot", "nearest", "--in", "photos", "--method", "msp", "--cache-dir", "c"]

    done = oodbench(*chosen, "--id", "mine/photos", "--ood", "gaussian")
    assert (done.code, done.out.strip()) == (0, "results/photos/nearest-msp.png")

    lost = oodbench(*chosen)
    assert lost.code == 2
    assert lost.err.startswith("Error: the images of msp on photos cannot be laid out again: no train images of ")


def test_a_path_of_images_is_for_pictures_that_show_them(oodbench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = oodbench("plot", "roc", "--id", "photos")
    assert done.code == 2
    assert done.err == "Error: --id says where images lie, for pictures that show them: oodbench plot nearest\n"
