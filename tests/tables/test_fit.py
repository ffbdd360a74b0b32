"""A table fits its terminal: fewer or shorter columns, and a word on what was left out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from oodbench.tables.fit import fitted
from oodbench.tables.model import Span, Table, plain_text
from oodbench.tables.render import least_width


def a_table(**changes):
    header = ("Method", "ID acc.", "Out-dist", "FPR ↓", "Error ↓", "AUROC ↑", "AUPR ↑")
    row = ("odm (margin=5)", "99.5 ± 0.1", "digits 5 9 1", "10.0 ± 1.0", "5.0 ± 0.1", "99.9 ± 0.1", "98.0 ± 0.2")
    return replace(
        Table(
            caption="a table",
            header=header,
            rows=(tuple((Span(text, "best"),) for text in row),),
            groups=(0,),
            merged=3,
            notes=("first",),
            numeric=3,
            essential=(5,),
        ),
        **changes,
    )


def texts(table):
    return [plain_text(entry) for entry in table.rows[0]]


def test_table_that_fits_stays_as_it_is():
    assert fitted(a_table(), 200) == a_table()


def test_deviations_go_first():
    table = fitted(a_table(), 80)

    assert texts(table) == ["odm (margin=5)", "99.5", "digits 5 9 1", "10.0", "5.0", "99.9", "98.0"]
    assert table.notes == (
        "first",
        "Left out to fit 80 columns: ± over seeds. All of it: a wider terminal, or --format csv.",
    )
    assert table.rows[0][0][0].mark == "best"


def test_columns_go_from_the_right_and_essential_ones_last():
    assert fitted(a_table(), 66).header == ("Method", "ID acc.", "Out-dist", "FPR ↓", "Error ↓", "AUROC ↑")
    assert fitted(a_table(), 58).header == ("Method", "ID acc.", "Out-dist", "FPR ↓", "AUROC ↑")
    assert fitted(a_table(), 44).header == ("Method", "Out-dist", "AUROC ↑")
    assert "ID acc., FPR, Error, AUPR" in fitted(a_table(), 44).notes[-1]


def test_texts_are_cut_in_the_end_and_the_word_says_so():
    table = fitted(a_table(), 36)

    assert least_width(table) <= 36
    assert any(text.endswith("…") for text in texts(table))
    assert "what “…” stands for" in table.notes[-1]


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_lines_on_a_terminal_are_never_broken(width, monkeypatch):
    from rich.console import Console

    from oodbench.tables.render import as_rich

    console = Console(width=width, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(as_rich(fitted(a_table(notes=()), width), width=width))
    lines = captured.get().splitlines()

    assert all(len(line) <= width for line in lines)
    # One line of values, which is whole.
    (values,) = [line for line in lines if line.strip().startswith("odm")]
    assert values.split()[-1] in {"98.0", "99.9", "99.9±0.1", "0.2"}


@pytest.mark.parametrize("width", [60, 64])
def test_listing_has_one_line_an_entry_and_says_what_is_left_out(width):
    from rich.console import Console

    from oodbench.cli.terminal import fitted_listing, listing

    table = listing("Method", "What it is", "Network", "Sees", "Source", "From")
    for name in ("odm", "msp"):
        table.add_row(name, "a very long word on what it is and does, for sure", "ce", "nothing at all", "X" * 40, "Y")
    console = Console(width=width, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(fitted_listing(table, width))
    lines = captured.get().splitlines()

    assert all(len(line) <= width for line in lines)
    assert sum(line.startswith(("odm", "msp")) for line in lines) == 2
    assert "nothing at all" in captured.get()
    assert f"Left out to fit {width} columns: From" in captured.get()


def test_listing_that_fits_stays_whole():
    from oodbench.cli.terminal import fitted_listing, listing

    table = listing("Method", "From")
    table.add_row("odm", "here")

    assert [column.header for column in fitted_listing(table, 80).columns] == ["Method", "From"]
