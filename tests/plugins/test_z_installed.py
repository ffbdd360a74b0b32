"""A package of a third party, installed by pip into a fresh environment and used through the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from oodbench.plugins.scaffold import scaffold

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "oodbench-margin"


class Environment:
    """A virtual environment that sees the packages of this one, oodbench among them."""

    def __init__(self, folder):
        self.folder = folder
        venv.create(folder, with_pip=False)
        config = {"base": str(folder), "platbase": str(folder)}
        site = Path(sysconfig.get_path("purelib", "venv", vars=config))
        # An installation for development is itself a .pth file, so that the folder must be added as a site folder.
        lines = (f"import site; site.addsitedir({place!r})" for place in map(str, sys.path) if "site-packages" in place)
        (site / "surroundings.pth").write_text("\n".join(lines) + "\n")

    def python(self, *arguments, cwd, check=True):
        """Run Python in the environment."""
        environment = {**os.environ, "OODBENCH_CACHE": str(cwd / "cache"), "PYTHONSAFEPATH": "1"}
        command = [self.folder / "bin" / "python", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def install(self, package, cwd):
        """Install a folder, without any network."""
        options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check")
        return self.python("-m", "pip", "install", *options, str(package), cwd=cwd)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    return Environment(tmp_path_factory.mktemp("fresh") / "venv")


def test_new_package_is_installed_checked_and_run(environment, tmp_path):
    scaffold("method", "my-score", tmp_path)
    environment.install(tmp_path / "my-score", tmp_path)

    checked = environment.python("-m", "oodbench", "check", "my-score", cwd=tmp_path)
    environment.python(
        *("-m", "oodbench", "run", "--method", "my-score", "--method", "msp", "--set", "recipe.epochs=1"), cwd=tmp_path
    )
    listed = environment.python("-m", "oodbench", "list", "methods", cwd=tmp_path)

    assert checked.stdout.startswith(
        "method 'my-score' of my-score 0.1.0 (my_score.method:MyScore)\n  ✓ is described\n"
    )
    (record,) = (tmp_path / "results").rglob("my-score-*.json")
    assert json.loads(record.read_text())["plugin"] == "my-score 0.1.0"
    (line,) = (line for line in listed.stdout.splitlines() if line.startswith("my-score "))
    assert line.endswith("my-score 0.1.0")
    assert "Not usable" not in listed.stdout


def test_example_is_installed_and_its_own_tests_pass(environment, tmp_path):
    import shutil

    # A copy: building leaves files in the folder that it is given.
    copy = Path(shutil.copytree(EXAMPLE, tmp_path / "oodbench-margin"))
    environment.install(copy, tmp_path)
    done = environment.python(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", "--rootdir", str(copy), "tests"),
        cwd=copy,
    )

    assert "17 passed" in done.stdout or "18 passed" in done.stdout


def test_package_with_a_fault_is_told_and_breaks_nothing(environment, tmp_path):
    scaffold("method", "my-fault", tmp_path)
    (tmp_path / "my-fault" / "my_fault" / "__init__.py").write_text("OODBENCH_CONTRACT = 99\n")
    environment.install(tmp_path / "my-fault", tmp_path)

    asked = environment.python("-m", "oodbench", "run", "--method", "my-fault", cwd=tmp_path, check=False)
    listed = environment.python("-m", "oodbench", "list", cwd=tmp_path)

    sentence = (
        "method 'my-fault' of my-fault 0.1.0 (my_fault.method:MyFault) cannot be used: it was written for contract 99"
    )
    assert asked.returncode == 2
    assert asked.stderr.startswith(f"Error: {sentence}")
    assert sentence in listed.stdout
    assert "odin" in listed.stdout


def test_example_is_no_part_of_the_installation():
    assert not any("oodbench_margin" in name for name in (ROOT / "pyproject.toml").read_text().split())
