"""`oodbench plot nearest`: a picture a method, or one sentence."""

from pathlib import Path


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
