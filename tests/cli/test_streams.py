"""Signals, readers that have seen enough, and full disks: a word, the right exit code, and whole files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ENVIRONMENT = {"PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "100"}


def started(*arguments, **streams):
    environment = {**os.environ, **ENVIRONMENT, "OODBENCH_CACHE": str(Path("cache").absolute())}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.Popen([sys.executable, "-P", "-m", "oodbench", *arguments], env=environment, **pipes)


LONG = ("run", "--in", "digits", "--method", "msp", "--set", "recipe.epochs=100000")


@pytest.mark.parametrize(
    ("number", "word"),
    [(signal.SIGINT, b"Stopped. "), (signal.SIGTERM, b"Stopped by SIGTERM. ")],
)
def test_a_signal_ends_a_run_with_a_word_and_leaves_nothing_half_done(number, word):
    process = started(*LONG)
    # The plan is told; after that the training begins.
    assert process.stderr.readline() == b"0 cells stored, 1 to do on cpu; 1 network to train, 0 trained before\n"
    deadline = time.time() + 300
    while not list(Path("cache").glob("networks/*/.*.tmp")) and process.poll() is None and time.time() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    try:
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()

    assert process.returncode == 128 + number
    # Below what the terminal shows of Ctrl-C.
    expected = word + b"Everything that was finished is stored: the same command goes on from there.\n"
    assert told.lstrip(b"\n") == expected
    assert list(Path("cache").rglob(".*.tmp")) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_the_first_moments_is_no_traceback(number):
    code = (
        "import os, signal, sys\n"
        "number = int(sys.argv[1])\n"
        # Where the tests were started with nohup, their processes ignore SIGHUP.
        "if signal.getsignal(number) is signal.SIG_IGN: signal.signal(number, signal.SIG_DFL)\n"
        "class Late:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'click': os.kill(os.getpid(), number)\n"
        "sys.meta_path.insert(0, Late())\n"
        "from oodbench.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(int(number))],
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, b"", b"Stopped.\n")


def test_a_signal_that_was_ignored_from_the_start_stays_so():
    code = (
        "import signal\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "import oodbench.__main__\n"
        "print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env={**os.environ, **ENVIRONMENT}, capture_output=True, check=True
    )
    assert done.stdout == b"True\n"


@pytest.mark.parametrize(
    "arguments", [("--help",), ("list", "methods"), ("list", "settings"), ("run", "--help"), ("data",)], ids=" ".join
)
def test_a_closed_pipe_is_no_failure(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    process = started(*arguments, stdout=writing)
    os.close(writing)
    _, told = process.communicate(timeout=60)

    assert process.returncode == 0
    assert b"Error" not in told
    assert b"Traceback" not in told


def test_a_closed_pipe_of_messages_is_no_failure_either():
    reading, writing = os.pipe()
    os.close(reading)
    process = started("data", stderr=writing)
    os.close(writing)
    process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
@pytest.mark.parametrize("arguments", [("--help",), ("list", "methods"), ("data",)], ids=" ".join)
def test_a_full_disk_under_the_output_is_one_sentence(arguments):
    with Path("/dev/full").open("wb") as full:
        process = started(*arguments, stdout=full)
    _, told = process.communicate(timeout=60)

    assert process.returncode == 2
    assert told.decode().splitlines()[-1] == (
        "Error: cannot write the output (No space left on device); free space, or write it elsewhere"
    )
    assert b"Traceback" not in told
