"""The shape of the house: what may import what, and what is registered where."""

from __future__ import annotations

import ast
import doctest
import importlib
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLUGIN_FOLDERS = ("methods", "datasets")
ENGINE = sorted((ROOT / "oodbench").rglob("*.py"))
PLUGINS = sorted(file for folder in PLUGIN_FOLDERS for file in (ROOT / folder).glob("*.py"))


def imported(file):
    """Return the absolute names of all modules that a file imports."""
    names = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def imports(files, forbidden):
    """Return file and name of everything that files import whose name starts with one of some words."""
    where = {file: file.relative_to(ROOT).as_posix() for file in files}
    return [(where[file], name) for file in files for name in imported(file) if name.startswith(forbidden)]


def test_engine_imports_no_plugin():
    assert imports(ENGINE, ("oodbench.methods", "oodbench.datasets", "methods", "datasets")) == []


def test_engine_names_no_method_and_no_data_set_but_its_folder_fallback():
    names = {entry.name for kind in ("methods", "datasets") for entry in entry_points(group=f"oodbench.{kind}")}
    names -= {"folder", "blob", "uniform", "digits", "ml", "ccag"}  # words that mean something else as well
    # The published tables are data about methods, and say which of ours each number belongs to.
    files = [file for file in ENGINE if file.name != "published.py"]
    constants = {
        node.value
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }

    assert names & constants == set()


def test_whole_engine_runs_without_importing_a_plugin_package():
    code = (
        "import importlib, pkgutil, sys, oodbench\n"
        "skip = ('oodbench.methods', 'oodbench.datasets', 'oodbench.__main__')\n"
        "for m in pkgutil.walk_packages(oodbench.__path__, 'oodbench.'):\n"
        "    if not m.name.startswith(skip): importlib.import_module(m.name)\n"
        "print(sorted(n for n in sys.modules if n.startswith(skip[:2])))\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_plugins_import_siblings_with_a_dot_only():
    assert imports(PLUGINS, ("oodbench.methods", "oodbench.datasets", *PLUGIN_FOLDERS)) == []


def test_installed_entry_points_are_those_of_pyproject():
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    for group, wanted in groups.items():
        installed = {e.name: e.value for e in entry_points(group=group) if e.dist and e.dist.name == "oodbench"}

        assert installed == wanted, "run: pip install -e ."


@pytest.mark.parametrize("folder", PLUGIN_FOLDERS)
def test_every_public_plugin_file_is_registered(folder):
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    registered = {value.partition(":")[0] for group in groups.values() for value in group.values()}
    # An objective is found through the methods that name it.
    files = {f"oodbench.{folder}.{file.stem}" for file in (ROOT / folder).glob("[!_]*.py")} - {
        "oodbench.methods.contrastive"
    }

    assert files - registered == set()


def test_packages_of_pyproject_are_those_on_disk():
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    on_disk = {".".join(file.parent.relative_to(ROOT).parts) for file in (ROOT / "oodbench").rglob("__init__.py")}

    assert set(packages) == on_disk | {"oodbench.methods", "oodbench.datasets", "oodbench.published"}


def test_results_hold_no_code():
    assert list((ROOT / "results").rglob("*.py")) == []


def test_importing_oodbench_imports_nothing_heavy():
    code = "import sys, oodbench; print([n for n in ('torch', 'pandas', 'matplotlib', 'sklearn') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_every_public_name_of_the_package_is_there():
    oodbench = importlib.import_module("oodbench")

    assert [name for name in oodbench.__all__ if getattr(oodbench, name, None) is None] == []
    assert set(oodbench.__all__) <= set(dir(oodbench))


def public_things():
    """Yield every public module, class and function of the project's own files, with its docstring."""
    for file in (*ENGINE, *PLUGINS):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        where = file.relative_to(ROOT).as_posix()
        yield where, ast.get_docstring(tree)
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                yield f"{where}: {node.name}", ast.get_docstring(node)
                for part in node.body if isinstance(node, ast.ClassDef) else []:
                    if isinstance(part, ast.FunctionDef) and not part.name.startswith("_"):
                        yield f"{where}: {node.name}.{part.name}", ast.get_docstring(part)


def test_every_public_thing_has_a_docstring():
    # A network's forward is described by its features and head.
    assert [name for name, text in public_things() if not text] == []


def test_doctests_hold():
    failed = {}
    for file in (*ENGINE, *PLUGINS):
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if ">>>" in file.read_text(encoding="utf-8") and not name.endswith("__main__"):
            home = "" if file in ENGINE else "oodbench."
            failed[name] = doctest.testmod(importlib.import_module(home + name)).failed

    assert {name: count for name, count in failed.items() if count} == {}
