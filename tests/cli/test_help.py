"""Help answers at once, and names every command and option."""

from __future__ import annotations

import subprocess
import sys

import pytest

COMMANDS = ["run", "list", "table", "plot", "report", "compare", "detect", "data", "cache", "check", "new"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_explains_it(oodbench, command):
    done = oodbench(command, "--help")

    assert done.code == 0
    assert done.out.startswith(f"Usage: oodbench {command} [OPTIONS]")
    assert "--help" in done.out


def test_help_of_the_whole_names_every_command(oodbench):
    done = oodbench("--help")

    listed = [line.split()[0] for line in done.out.partition("Commands:\n")[2].splitlines()]
    assert listed == COMMANDS


def test_no_command_is_help(oodbench):
    assert oodbench().out.startswith("Usage: oodbench [OPTIONS] COMMAND")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["table", "--help"], ["check", "--help"], ["list"], ["data"]]
)
def test_no_heavy_package_is_imported(arguments):
    code = (
        "import sys\n"
        f"sys.argv = ['oodbench', *{arguments!r}]\n"
        "from oodbench.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = ('torch', 'torchvision', 'pandas', 'matplotlib', 'sklearn', 'scipy')\n"
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)

    assert done.stderr.splitlines()[-1] == "[]"


def test_version(oodbench):
    from importlib.metadata import version

    assert oodbench("--version").out == f"oodbench, version {version('oodbench')}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_keep_their_lines(oodbench, command):
    done = oodbench(command, "--help")

    assert "\\b" not in done.out
    assert "\b" not in done.out
    examples = [line for line in done.out.splitlines() if line.startswith(f"  oodbench {command}")]
    assert command == "list" or examples


def test_output_that_cannot_hold_an_arrow_is_no_error():
    import os

    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-P", "-m", "oodbench", "list", "datasets"]
    done = subprocess.run(command, capture_output=True, env=environment, check=False)

    assert done.returncode == 0
    assert b"8?8 grey" in done.stdout
