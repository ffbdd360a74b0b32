"""`oodbench cache`: what is kept for later runs, and what of it may go."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from oodbench.spelling import for_shell

from . import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from oodbench.store.usage import Kept

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


@click.command("cache")
@click.option("--clean", is_flag=True, help="Remove what may go; without --keep only what nobody can use any more.")
@click.option("--keep", metavar="SIZE", help="What may be left, such as 20GB; the least recently used goes first.")
@options.cache_dir
def command(clean: bool, keep: str | None, cache_dir: Path | None) -> None:
    """Show what the cache holds: decoded images, trained networks and their outputs; how large it is and how old.

    All of it is made again where it is needed. Nothing is removed without --clean.

    \b
    oodbench cache
    oodbench cache --keep 20GB
    oodbench cache --keep 20GB --clean
    """
    import time

    from oodbench.errors import MissingData
    from oodbench.folders import default_cache_dir
    from oodbench.store.artifacts import ArtifactStore
    from oodbench.store.usage import above, discard, in_words, kept_in, left_in, parse_size

    from .terminal import show, stderr

    most = None if keep is None else parse_size(keep)
    root = default_cache_dir() if cache_dir is None else cache_dir.expanduser()
    if not root.is_dir():
        raise MissingData(f"there is no cache folder {root}: nothing was run yet, or it is elsewhere (--cache-dir)")
    store = ArtifactStore(root)
    kept, left = kept_in(store), left_in(store)
    gone = [] if most is None else above([one for one in kept if one.path not in {other.path for other in left}], most)
    show(_table(kept, left, gone, time.time()))
    show("")
    size = sum(one.size for one in (*left, *gone))
    show(f"{in_words(sum(one.size for one in kept))} in {root.absolute()}; {in_words(size)} may go")
    if clean:
        discard([*left, *gone])
        show(f"removed {in_words(size)}")
    elif size:
        again = ["--keep", keep] if keep else []
        again += ["--cache-dir", str(cache_dir)] if cache_dir else []
        stderr().print(f"\nNext: {for_shell('oodbench', 'cache', *again, '--clean')}")


def _table(kept: Sequence[Kept], left: Sequence[Kept], gone: Sequence[Kept], now: float) -> Table:
    from oodbench.store.usage import in_words, made_again

    from .terminal import listing

    table = listing("Kind", "Number", "Size", "Last used", "May go", "To do without costs")
    for kind in sorted({one.kind for one in kept}):
        some = [one for one in kept if one.kind == kind]
        goes = [one for one in gone if one.kind == kind]
        may_go = f"{len(goes)} ({in_words(sum(one.size for one in goes))})" if goes else "-"
        used = f"{_ago(now - some[0].used)} to {_ago(now - some[-1].used)} ago"
        table.add_row(kind, str(len(some)), in_words(sum(one.size for one in some)), used, may_go, made_again(kind))
    if left:
        size = in_words(sum(one.size for one in left))
        used = f"{_ago(max(now - one.used for one in left))} ago"
        table.add_row("left behind", str(len(left)), size, used, f"{len(left)} ({size})", "nothing")
    return table


def _ago(seconds: float) -> str:
    for size, unit in _UNITS:
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "moments"
