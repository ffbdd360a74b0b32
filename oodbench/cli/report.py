"""`oodbench report`: stored results as one page."""

from __future__ import annotations

from pathlib import Path

import click

from . import options


@click.command("report")
@options.benchmarks("Only this benchmark; can be repeated.")
@options.methods("Only this method; can be repeated.")
@click.option("--recipe", metavar="NAME", help="Only results of this training recipe.")
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Which seed curves, embeddings and images are of; tables are over all.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("report.html"),
    show_default=True,
    metavar="FILE",
    help="The page.",
)
@click.option("--no-images", is_flag=True, help="Do not look for the images that methods were wrong about.")
@options.data_dir
@click.option(
    "--results-dir",
    "results_dirs",
    type=click.Path(path_type=Path),
    multiple=True,
    default=(Path("results"),),
    show_default="results",
    help="Folder of the result records; can be repeated.",
)
def command(
    benchmarks: tuple[str, ...],
    methods: tuple[str, ...],
    recipe: str | None,
    seed: int,
    output: Path,
    no_images: bool,
    data_dir: Path | None,
    results_dirs: tuple[Path, ...],
) -> None:
    """Write a page of stored results that opens offline in any browser.

    It has the claims of the paper with verdicts, the data, how networks were trained, a table and a heat map to sort
    and choose from, score histograms with a threshold to move, ROC and precision-recall curves, embeddings to turn,
    the images that methods were most wrong about, and what each method costs.

    \b
    oodbench report
    oodbench report --in svhn --in mnist-267 -o report.html
    oodbench report --results-dir results/table1 --results-dir results/table2
    """
    from oodbench.report import make_report

    from .terminal import TerminalReporter, show

    with TerminalReporter() as reporter:
        path = make_report(
            results_dirs,
            output,
            benchmarks=benchmarks,
            methods=methods,
            recipe=recipe,
            seed=seed,
            data_dir=data_dir,
            images=not no_images,
            report=reporter,
        )
    show(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
