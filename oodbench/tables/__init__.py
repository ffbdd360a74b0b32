"""From result rows to the tables of the papers, in any format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from oodbench.errors import ConfigError, UnknownName
from oodbench.registry import did_you_mean

from .layouts import LAYOUTS
from .model import Table
from .render import FORMATS, render

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FORMATS", "LAYOUTS", "Table", "make_table", "render"]


def make_table(frame: pd.DataFrame, layout: str = "table2", format: str = "text") -> str:  # noqa: A002
    """Return a table of results as text.

    Args:
        frame: rows as `oodbench.run` and `oodbench.load_results` return them; several seeds become
            mean ± sample standard deviation, except in the layout "flat".
        layout: "table1" or "table2" of Masana et al. (BMVC 2018), or "flat" for the rows themselves.
        format: "text", "markdown", "latex", "csv" or "html".

    Raises:
        UnknownName: no such layout or format.
        ConfigError: there are no rows.
    """
    return render(layout_table(frame, layout), format)


def layout_table(frame: pd.DataFrame, layout: str) -> Table:
    """Return result rows laid out as a table, to be rendered.

    Raises:
        UnknownName: no such layout.
    """
    if frame.empty:
        raise ConfigError("there are no result rows to make a table of; run a benchmark first")
    known: Mapping[str, object] = LAYOUTS
    if layout not in known:
        raise UnknownName(f"no table layout {layout!r}{did_you_mean(layout, known)}")
    return LAYOUTS[layout](frame)
