"""oodbench compare and oodbench plot ranks, as a user sees them."""

from __future__ import annotations

import json

import pytest

from tests.comparison.made import save_cell, save_cells


@pytest.fixture
def results(tmp_path):
    return save_cells(tmp_path / "results", {"bad": 0.3, "fair": 1.0, "good": 1.5})


def test_table_then_sentence(oodbench, results):
    done = oodbench("compare", "bad", "good", "--in", "tiny")
    lines = done.out.splitlines()

    assert (done.code, done.err) == (0, "")
    assert lines[0] == "AUROC ↑ of good against bad, in percent."
    assert lines[2].split()[:6] == ["In-dist", "Out-dist", "Seed", "bad", "good", "Difference"]
    assert [line.split()[0] for line in lines[4:8]] == ["tiny", "1", "2", "all"]
    assert lines[-1].startswith("good is better than bad: AUROC +")


def test_json_has_all_of_it(oodbench, results):
    done = oodbench("compare", "bad", "good", "--json")

    assert json.loads(done.out)["methods"][0]["verdict"] == "better"


@pytest.mark.parametrize("how", [(), ("--json",)])
def test_names_do_nothing_to_a_terminal(oodbench, tmp_path, how):
    for method, skill in {"bad": 0.3, "good\x9b31m": 1.5}.items():
        save_cell(tmp_path / "results", method, skill=skill, in_dist="red\x9b31m")
    done = oodbench("compare", "bad", "good\x9b31m", *how)

    assert "good" in done.out
    assert "\x9b" not in done.out


@pytest.mark.parametrize(("skill", "code"), [(1.0, 0), (0.0, 1), (2.5, 0)])
def test_exit_code_tells_whether_a_folder_got_worse(oodbench, tmp_path, skill, code):
    old = save_cells(tmp_path / "old", {"a": 1.0})
    new = save_cells(tmp_path / "new", {"a": skill})
    done = oodbench("compare", f"{old}/", f"{new}/")

    assert done.code == code
    assert "Changed: scores: the same" in done.out


def test_a_margin_is_in_points(oodbench, tmp_path):
    old = save_cells(tmp_path / "old", {"a": 1.0})
    new = save_cells(tmp_path / "new", {"a": 0.7})

    assert oodbench("compare", old, new).code == 1
    assert oodbench("compare", old, new, "--margin", "20").code == 0


def test_several_methods_have_a_line_a_set_and_a_sentence_each(oodbench, tmp_path):
    old, new = (save_cells(tmp_path / name, {"a": 1.0, "b": 1.0}) for name in ("old", "new"))
    done = oodbench("compare", old, new)

    lines = [line.split()[0] for line in done.out.splitlines()[4:9] if line]

    assert lines == ["a", "far", "b", "far"]
    assert done.out.splitlines()[-1].endswith("for any of 2 methods.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bad", "godo"], "Error: no stored method or recipe 'godo' in results, and no folder. Did you mean 'good'"),
        (["bad", "good", "--alpha", "7"], "Error: alpha must be between 0 and 1, got 7.0"),
        (["bad"], "Missing argument 'B'"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(oodbench, results, arguments, message):
    done = oodbench("compare", *arguments)

    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err


def test_damaged_records_end_with_2(oodbench, results):
    next(results.glob("tiny/bad*.json")).write_text("{}")
    done = oodbench("compare", "bad", "good")

    assert done.code == 2
    assert "is not a whole record" in done.err


def test_ranks_are_drawn_over_all_seeds(oodbench, results):
    done = oodbench("plot", "ranks")

    assert (done.code, done.out) == (0, "results/tiny/ranks.png\n")
    assert (results / "tiny/ranks.png").read_bytes().startswith(b"\x89PNG")


def test_ranks_of_several_benchmarks_are_one_picture(oodbench, results):
    save_cells(results, {"bad": 0.3, "fair": 1.0, "good": 1.5}, in_dist="other")
    save_cell(results, "alone", in_dist="third")

    assert oodbench("plot", "ranks", "--in", "tiny", "--in", "other", "--metric", "fpr_at_95tpr").out == (
        "results/ranks-tiny-other-fpr_at_95tpr.png\n"
    )


def test_ranks_of_two_methods_are_refused(oodbench, results):
    done = oodbench("plot", "ranks", "--method", "bad", "--method", "good")

    assert done.code == 2
    assert done.err == (
        "Error: there are 2 methods to rank; take 3 or more, or compare two of them: oodbench compare\n"
    )
