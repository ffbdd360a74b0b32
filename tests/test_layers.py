"""The layers of the house: each module imports only what stands below it, late imports included."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "oodbench"

LAYERS = (
    ("cli", "__main__"),
    ("report", "testing"),
    ("comparison", "tables", "figures"),
    ("engine",),
    ("given", "training", "data", "detector", "detector_file"),
    ("store",),
    ("plugins",),
    ("networks",),
    ("tuning",),
    ("forward", "scoring", "folding"),
    ("api", "benchmark", "suite", "claims", "jobs", "objectives", "posthoc", "readings", "training.learner"),
    ("batch", "training.augment", "training.pixels", "training.precision", "training.seeding"),
    ("statistics",),
    (
        "metrics",
        "columns",
        "decoded",
        "files",
        "images",
        "image_rows",
        "splits",
        "contamination",
        "holdout",
        "training.config",
        "device",
        "folders",
    ),
    ("hashing", "settings"),
    ("options",),
    ("errors", "progress", "spelling", "stopping"),
)
"""From the top of the house to its ground; what stands in one line may import each other."""

FREE = {"__init__"}
"""The public names of the package are found by their homes, when they are asked for."""


def place_of(module: str) -> int:
    """Return the layer of a module, such as "engine.plan", counted from the top."""
    for depth, layer in enumerate(LAYERS):
        if module in layer:
            return depth
    for depth, layer in enumerate(LAYERS):
        if module.partition(".")[0] in layer:
            return depth
    raise AssertionError(f"oodbench.{module} stands in no layer: add it to LAYERS in tests/test_layers.py")


def imports_of(source: str, module: str) -> list[tuple[int, str]]:
    """Return line and module, below oodbench, of everything that a module imports when it runs."""
    tree = ast.parse(source)
    typed = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if id(node) in typed or not isinstance(node, ast.ImportFrom):
            continue
        package = module.split(".")[:-1]
        if node.level:
            base = package[: len(package) - node.level + 1]
            target = [*base, *(node.module or "").split(".")] if node.module else base
        elif (node.module or "").partition(".")[0] == "oodbench":
            target = (node.module or "").split(".")[1:]
        else:
            continue
        for alias in node.names:
            whole = [*target, alias.name]
            path = PACKAGE.joinpath(*whole)
            is_module = path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()
            name = ".".join(whole if is_module else target)
            if name and not name.startswith("__"):
                found.append((node.lineno, name))
    return found


def broken_rules(source: str, module: str) -> list[str]:
    """Return a sentence for each import of something that stands above a module."""
    own = place_of(module)
    return [
        f"oodbench/{module.replace('.', '/')}.py, line {line}: imports oodbench.{name}, which stands above it"
        for line, name in imports_of(source, module)
        if place_of(name) < own
    ]


def module_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts)


MODULES = sorted(file for file in PACKAGE.rglob("*.py") if module_of(file) not in FREE)


def test_modules_import_only_what_stands_below_them():
    broken = [rule for file in MODULES for rule in broken_rules(file.read_text(encoding="utf-8"), module_of(file))]

    assert broken == []


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("from oodbench.engine.plan import make_plan\n", 1),
        ("def late():\n    from oodbench.engine import plan\n", 2),
        ("def late():\n    from .engine.runner import prepare\n", 2),
    ],
)
def test_a_late_import_that_goes_up_is_named(source, line):
    assert broken_rules(source, "benchmark")[0].startswith(
        f"oodbench/benchmark.py, line {line}: imports oodbench.engine"
    )


def test_imports_for_types_only_do_not_count():
    assert broken_rules("if TYPE_CHECKING:\n    from .engine.plan import make_plan\n", "benchmark") == []


def test_no_two_modules_import_each_other_in_a_circle():
    graph = {
        module_of(file): {name for _, name in imports_of(file.read_text(encoding="utf-8"), module_of(file))}
        for file in MODULES
    }
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " imports ".join((*path[path.index(module) :], module))
        if module in done:
            return
        for target in sorted(graph.get(module, ())):
            if target in graph:
                visit(target, (*path, module))
        done.add(module)

    for module in graph:
        visit(module, ())
