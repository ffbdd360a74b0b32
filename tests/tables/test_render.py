"""One hand-made table in every format, and texts that have a meaning of their own in some of them."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
from html.parser import HTMLParser
from textwrap import dedent

import pytest

from oodbench.errors import UnknownName
from oodbench.spelling import for_markdown
from oodbench.tables import FORMATS, render
from oodbench.tables.model import Span, Table

NASTY = r"a|b & 5% of $x_1$ #2 {c} \d ~e^ <f> ± – − ↑ ↓ ε *"


def entry(*texts):
    return tuple(Span(text) if isinstance(text, str) else Span(*text) for text in texts)


TABLE = Table(
    caption="Results, in percent.",
    header=("Method", "Out-dist", "AUROC ↑"),
    rows=(
        (entry("msp"), entry("old"), entry(("90.0", "worst"), "/", ("97.0", "best"))),
        (entry("msp"), entry("noise"), entry("95.0")),
        (entry("msp"), entry(("  published", "aside")), entry(("94.0", "aside"))),
        (entry("odm"), entry("noise"), entry("95.0")),
    ),
    groups=(0, 0, 0, 1),
    merged=1,
    notes=("* seen.", "msp: temperature=1."),
    numeric=2,
)

NASTY_TABLE = Table(
    caption=NASTY, header=("Name", NASTY), rows=((entry("x"), entry((NASTY, "best"))),), groups=(0,), notes=(NASTY,)
)


def test_text():
    expected = """\
        Results, in percent.

         Method   Out-dist        AUROC ↑
        ──────────────────────────────────
         msp      old           90.0/97.0
                  noise              95.0
                    published        94.0

         odm      noise              95.0

        * seen.
        msp: temperature=1.
        """
    assert dedent(expected) == render(TABLE, "text")


def test_text_leaves_every_character_as_it_is():
    assert render(NASTY_TABLE, "text").count(NASTY) == 4


def test_markdown():
    expected = r"""
        Results, in percent.

        | Method | Out-dist | AUROC ↑ |
        | :--- | :--- | ---: |
        | msp | old | _90.0_/**97.0** |
        |  | noise | 95.0 |
        |  |   published | 94.0 |
        | odm | noise | 95.0 |

        - Bold: best, italic: worst of each OOD set.
        - \* seen.
        - msp: temperature=1.
        """
    assert dedent(expected[1:]) == render(TABLE, "markdown")


def test_markdown_has_as_many_cells_in_every_line_whatever_the_texts():
    lines = [line for line in render(NASTY_TABLE, "markdown").splitlines() if line.startswith("| ")]
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in lines] == [3, 3, 3]


def test_markdown_escapes_what_means_something_to_markdown():
    assert render(NASTY_TABLE, "markdown").count(for_markdown(NASTY)) == 4


def test_csv_repeats_every_value_and_has_no_marks():
    expected = """\
        Method,Out-dist,AUROC
        msp,old,90.0/97.0
        msp,noise,95.0
        msp,published,94.0
        odm,noise,95.0
        """
    assert dedent(expected) == render(TABLE, "csv")


def test_csv_gives_every_text_back():
    text = 'say "a, b"\nand more'
    table = Table(caption="", header=("x", "y"), rows=((entry(text), entry(NASTY)),), groups=(0,))
    assert [["x", "y"], [text, NASTY]] == list(csv.reader(render(table, "csv").splitlines(keepends=True)))


def test_latex():
    expected = r"""
        % needs \usepackage{booktabs} and \usepackage{xcolor}
        \begin{table}
        \centering
        \caption{Results, in percent. Bold: best, red: worst of each OOD set.}
        \small
        \begin{tabular}{llr}
        \toprule
        Method & Out-dist & AUROC $\uparrow$ \\
        \midrule
        msp & old & \textcolor{red}{90.0}/\textbf{97.0} \\
         & noise & 95.0 \\
         & \textit{  published} & \textit{94.0} \\
        \midrule
        odm & noise & 95.0 \\
        \bottomrule
        \end{tabular}
        \par\smallskip
        \parbox{\linewidth}{\footnotesize * seen. \\ msp: temperature=1.}
        \end{table}
        """
    assert dedent(expected[1:]) == render(TABLE, "latex")


def test_latex_escapes_what_means_something_to_latex():
    cell = next(line for line in render(NASTY_TABLE, "latex").splitlines() if line.startswith("x & "))
    assert cell == (
        r"x & \textbf{a\textbar{}b \& 5\% of \$x\_1\$ \#2 \{c\} \textbackslash{}d \textasciitilde{}e\textasciicircum{} "
        r"\textless{}f\textgreater{} $\pm$ -- $-$ $\uparrow$ $\downarrow$ $\varepsilon$ *} \\"
    )


@pytest.mark.parametrize("table", [TABLE, NASTY_TABLE], ids=["plain", "nasty"])
def test_latex_has_balanced_braces_and_the_right_number_of_cells(table):
    latex = render(table, "latex")
    bare = re.sub(r"\\.", "", latex)
    assert bare.count("{") == bare.count("}")
    rows = latex.split(r"\toprule")[1].split(r"\bottomrule")[0].replace(r"\midrule", "").strip().splitlines()
    cells = [len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows if row]
    assert cells == [len(table.header)] * (1 + len(table.rows))


@pytest.mark.parametrize("table", [TABLE, NASTY_TABLE], ids=["plain", "nasty"])
def test_latex_is_plain_ascii(table):
    assert render(table, "latex").isascii()


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex to compile with")
@pytest.mark.parametrize("table", [TABLE, NASTY_TABLE], ids=["plain", "nasty"])
def test_latex_compiles(tmp_path, table):
    document = [r"\documentclass{article}", r"\usepackage{booktabs,xcolor}", r"\begin{document}"]
    (tmp_path / "t.tex").write_text("\n".join([*document, render(table, "latex"), r"\end{document}"]))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


class Reader(HTMLParser):
    """Reads the cells of an HTML table and checks that every tag is closed in its turn."""

    def __init__(self, text):
        super().__init__()
        self.open, self.rows, self.styles, self.words = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        if tag not in ("br", "meta"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "span":
            self.styles.append(dict(attributes)["style"])

    def handle_endtag(self, tag):
        assert tag == self.open.pop()

    def handle_data(self, data):
        self.words.append(data)
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data


def test_html_is_well_formed_and_has_every_cell():
    assert Reader(render(TABLE, "html")).rows == [
        ["Method", "Out-dist", "AUROC ↑"],
        ["msp", "old", "90.0/97.0"],
        ["", "noise", "95.0"],
        ["", "  published", "94.0"],
        ["odm", "noise", "95.0"],
    ]


def test_html_marks_with_styles():
    expected = ["color:#c00", "font-weight:bold", "color:#777", "color:#777"]
    assert expected == Reader(render(TABLE, "html")).styles


def test_html_escapes_what_means_something_to_html():
    html = render(NASTY_TABLE, "html")
    assert "<f>" not in html
    assert Reader(html).words.count(NASTY) == 4


def test_html_rules_stand_above_blocks_only():
    rules = ["border-top" in line for line in render(TABLE, "html").splitlines() if line.startswith("<tr")]
    assert rules == [True, False, False, True]


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_ends_with_one_line_break(format_):
    assert re.search(r"[^\n]\n\Z", render(TABLE, format_))


def test_an_unknown_format_is_refused_with_the_nearest_one():
    with pytest.raises(UnknownName) as caught:
        render(TABLE, "latx")
    assert str(caught.value) == "no table format 'latx'. Did you mean 'latex' or 'text'?"
