"""The pages say what is true: commands and links exist, examples give what they show, the method table is complete."""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.util
import inspect
import re
import shlex
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

import oodbench
from oodbench.cli import cli
from oodbench.plugins import registry
from oodbench.splits import SplitRule, read_split
from oodbench.testing import CHECKS, run_checks

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [*DOCS, *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")), *sorted(ROOT.glob("results/*/README.md"))]


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def tokens(page):
    return MarkdownIt().enable("table").parse(page.read_text(encoding="utf-8"))


def blocks(page, *languages):
    """Return the code blocks of a page that are in one of some languages; "" stands for those that name none."""
    return [token.content for token in tokens(page) if token.type == "fence" and token.info.strip() in languages]


def command_lines(page):
    """Return the words of every `oodbench …` command in the code blocks of a page that are to be typed."""
    lines = [line for block in blocks(page, "", "bash") for line in block.replace("\\\n", " ").splitlines()]
    for line in lines:
        words = shlex.split(line, comments=True)
        while "oodbench" in words:
            words = words[words.index("oodbench") + 1 :]
            end = next((i for i, word in enumerate(words) if word in ("&&", "|", ">", ";")), len(words))
            yield words[:end]


def test_command_lines_are_found_on_the_pages():
    found = [words[0] for page in DOCS for words in command_lines(page)]

    assert {"run", "table", "plot", "data", "check", "new"} <= set(found)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_command_lines_name_commands_and_options_that_exist(page):
    for words in command_lines(page):
        name, command, arguments = cli.resolve_command(None, words)
        context = command.context_class(command, info_name=name)
        # The parser alone: nothing is loaded, run or written.
        _, left, _ = command.make_parser(context).parse_args(arguments)

        assert left == [], words


@pytest.mark.parametrize("line", ["oodbench rum", "oodbench run --methods msp", "oodbench table svhn"])
def test_wrong_command_lines_are_noticed(line, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"```\n{line}\n```\n")

    with pytest.raises(Exception, match=r"rum|--methods|svhn"):
        test_command_lines_name_commands_and_options_that_exist(page)


def anchors(page):
    """Return the names that links may give to the headings of a page, as forges and MyST make them."""
    parsed = tokens(page)
    headings = [parsed[i + 1].content for i, token in enumerate(parsed) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def links(page):
    inline = [child for token in tokens(page) for child in token.children or ()]
    return [
        str(token.attrGet("href") or token.attrGet("src")) for token in inline if token.type in ("link_open", "image")
    ]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for link in links(page):
        place, _, anchor = link.partition("#")
        target = page.parent / place if place else page
        if "://" not in link:
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def test_readme_links_to_every_page():
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in links(ROOT / "README.md")}

    assert set(DOCS) - linked == set()


@pytest.mark.parametrize("page", DOCS, ids=name_of)
def test_examples_give_what_they_show(page):
    examples = [block for block in blocks(page, "python") if ">>>" in block]
    test = doctest.DocTestParser().get_doctest("\n".join(examples), {}, page.name, str(page), 0)

    assert doctest.DocTestRunner().run(test).failed == 0


def python_blocks():
    return [(page, block) for page in DOCS for block in blocks(page, "python") if ">>>" not in block]


@pytest.mark.parametrize(("page", "block"), python_blocks(), ids=lambda part: getattr(part, "name", ""))
def test_python_examples_use_names_and_arguments_that_exist(page, block):
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "oodbench":
            module = importlib.import_module(node.module)
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []
        if isinstance(node, ast.Call) and (called := public(node.func)):
            inspect.signature(called).bind_partial(**{keyword.arg: None for keyword in node.keywords})


def public(called):
    """Return the public thing of oodbench that is called, or None where something else is."""
    if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id == "oodbench":
        return getattr(oodbench, called.attr)
    return (
        getattr(oodbench, called.id, None) if isinstance(called, ast.Name) and called.id in oodbench.__all__ else None
    )


@pytest.mark.parametrize("file", ["my_score.py", "my_metric.py"])
def test_plugin_files_of_the_page_keep_the_contract(file, plugins):
    page = ROOT / "docs" / "plugins.md"
    (text,) = (block for block in blocks(page, "python") if block.startswith(f"# {file}\n"))
    Path(file).write_text(text)
    registry.add_file(Path(file))
    (plugin,) = registry.in_file(Path(file))
    outcomes = list(run_checks(plugin.load(), CHECKS[plugin.kind]))

    assert [outcome for outcome in outcomes if outcome.status == "failed"] == []
    assert plugin.name == file.removesuffix(".py") or plugin.kind == "metrics"


@pytest.mark.parametrize(
    "text", [block for page in DOCS for block in blocks(page, "toml")], ids=lambda text: text.splitlines()[0]
)
def test_toml_examples_can_be_read(text, tmp_path):
    file = tmp_path / "split.toml"
    file.write_text(text)
    content = tomllib.loads(text)

    if "project" in content:
        assert [group.removeprefix("oodbench.") in registry.KINDS for group in content["project"]["entry-points"]] == [
            True
        ]
    else:
        assert read_split(file, SplitRule(dataset="photos")) != SplitRule(dataset="photos")


def documented(page, kind):
    """Return the names in the first column of the tables of a page."""
    cells = re.findall(r"^\| (`.*?) \|", (ROOT / "docs" / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)} & set(kind)


def test_every_field_of_a_record_is_described():
    from oodbench.store.records import Record

    fields = Record.__dataclass_fields__
    assert set(fields) - documented("formats.md", fields) == set()


def test_every_metric_is_described():
    from oodbench.metrics import METRICS

    assert set(METRICS) - documented("metrics.md", METRICS) == set()


def test_every_public_name_is_in_the_reference():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    there = set(re.findall(r":: oodbench\.(\w+)$", page, flags=re.MULTILINE))

    assert set(oodbench.__all__) - there == {"__version__"}


@pytest.fixture
def method_table():
    """Return the script that writes the method table."""
    spec = importlib.util.spec_from_file_location("method_table", ROOT / "docs" / "method_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_method_table_is_as_the_registry_and_the_results_say(method_table):
    assert method_table.page() == method_table.PAGE.read_text(encoding="utf-8"), "run: python docs/method_table.py"


def test_every_grid_has_a_line(method_table):
    page = method_table.PAGE.read_text(encoding="utf-8").partition("## Choosing hyper-parameters")[2]
    lines = [line for line in page.splitlines() if line.startswith("|")]

    for choice in method_table.choices():
        for setting in getattr(choice.method, "grid", {}):
            assert any(f"`{choice.name}`" in line and f"`{setting}`" in line for line in lines), choice.name


def test_every_built_in_method_has_a_line_in_both_tables(method_table):
    names = [choice.name for choice in method_table.choices()]
    page = method_table.PAGE.read_text(encoding="utf-8")

    assert "msp" in names
    assert [page.count(f"\n| `{name}` |") for name in names] == [2] * len(names)


def only(method_table, monkeypatch, name):
    """Leave a single method, whatever results the others have."""
    (choice,) = (choice for choice in method_table.choices() if choice.name == name)
    monkeypatch.setattr(method_table, "choices", lambda: [choice])


def test_method_without_results_is_noticed(method_table, monkeypatch):
    only(method_table, monkeypatch, "msp")
    lines = method_table.read()
    monkeypatch.setattr(method_table, "read", lambda: [line for line in lines if line["method"] != "msp"])

    with pytest.raises(SystemExit, match="no results of msp as it is by default"):
        method_table.page()


def test_results_of_other_settings_are_noticed(method_table, monkeypatch):
    only(method_table, monkeypatch, "msp")
    lines = method_table.read()
    method_table.page()
    changed = [{**line, "settings": '{"k": 49}'} for line in lines]
    monkeypatch.setattr(method_table, "read", lambda: changed)

    with pytest.raises(SystemExit, match="no results of msp as it is by default"):
        method_table.page()


@pytest.fixture
def results(method_table, monkeypatch, tmp_path):
    """Copy methods.csv to where it may be changed, and return how many seeds of a method a copy has lines of."""
    copy = tmp_path / "methods.csv"
    copy.write_bytes(method_table.RESULTS.read_bytes())
    monkeypatch.setattr(method_table, "RESULTS", copy)
    return lambda: Counter(line["method"] for line in method_table.read())


@pytest.fixture
def short():
    """Return result rows of a short training of msp."""
    return oodbench.run("digits", "msp", settings=["recipe.epochs=1"], results_dir="results")


def test_new_results_take_the_place_of_older_ones(method_table, results, short, monkeypatch):
    monkeypatch.setattr(oodbench, "load_results", lambda folder: short.assign(recipe="default"))
    before = results()
    method_table.take(Path("results"))

    assert results() == {**before, "msp": 1}
    (line,) = (line for line in method_table.read() if line["method"] == "msp")
    assert float(line["auroc"]) == pytest.approx(short["auroc"].mean(), abs=1e-6)


def test_results_of_another_training_are_not_taken(method_table, results, short):
    before = results()
    method_table.take(Path("results"))

    assert results() == before
