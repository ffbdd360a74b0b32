"""Tables as text, Markdown, LaTeX, CSV and HTML."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from oodbench.errors import UnknownName, did_you_mean
from oodbench.spelling import for_csv, for_html, for_latex, for_markdown, latex_row, on_one_line

from .model import Entry, Span, Table, plain_text, value_text

if TYPE_CHECKING:
    from rich.console import RenderableType


def render(table: Table, format: str) -> str:  # noqa: A002
    """Return a table in a format.

    Args:
        table: what to print.
        format: "text", "markdown", "latex", "csv" or "html".

    Raises:
        UnknownName: no such format.
    """
    if format not in FORMATS:
        raise UnknownName(f"no table format {format!r}{did_you_mean(format, FORMATS)}")
    return FORMATS[format](table)


def least_width(table: Table) -> int:
    """Return how many letters wide a table is on a terminal at least: titles are broken into lines, values are not."""
    return sum(least for least, _ in _widths(table)) + _between(table)


def _widths(table: Table) -> list[tuple[int, int]]:
    """Return of each column how wide it is at least, and with its title on one line."""
    from rich.cells import cell_len

    cells = [[cell_len(plain_text(row[column])) for row in table.rows] for column in range(len(table.header))]
    return [
        (max([0, *map(cell_len, title.split()), *texts]), max([cell_len(title), *texts]))
        for title, texts in zip(table.header, cells, strict=True)
    ]


def _between(table: Table) -> int:
    """Return how many blanks stand between and around columns."""
    return 3 * len(table.header) - 1


def as_rich(table: Table, *, marks: bool = True, width: int | None = None) -> RenderableType:
    """Return a table for a terminal: best bold, worst red.

    Args:
        table: to be shown.
        marks: whether there is a word on the marks below it.
        width: of the terminal; None breaks no title.
    """
    from rich import box
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

    table = _spelled(table, on_one_line)
    styles = {"": "", "best": "bold", "worst": "red", "aside": "dim", "tie": ""}
    grid = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False, header_style="")
    widths = _widths(table)
    spare = 10_000 if width is None else max(0, width - least_width(table))
    for column, title in enumerate(table.header):
        least, whole = widths[column]
        more = min(spare, whole - least)
        spare -= more
        grid.add_column(
            # As a text: rich would take a part of a name in brackets for markup.
            Text(title),
            justify="right" if column >= table.numeric > 0 else "left",
            vertical="bottom",
            min_width=least + more,
            max_width=least + more,
        )
    for row in range(len(table.rows)):
        if table.starts_block(row):
            grid.add_section()
        grid.add_row(*(Text.assemble(*((s.text, styles[s.mark]) for s in entry)) for entry in table.printed(row)))
    notes = (Text(note, style="dim") for note in (*(_legend(table, "red") if marks else ()), *table.notes))
    return Group(Text(table.caption), Text(""), grid, Text(""), *notes)


def _spelled(table: Table, spell: Callable[[str], str]) -> Table:
    """Return a table with all of its texts as a format spells them."""
    return replace(
        table,
        caption=spell(table.caption),
        header=tuple(map(spell, table.header)),
        rows=tuple(
            tuple(tuple(replace(span, text=spell(span.text)) for span in entry) for entry in row) for row in table.rows
        ),
        notes=tuple(map(spell, table.notes)),
    )


def _legend(table: Table, worst: str) -> list[str]:
    """Return a sentence that explains the marks, where there are any."""
    marked = any(span.mark in ("best", "worst") for row in table.rows for entry in row for span in entry)
    return [f"Bold: best, {worst}: worst of each OOD set."] if marked else []


def _text(table: Table) -> str:
    from rich.console import Console

    # Without a terminal there is no width to keep to: lines are as long as they need to be.
    console = Console(file=io.StringIO(), width=10_000, no_color=True, force_terminal=False)
    with console.capture() as captured:
        console.print(as_rich(table, marks=False))
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def _markdown(table: Table) -> str:
    wrap = {"": "{}", "best": "**{}**", "worst": "_{}_", "aside": "{}", "tie": "{}"}
    table = _spelled(table, for_markdown)

    def cell(entry: Entry) -> str:
        return "".join(wrap[span.mark].format(span.text) for span in entry)

    rule = ["---:" if column >= table.numeric > 0 else ":---" for column in range(len(table.header))]
    lines = [_pipes(list(table.header)), _pipes(rule)]
    lines += [_pipes([cell(entry) for entry in table.printed(row)]) for row in range(len(table.rows))]
    notes = "".join(f"- {note}\n" for note in (*_legend(table, "italic"), *table.notes))
    return f"{table.caption}\n\n" + "\n".join(lines) + "\n\n" + notes


def _pipes(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _latex(table: Table) -> str:
    wrap = {
        "": "{}",
        "best": r"\textbf{{{}}}",
        "worst": r"\textcolor{{red}}{{{}}}",
        "aside": r"\textit{{{}}}",
        "tie": "{}",
    }
    table = _spelled(table, for_latex)

    def cell(entry: Entry) -> str:
        return "".join(wrap[span.mark].format(span.text) for span in entry)

    columns = "".join("r" if column >= table.numeric > 0 else "l" for column in range(len(table.header)))
    lines = [
        "% needs \\usepackage{booktabs} and \\usepackage{xcolor}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{' '.join([table.caption, *_legend(table, 'red')])}}}",
        r"\small",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        latex_row(list(table.header)) + r" \\",
        r"\midrule",
    ]
    for row in range(len(table.rows)):
        lines += [r"\midrule"] if table.starts_block(row) else []
        lines.append(latex_row([cell(entry) for entry in table.printed(row)]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    if table.notes:
        notes = r" \\ ".join([table.notes[0], *(latex_row([note]) for note in table.notes[1:])])
        lines += [r"\par\smallskip", rf"\parbox{{\linewidth}}{{\footnotesize {notes}}}"]
    return "\n".join([*lines, r"\end{table}", ""])


def _csv(table: Table) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(for_csv(title.rstrip(" ↑↓")) for title in table.header)
    writer.writerows([for_csv(value_text(entry).strip()) for entry in row] for row in table.rows)
    return buffer.getvalue()


def _html(table: Table) -> str:
    styles = {
        "best": "font-weight:bold",
        "worst": "color:#c00",
        "aside": "color:#777",
        "tie": "",
    }

    table = _spelled(table, for_html)

    def span(piece: Span) -> str:
        return f'<span style="{styles[piece.mark]}">{piece.text}</span>' if styles.get(piece.mark) else piece.text

    def row_html(cells: list[str], tag: str, *, ruled: bool) -> str:
        rule = ' style="border-top:1px solid #999"' if ruled else ""
        sides = ("right" if column >= table.numeric > 0 else "left" for column in range(len(cells)))
        aligned = (
            f'<{tag} style="padding:2px 8px;text-align:{side}">{cell}</{tag}>'
            for side, cell in zip(sides, cells, strict=True)
        )
        return f"<tr{rule}>{''.join(aligned)}</tr>"

    lines = [
        '<meta charset="utf-8">',
        '<table style="border-collapse:collapse;font-family:sans-serif;font-size:14px">',
        f'<caption style="text-align:left;padding:4px 8px">{table.caption}</caption>',
        f"<thead>{row_html(list(table.header), 'th', ruled=False)}</thead>",
        "<tbody>",
    ]
    for row in range(len(table.rows)):
        cells = ["".join(map(span, entry)) for entry in table.printed(row)]
        lines.append(row_html(cells, "td", ruled=row == 0 or table.starts_block(row)))
    notes = "<br>".join((*_legend(table, "red"), *table.notes))
    lines += ["</tbody>", "</table>", f'<p style="font-family:sans-serif;font-size:12px;color:#555">{notes}</p>', ""]
    return "\n".join(lines)


FORMATS: Mapping[str, Callable[[Table], str]] = {
    "text": _text,
    "markdown": _markdown,
    "latex": _latex,
    "csv": _csv,
    "html": _html,
}
