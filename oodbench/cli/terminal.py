"""The one place that knows rich: results to stdout, everything else to stderr, plain lines where nobody watches."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from oodbench.spelling import for_terminal, on_one_line

if TYPE_CHECKING:
    from oodbench.tables import Table as ResultTable


class _Console(Console):
    """A console that prints texts as they are: no markup, and nothing that a terminal would act on."""

    def print(self, *objects: Any, **style: Any) -> None:
        super().print(*(for_terminal(one) if isinstance(one, str) else one for one in objects), **style)


class _Listing(Table):
    """A table whose cells are texts from anywhere."""

    def add_row(self, *cells: Any, **style: Any) -> None:
        super().add_row(*(Text(on_one_line(cell)) if isinstance(cell, str) else cell for cell in cells), **style)


def stdout() -> Console:
    """Return the console for results; without a terminal, lines are as long as they need to be."""
    return _Console(
        markup=False, emoji=False, highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 10_000
    )


def stderr() -> Console:
    """Return the console for messages."""
    return _Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)


def show(result: RenderableType) -> None:
    """Print a result to stdout, without blanks at the ends of lines; a listing is brought to the terminal's width."""
    console = stdout()
    if console.is_terminal:
        if isinstance(result, Table):
            result = fitted_listing(result, console.width)
        console.print(result, soft_wrap=False)
        return
    with console.capture() as captured:
        console.print(result)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))  # noqa: T201


_STATUSES = {
    "passed": ("✓", "green"),
    "failed": ("✗", "red"),
    "skipped": ("–", "yellow"),
    "known exception": ("–", "yellow"),
}


def status_line(status: str, text: str) -> Text:
    """Return a line of a list of checks, with a coloured mark: passed, failed, skipped or known exception."""
    return Text.assemble("  ", _STATUSES[status], f" {for_terminal(text)}")


def listing(*columns: str) -> Table:
    """Return an empty table for a listing."""
    return _Listing(*columns, box=box.SIMPLE_HEAD, show_edge=False, header_style="bold", pad_edge=False)


_EXPENDABLE = ("From", "from", "Source", "source")
"""Columns of listings that are left out first where there is no room."""
_GAP = 3
_LEAST = 14
"""Letters that a text in a listing gets at least, where it has so many."""


def fitted_listing(table: Table, width: int) -> RenderableType:
    """Return a listing that has one line an entry: fewer columns, shorter texts, and a word on what was left out.

    Args:
        table: as `listing` made it.
        width: of the terminal, in letters.
    """
    cells = {str(column.header): [str(cell) for cell in column.cells] for column in table.columns}
    natural = {name: max(map(cell_len, (name, *texts))) for name, texts in cells.items()}
    kept = list(cells)
    droppable = [*(name for name in _EXPENDABLE if name in cells), *(n for n in reversed(kept) if n not in _EXPENDABLE)]
    # The first column says what an entry is, the second one what it is about.
    droppable = [name for name in droppable if name not in kept[:2]]

    def least(names: Sequence[str]) -> int:
        texts = (natural[name] if i == 0 else min(natural[name], _LEAST) for i, name in enumerate(names))
        return sum(texts) + _GAP * (len(names) - 1)

    left_out = []
    for name in droppable:
        if least(kept) <= width:
            break
        kept.remove(name)
        left_out.append(name)
    spare = max(0, width - least(kept))
    narrow = listing(*kept)
    cut = False
    for i, (name, column) in enumerate(zip(kept, narrow.columns, strict=True)):
        given = natural[name] if i == 0 else min(natural[name], _LEAST)
        more = min(spare, natural[name] - given)
        spare -= more
        column.width, column.no_wrap, column.overflow = given + more, True, "ellipsis"
        cut = cut or given + more < natural[name]
    for row in zip(*(cells[name] for name in kept), strict=True):
        narrow.add_row(*row)
    words = [*left_out, *(["what “…” stands for"] if cut else [])]
    if not words:
        return narrow
    note = f"Left out to fit {width} columns: {', '.join(words)}. All of it: a wider terminal, or add: | cat"
    return Group(narrow, Text(note, style="dim"))


def show_table(table: ResultTable) -> None:
    """Print a table of results to stdout; on a terminal, what does not fit is left out and named."""
    from oodbench.tables.fit import fitted
    from oodbench.tables.render import as_rich, least_width, render

    console = stdout()
    if not console.is_terminal:
        print(render(table, "text"), end="")  # noqa: T201
        return
    narrow = fitted(table, console.width)
    # Where even that is too wide, lines that a terminal breaks are better than numbers that are not there.
    console.width = max(console.width, least_width(narrow))
    console.print(as_rich(narrow, width=console.width), soft_wrap=False)


class TerminalReporter:
    """Shows a run on stderr: two bars on a terminal, one line for each finished piece of work elsewhere."""

    def __init__(self) -> None:
        self._console = stderr()
        self._live = self._console.is_terminal
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._live,
        )
        self._cells: TaskID | None = None
        self._work: TaskID | None = None
        self._work_name = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def message(self, text: str) -> None:
        """Print a line that stays."""
        self._console.print(text)

    def warning(self, text: str) -> None:
        """Print a line that stays: whoever reads the results must know it."""
        self._console.print(text)

    def progress(self, task: str, done: int, total: int) -> None:
        """Show the piece of work that is being done; a finished one makes room."""
        task = on_one_line(task)
        # What follows a comma changes while the work goes on, such as a loss.
        name = task.partition(",")[0]
        if self._work is not None and name != self._work_name:
            self._progress.remove_task(self._work)
            self._work = None
        if self._work is None:
            self._work, self._work_name = self._progress.add_task(task, total=total), name
        self._progress.update(self._work, description=task, completed=done, total=total)
        if done >= total:
            self._progress.remove_task(self._work)
            self._work = None

    def cells(self, done: int, total: int) -> None:
        """Show how many cells of the run are finished."""
        if self._cells is None:
            self._cells = self._progress.add_task("cells finished", total=total)
        self._progress.update(self._cells, completed=done, total=total)
