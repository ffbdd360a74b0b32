"""Names from outside are shown as they are in every format, and are no commands in any."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import shlex

import pytest
from matplotlib.figure import Figure
from rich.console import Console

from oodbench.figures import KINDS
from oodbench.spelling import (
    for_csv,
    for_html,
    for_json,
    for_latex,
    for_markdown,
    for_matplotlib,
    for_shell,
    for_terminal,
    on_one_line,
)
from oodbench.store.rows import to_frame
from oodbench.tables import FORMATS, layout_table, render

from .test_records import a_record, a_row, some_scores

HOSTILE = [
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "\x9b31m",
    "a\rb",
    "a\nb",
    "a\tb",
    "\u202eabc",
    "\x00",
    "caf\udce9",
    "[red]x",
    "[/]",
    "[link=https://x]y[/link]",
    "$\\frac$",
    "$x_1$",
    "$",
    "_private",
    "=1+1",
    "+1+1",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(A1)",
    "a|b",
    "a\\|b",
    "[a](http://x)",
    "**b**",
    "`c`",
    "<script>alert(1)</script>",
    "&lt;",
    "\" onload='x'",
    "[2em]",
    "*",
    "\\end{tabular}",
    "100% & more #1 {x} ~^",
    "$(rm -rf ~)",
    "; rm x",
    "-x",
    "a=b",
    "%s {0} {name}",
    "日本語 é",
]
UNSEEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
hostile = pytest.mark.parametrize("name", HOSTILE, ids=ascii)


@pytest.fixture
def table():
    """Return a function that makes a table in which a name stands wherever one can."""

    def make(name):
        record = a_record(name, in_dist=name, rows=[a_row(name), a_row("noise", "anomaly")], recipe=name)
        return layout_table(to_frame([record]), "flat")

    return make


@hostile
@pytest.mark.parametrize("format_", FORMATS)
def test_no_table_has_what_a_terminal_acts_on(name, format_, table):
    assert not UNSEEN.search(render(table(name), format_))


@hostile
def test_a_terminal_and_rich_show_a_name_as_it_is(name, table):
    console = Console(file=io.StringIO(), width=10_000, force_terminal=False)
    from oodbench.tables.render import as_rich

    console.print(as_rich(table(name)))
    assert on_one_line(name) in console.file.getvalue()


@hostile
def test_a_csv_gives_a_name_back_and_no_formula(name, table):
    rows = list(csv.reader(io.StringIO(render(table(name), "csv"))))
    assert {len(row) for row in rows} == {len(rows[0])}
    cells = [row[rows[0].index("in_dist")] for row in rows[1:]]
    assert cells == [for_csv(name)] * 2
    assert all(cell[:1] not in ("=", "@") for row in rows for cell in row)
    assert cells[0].removeprefix("'") == for_terminal(name)


@hostile
def test_markdown_keeps_its_columns_and_shows_a_name_as_it_is(name, table):
    lines = [line for line in render(table(name), "markdown").splitlines() if line.startswith("|")]
    counts = {len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines}
    assert len(counts) == 1
    assert re.sub(r"\\([\\`*|<\[\]~_#+&-])", r"\1", for_markdown(name)) == on_one_line(name)
    assert "](" not in for_markdown(name).replace("\\](", "")


@hostile
def test_latex_has_no_command_of_a_name(name, table):
    text = render(table(name), "latex")
    assert text.count(r"\end{tabular}") == 1
    assert not re.search(r"\\\\\s*\n?\s*[\[*]", text)
    assert not re.search(r"(?<!\\)[$&%#_](?![a-z\\]*\$)", for_latex(name).replace(r"\&", ""))


@hostile
def test_html_shows_a_name_as_it_is(name, table):
    text = render(table(name), "html")
    assert "<script>" not in text
    assert html.unescape(for_html(name)) == on_one_line(name)
    assert not set(for_html(name)) & set("<>\"'")


@hostile
def test_a_figure_can_be_drawn_with_a_name(name):
    figure = Figure()
    text = figure.text(0.5, 0.5, for_matplotlib(name))
    if name.isascii() or "é" not in name:
        figure.savefig(io.BytesIO(), format="svg")
    assert text.get_text().replace("\\$", "$").strip().replace("\n", "\\n") == on_one_line(name).strip()


def test_all_kinds_of_pictures_take_hostile_names():
    for name in ("$\\frac$", "_x", "\x1b[31m"):
        record = a_record(name, in_dist=name, rows=[a_row(name)], class_names=(name, "b"), cut_short="x", recipe=name)
        for draw in KINDS.values():
            draw([(record, some_scores(record))]).savefig(io.BytesIO(), format="png", dpi=30)


@hostile
def test_a_shell_takes_a_command_apart_into_its_words(name):
    words = shlex.split(for_shell("oodbench", "plot", "--in", name))
    assert words in (["oodbench", "plot", "--in", name], ["oodbench", "plot", f"--in={name}"])


@hostile
def test_json_gives_a_name_back_and_is_seen(name):
    text = for_json(json.dumps({"a": name}, ensure_ascii=False))
    assert json.loads(text) == {"a": name}
    assert not UNSEEN.search(text)


@pytest.mark.parametrize("number", ["-0.5", "+3", "98.12", "-1.2e-3", "97.0 ±0.2", "-", "98.1 [97.0, 99.2]"])
def test_numbers_stay_numbers_in_a_csv(number):
    assert for_csv(number) == number


def test_a_message_keeps_its_lines():
    assert for_terminal("one\ntwo\x1b") == "one\ntwo\\x1b"


def test_underscores_within_words_stay_in_markdown():
    assert for_markdown("oc_svm") == "oc_svm"
