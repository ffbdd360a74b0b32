"""`oodbench compare`: whether one of two is better, or only luckier."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from . import options


@click.command("compare")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@options.benchmarks("Only this benchmark; can be repeated.")
@options.methods("Of two recipes or folders, only this method; can be repeated.")
@click.option("--recipe", metavar="NAME", help="Of two methods or folders, only results of this training recipe.")
@click.option("--metric", default="auroc", show_default=True, metavar="NAME", help="See: oodbench list metrics.")
@click.option(
    "--alpha", type=float, default=0.05, show_default=True, metavar="SHARE", help="Level of the tests: false alarms."
)
@click.option(
    "--margin",
    type=float,
    default=0.0,
    metavar="POINTS",
    help="A difference up to this counts as none, such as 0.5 percent points.  [default: 0]",
)
@click.option("--json", "as_json", is_flag=True, help="Print all of it for programs.")
@options.results_dir
def command(
    first: str,
    second: str,
    benchmarks: tuple[str, ...],
    methods: tuple[str, ...],
    recipe: str | None,
    metric: str,
    alpha: float,
    margin: float,
    as_json: bool,
    results_dir: Path,
) -> None:
    """Say whether B is better or worse than A, or whether there is no evidence of either.

    A and B are two methods, or two training recipes, in the results folder; or two results folders, of which B is the
    newer one. Each difference is on the same images with the same seed, with an interval and a test: DeLong's of the
    AUROC, a paired bootstrap of other metrics, Wilcoxon's over sets and seeds; p-values have Holm's correction.

    Exit code: 0; of two folders 1 where something got worse beyond noise. 2 for bad input.

    \b
    oodbench compare msp odm --in mnist-267
    oodbench compare quick fast --method odm
    oodbench compare results-of-last-week/ results/ --margin 0.5
    """
    import json

    from oodbench.comparison import compare
    from oodbench.comparison.layout import comparison_table
    from oodbench.spelling import for_json

    from .terminal import show, show_table

    comparison = compare(
        first,
        second,
        benchmarks=benchmarks,
        methods=methods,
        recipe=recipe,
        metric=metric,
        alpha=alpha,
        margin=margin / 100,
        results_dir=results_dir,
    )
    if as_json:
        click.echo(for_json(json.dumps(comparison.as_dict(), indent=1, ensure_ascii=False, allow_nan=False)))
    else:
        show_table(comparison_table(comparison))
        click.echo()
        for change in comparison.changes:
            show(f"Changed: {change}.")
        for pairing in comparison.pairings if len(comparison.pairings) > 1 else ():
            if pairing.overall.n_above or pairing.overall.n_below:
                show(pairing.verdict.sentence)
        show(comparison.sentence)
    sys.exit(comparison.exit_code)
