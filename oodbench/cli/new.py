"""`oodbench new`: the beginning of a plugin."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("new")
@click.argument("what", metavar="[method|dataset|benchmark]")
@click.argument("name")
@click.option(
    "--dir",
    "parent",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Folder that the new one is made in.  [default: the working folder]",
)
def command(what: str, name: str, parent: Path) -> None:
    """Write a small package with a method, data set or benchmark of your own, which works as written.

    \b
    oodbench new method my-score
    oodbench new dataset my-images --dir projects
    """
    from oodbench.plugins.scaffold import WHATS, scaffold
    from oodbench.spelling import for_shell
    from oodbench.store.selection import check_choice

    from .terminal import show, stderr

    check_choice(what, WHATS, "kind of plugin to begin")
    for path in scaffold(what, name, parent):  # type: ignore[arg-type]  # checked one line before
        show(str(path))
    run = {
        "method": f"oodbench run --method {name}",
        "dataset": f"oodbench run --out {name}",
        "benchmark": f"oodbench run --in {name}",
    }[what]
    stderr().print(f"\nNext: {for_shell('pip', 'install', '-e', str(parent / name))} && oodbench check {name} && {run}")
