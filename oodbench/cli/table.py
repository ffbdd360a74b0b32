"""`oodbench table`: stored results as a table."""

from __future__ import annotations

from pathlib import Path

import click

from . import options

FLAT, INTERVAL = "flat", "interval"


@click.command("table")
@options.benchmarks("Only this benchmark; can be repeated.")
@options.methods("Only this method, in this order; can be repeated.")
@click.option("--recipe", metavar="NAME", help="Only results of this training recipe.")
@click.option(
    "--layout",
    metavar="[table1|table2|flat|NAME]",
    help="table1 and table2 as in Masana et al.; flat is one row a cell and OOD set, as fractions; "
    "others: oodbench list layouts.  "
    "[default: each benchmark's own]",
)
@click.option(
    "--format",
    "format_",
    default="text",
    show_default=True,
    metavar="[text|markdown|latex|csv|html]",
    help="How it is written.",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help="One more metric, such as oscr, aurc or a plugin's; can be repeated. Rows have: oodbench table --layout flat.",
)
@click.option(
    "--spread",
    default="deviation",
    show_default=True,
    metavar="[deviation|interval]",
    help="What stands behind a number: the sample standard deviation over seeds, or the 95% interval over test images.",
)
@click.option("--legacy", is_flag=True, help="In table1, add our scores under the CC-AG paper's own code of 2018.")
@click.option("--verify", is_flag=True, help="Compute all numbers anew from the stored scores first.")
@options.results_dir
def command(
    benchmarks: tuple[str, ...],
    methods: tuple[str, ...],
    recipe: str | None,
    layout: str | None,
    format_: str,
    metrics: tuple[str, ...],
    spread: str,
    *,
    legacy: bool,
    verify: bool,
    results_dir: Path,
) -> None:
    """Print a table of stored results: best bold, worst red, * for OOD sets whose images were seen in training.

    ≈ marks methods that cannot be told from the best by their AUROC, on a set or in a mean over sets.

    \b
    oodbench table
    oodbench table --in mnist-267 --format latex > table.tex
    oodbench table --layout flat --format csv > results.csv
    """
    from oodbench.comparison.intervals import add_intervals
    from oodbench.plugins import registry
    from oodbench.store import verified
    from oodbench.store.rows import to_frame
    from oodbench.store.selection import check_choice, select
    from oodbench.tables import FORMATS, interval_metrics, layout_table, render
    from oodbench.tables.legacy import add_legacy

    from .noise import with_as_good
    from .terminal import show_table, stderr

    layout = layout and registry.find("layouts", layout).name
    check_choice(format_, FORMATS, "table format")
    check_choice(spread, ("deviation", INTERVAL), "spread")
    store, records = select(results_dir, benchmarks=benchmarks, methods=methods, recipe=recipe)
    if verify:
        verified.verify(store, records)
        stderr().print(f"verified {len(records)} records: their numbers are those of their scores")
    else:
        verified.verify_unsigned(store, records)
    layouts = {record.benchmark["name"]: layout or record.benchmark["layout"] for record in records}
    for i, chosen in enumerate(dict.fromkeys(layouts.values())):
        frame = to_frame(record for record in records if layouts[record.benchmark["name"]] == chosen)
        own = [record for record in records if layouts[record.benchmark["name"]] == chosen]
        if legacy and chosen == "table1":
            frame = add_legacy(frame, store, records)
        if spread == INTERVAL:
            frame = add_intervals(frame, store, own, interval_metrics(frame, chosen, metrics))
        if chosen != FLAT:
            frame = with_as_good(frame, store, own)
        table = layout_table(frame, chosen, metrics)
        if i:
            click.echo()
        if format_ == "text":
            show_table(table)
        else:
            click.echo(render(table, format_), nl=False)
