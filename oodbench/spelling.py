r"""How a name from outside is written in each format: shown as it is, and never taken for a command.

Names of folders, images, classes and benchmarks are anybody's: they may hold escapes of terminals, formulas of
spreadsheets, and the marks of every markup. Each format has one function here, and nothing else writes a name into it.
"""

from __future__ import annotations

import html
import re
import shlex

_UNSEEN = re.compile(
    # Controls, marks that turn the direction of what follows, separators of lines, and halves of characters.
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    # Bytes of a file's name that are no UTF-8.
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    named = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}.get(match[0])
    return named or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def on_one_line(text: str) -> str:
    r"""Return a name with all that cannot be seen written out, on one line.

    >>> on_one_line("a\x1b[31mb\nc")
    'a\\x1b[31mb\\nc'
    """
    return _UNSEEN.sub(_written_out, text)


def for_terminal(text: str) -> str:
    r"""Return a message with all that cannot be seen written out, but for ends of lines.

    >>> for_terminal("a\x1b]0;b\nc")
    'a\\x1b]0;b\nc'
    """
    return "\n".join(map(on_one_line, text.split("\n")))


def for_csv(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula; numbers stay numbers.

    >>> for_csv("=1+1"), for_csv("-0.5"), for_csv("-x")
    ("'=1+1", '-0.5', "'-x")
    """
    # Ends of lines are quoted, returns are not.
    text = for_terminal(text)
    is_number = re.fullmatch(r"[-+\d.,eE±−–%\[\]() *]+", text)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") and not is_number else text


_MARKDOWN = re.compile(r"[\\`*|<]|~(?=~)|(?<!\w)_|_(?!\w)|^[#+-](?=\s)|&(?=#?\w+;)")


def for_markdown(text: str) -> str:
    r"""Return text that Markdown shows as it is, in a cell of a table as well.

    >>> for_markdown("a|b [c](d) oc_svm")
    'a\\|b \\[c\\](d) oc_svm'
    """
    marked = _MARKDOWN.sub(lambda match: f"\\{match[0]}", on_one_line(text))
    # Brackets mean nothing unless they make a link: intervals have them.
    return re.sub(r"([\[\]])", r"\\\1", marked) if "](" in marked else marked


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "≈": r"$\approx$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "−": r"$-$",
    "–": "--",
    "ε": r"$\varepsilon$",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def for_latex(text: str) -> str:
    r"""Return text that LaTeX sets as it is.

    >>> for_latex("$a_1$")
    '\\$a\\_1\\$'
    """
    return "".join(_LATEX.get(character, character) for character in on_one_line(text))


def latex_row(cells: list[str]) -> str:
    r"""Return a row of a table, of cells in LaTeX; one that begins as an option of the row above is kept apart."""
    row = " & ".join(cells)
    return f"{{}}{row}" if row[:1] in ("[", "*") else row


def for_html(text: str) -> str:
    """Return text that a browser shows as it is, in an attribute as well."""
    return html.escape(on_one_line(text))


def for_matplotlib(text: str) -> str:
    r"""Return text that is drawn as it is, with its ends of lines: dollars begin no formula.

    >>> for_matplotlib(r"$\frac$")
    '\\$\\frac\\$'
    """
    drawn = for_terminal(text).replace("$", r"\$")
    # Legends pass over labels that begin with an underscore.
    return f" {drawn}" if drawn.startswith("_") else drawn


def for_shell(*words: str) -> str:
    """Return a command that a shell takes apart into these words.

    >>> for_shell("oodbench", "plot", "--in", "my photos", "--in", "-x")
    "oodbench plot --in 'my photos' --in=-x"
    """
    parts: list[str] = []
    for word in words:
        if parts and word.startswith("-") and not word.startswith("--") and parts[-1].startswith("--"):
            parts[-1] += f"={shlex.quote(word)}"
        else:
            parts.append(shlex.quote(word))
    return " ".join(parts)


def for_json(dumped: str) -> str:
    """Return JSON text with what cannot be seen written as JSON writes it; terminals act on some of it."""
    return _UNSEEN.sub(lambda match: match[0] if match[0] == "\n" else f"\\u{ord(match[0]):04x}", dumped)
