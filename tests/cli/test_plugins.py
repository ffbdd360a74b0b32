"""Plugins on the command line: new, check, list, and --plugin."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from oodbench import cli
from oodbench.errors import ScoreError
from oodbench.plugins.scaffold import WHATS
from tests.plugins.test_faults import METHOD

ROOT = Path(__file__).parents[2]


@pytest.fixture
def file(plugins):
    Path("thing.py").write_text(METHOD)
    return "thing.py"


@pytest.mark.parametrize("what", WHATS)
def test_new_package_is_said_with_its_files_and_the_next_command(oodbench, what):
    done = oodbench("new", what, "my-thing", "--dir", "projects")

    assert done.code == 0
    assert f"projects/my-thing/my_thing/{what}.py" in done.out.splitlines()
    assert "Next: pip install -e projects/my-thing && oodbench check my-thing && oodbench run --" in done.err
    assert "$" not in "".join(path.read_text() for path in Path("projects").rglob("*") if path.is_file())


@pytest.mark.parametrize("what", WHATS)
@pytest.mark.parametrize("name", ["x", "my-score", "a-name-that-is-as-long-as-a-name-may-reasonably-be"])
def test_new_package_is_as_ruff_wants_it(oodbench, what, name):
    oodbench("new", what, name)

    for command in (["check", "--extend-select", "I,B,UP,SIM,PT,C4,N"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", name]
        done = subprocess.run(ruff, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout


def test_new_does_not_write_over_anything(oodbench):
    Path("my-score").mkdir()
    done = oodbench("new", "method", "my-score")

    assert (done.code, done.err) == (
        2,
        "Error: my-score is there already; choose another name, or another folder with --dir\n",
    )
    assert list(Path("my-score").iterdir()) == []


@pytest.mark.parametrize("what", WHATS)
def test_new_plugin_keeps_the_contract_as_it_is(oodbench, plugins, what):
    oodbench("new", what, "my-thing")
    done = oodbench("check", "--plugin", f"my-thing/my_thing/{what}.py")

    assert done.code == 0, done.out
    assert done.out.splitlines()[0].startswith(f"{what} '{'my-thing' if what == 'benchmark' else 'my_thing'}' of ")
    assert "  ✓ is described\n" in done.out


def test_check_has_a_line_for_each_check_and_ends_with_0(oodbench):
    done = oodbench("check", "uniform", "table2")

    assert done.code == 0
    assert done.out == (
        "dataset 'uniform' of oodbench 0.1.0 (oodbench.datasets.noise:Uniform)\n"
        "  ✓ is described\n"
        "  ✓ settings are a frozen value\n"
        "  ✓ settings can be set as text\n"
        "  ✓ how to get it is said\n"
        "  ✓ missing files are reported\n"
        "  ✓ location is true\n"
        "  ✓ images are 8 bit\n"
        "  ✓ labels are class indices\n"
        "  ✓ splits have the same classes\n"
        "  ✓ order never changes\n"
        "  ✓ no image is in both splits\n"
        "11 passed\n"
        "\n"
        "layout 'table2' of oodbench 0.1.0 (oodbench.tables.layouts:table2)\n"
        "  ✓ it returns a table\n"
        "  ✓ every format can write it\n"
        "  ✓ rows are left alone\n"
        "3 passed\n"
        "\n"
    )


def test_check_of_a_method_that_fails_ends_with_1(oodbench, file):
    Path(file).write_text(METHOD.replace("logits.amax(dim=1)", "-logits.amax(dim=1)"))
    done = oodbench("check", "thing", "--plugin", file)

    assert done.code == 1
    assert "  ✗ higher means more in distribution: ID images score -" in done.out
    assert done.out.splitlines()[-2] == "15 passed, 1 failed, 1 skipped"


def test_check_shows_a_known_exception_with_its_reason(oodbench, file):
    flipped = METHOD.replace("logits.amax(dim=1)", "-logits.amax(dim=1)")
    Path(file).write_text(
        flipped.replace(
            "    def score",
            "    known_exceptions: ClassVar = {'higher_means_more_in_distribution': 'upside down'}\n\n    def score",
        )
    )
    done = oodbench("check", "--plugin", file)

    assert done.code == 0
    assert "  – higher means more in distribution: known exception: upside down\n" in done.out


def test_check_of_a_name_of_several_kinds_checks_each(oodbench):
    done = oodbench("check", "digits")

    assert [line.partition(" of ")[0] for line in done.out.splitlines() if " of oodbench " in line] == [
        "dataset 'digits'",
        "benchmark 'digits'",
    ]


def test_check_of_missing_images_says_so(oodbench):
    done = oodbench("check", "mnist", "--data-dir", "images")

    assert done.code == 0
    assert "  – images are 8 bit: skipped: its images are missing: looked for images/MNIST/raw/train" in done.out


def test_check_of_a_folder_of_images(oodbench):
    from PIL import Image

    for split, colour in (("train", 0), ("test", 0)):
        Path(f"images/cats/{split}").mkdir(parents=True)
        Image.new("L", (4, 4), colour).save(f"images/cats/{split}/a.png")
    done = oodbench("check", "cats", "--data-dir", "images")

    assert done.code == 1
    assert "  ✗ no image is in both splits: 1 of 1 test images are training images as well" in done.out


def test_check_of_a_broken_plugin_is_one_sentence(oodbench, plugins):
    plugins("stranger", {"methods": {"thing": "stranger:Thing"}}, {"stranger.py": "import no_such_module"})
    done = oodbench("check", "thing")

    assert done.code == 2
    assert done.err == (
        "Error: method 'thing' of stranger 1.0 (stranger:Thing) cannot be imported: "
        "ModuleNotFoundError: No module named 'no_such_module'\n"
    )


def test_run_of_a_broken_plugin_is_one_sentence(oodbench, plugins):
    plugins("stranger", {"methods": {"thing": "stranger:Thing"}}, {"stranger.py": "import no_such_module"})

    assert oodbench("run", "--method", "thing").code == 2


def test_what_goes_wrong_in_a_method_is_one_sentence_or_on_demand_a_traceback(oodbench, plugins, small, monkeypatch):
    Path("thing.py").write_text(METHOD.replace("logits.amax(dim=1)", "logits.no_such_thing()"))
    run = ("run", "--in", small, "--plugin", "thing.py", "--method", "thing", "--method", "msp")
    done = oodbench(*run)

    assert done.code == 2
    assert done.err.splitlines()[-1].startswith("Error: thing failed with AttributeError: 'Tensor' object has no attr")
    assert "(thing.py, line 14, in score_logits)" in done.err
    assert "Traceback" not in done.err
    monkeypatch.setenv("OODBENCH_TRACEBACK", "1")
    with pytest.raises(ScoreError) as caught:
        cli.main()
    assert isinstance(caught.value.__cause__, AttributeError)


def test_list_shows_where_plugins_come_from_and_what_is_broken_last(oodbench, plugins):
    entries = {"methods": {"thing": "stranger:Thing", "MSP": "stranger:Thing", "lost": "stranger:Lost"}}
    plugins("stranger", entries, {"stranger.py": METHOD}, version="2.5")
    done = oodbench("list", "methods")

    lines = done.out.splitlines()
    assert next(line for line in lines if line.startswith("thing ")).endswith("stranger 2.5")
    assert next(line for line in lines if line.startswith("odin ")).endswith("oodbench 0.1.0")
    assert lines[lines.index("Not usable:") + 1 :][0].startswith(
        "  method 'MSP' of stranger 2.5 (stranger:Thing) cannot"
    )
    assert "  method 'lost' of stranger 2.5 (stranger:Lost) cannot be imported: AttributeError" in done.out


def test_list_without_broken_plugins_says_nothing_about_them(oodbench):
    assert "Not usable" not in oodbench("list").out


def test_list_shows_what_is_wrong_with_a_file(oodbench, plugins):
    Path("thing.py").write_text("import no_such_module")
    done = oodbench("list", "methods", "--plugin", "thing.py")

    assert done.code == 0
    assert "thing.py cannot be imported: ModuleNotFoundError" in done.out.partition("Not usable:")[2]
    assert "odin" in done.out


def test_data_shows_the_others_beside_a_broken_data_set(oodbench, plugins):
    plugins("stranger", {"datasets": {"a": "stranger:Thing"}}, {"stranger.py": "import no_such_module"})

    assert "mnist:" in oodbench("data").out


@pytest.mark.parametrize("name", ["thing", "Thing"])
def test_run_takes_a_method_from_a_file(oodbench, small, file, name):
    options = ("--set", "recipe.epochs=1", "--set", "recipe.max_images=50")
    done = oodbench("run", "--plugin", file, "--in", small, "--method", name, *options)

    assert done.code == 0, done.err
    assert "1 cell stored" not in done.err
    assert "thing.py (sha256 " in oodbench("table", "--layout", "flat", "--format", "csv").out


def test_edited_file_is_run_again(oodbench, small, file):
    from oodbench.hashing import source as hashing
    from oodbench.plugins import registry

    command = ("run", "--plugin", file, "--in", small, "--method", "thing", "--set", "recipe.epochs=1")
    first, again = oodbench(*command), oodbench(*command)
    Path(file).write_text(METHOD.replace("amax", "mean"))
    # As a new process would find it.
    registry.forget()
    hashing._file_code.cache_clear()
    edited = oodbench(*command)

    assert "0 cells stored, 1 to do" in first.err
    assert "1 cell stored, 0 to do" in again.err
    assert "0 cells stored, 1 to do" in edited.err


def test_settings_of_a_method_are_found_however_its_name_is_spelled(oodbench, small, plugins):
    oodbench("new", "method", "my-score")
    arguments = ("--plugin", "my-score/my_score/method.py", "--in", small, "--method", "my-score")
    done = oodbench("run", *arguments, "--set", "my-score.temperature=2", "--set", "recipe.epochs=1")

    assert done.code == 0, done.err
    assert "my_score (temperature=2)" in done.err


def test_file_that_takes_a_name_is_refused_when_it_is_run(oodbench, plugins):
    Path("thing.py").write_text(METHOD.replace("Thing", "MSP"))
    done = oodbench("run", "--plugin", "thing.py", "--method", "msp")

    assert done.code == 2
    assert "cannot be used: the name is taken by oodbench 0.1.0 (oodbench.methods.msp:MSP)" in done.err


def test_embedded_benchmark_of_a_stranger_is_not_run_by_default(oodbench, plugins):
    oodbench("new", "benchmark", "a-bench")
    done = oodbench("run", "--plugin", "a-bench/a_bench/benchmark.py", "--method", "msp", "--dry-run")

    assert "digits ce seed 0" in done.out
    assert "a-bench" not in done.out
