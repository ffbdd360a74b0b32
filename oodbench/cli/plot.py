"""`oodbench plot`: stored results as pictures."""

from __future__ import annotations

from pathlib import Path

import click

from . import options


@click.command("plot")
@click.argument("kinds", nargs=-1, metavar="[embeddings|histograms|roc]...")
@options.benchmarks("Only this benchmark; can be repeated.")
@options.methods("Only this method, in this order; can be repeated.")
@click.option("--recipe", metavar="NAME", help="Only results of this training recipe.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which seed to draw.")
@click.option("--format", "format_", default="png", show_default=True, metavar="[png|pdf|svg]", help="File format.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the pictures.  [default: the results folder]",
)
@options.results_dir
def command(
    kinds: tuple[str, ...],
    benchmarks: tuple[str, ...],
    methods: tuple[str, ...],
    recipe: str | None,
    seed: int,
    format_: str,
    out: Path | None,
    results_dir: Path,
) -> None:
    """Draw stored results; without a kind, all kinds.

    embeddings: Figure 1 of Masana et al., a panel for each OOD set and a row for each method, over the clusters of
    the ID test images. histograms: scores of ID and OOD images. roc: ROC curves.

    \b
    oodbench plot --in mnist-267
    oodbench plot embeddings --in mnist-267 --method msp --method odm --format pdf
    """
    from oodbench.errors import StoreError
    from oodbench.figures import KINDS

    from .select import check_choice, select

    for kind in kinds:
        check_choice(kind, KINDS, "kind of picture")
    check_choice(format_, ("png", "pdf", "svg"), "file format")
    store, records = select(results_dir, benchmarks=benchmarks, methods=methods, recipe=recipe)
    drawn = [record for record in records if record.seed == seed]
    if not drawn:
        raise StoreError(f"no stored result has seed {seed}; there are: {sorted({record.seed for record in records})}")
    # A picture of a part of the results does not take the place of the whole one.
    choice = [*methods, *([recipe] if recipe else []), *([f"seed{seed}"] if seed else [])]
    for name in dict.fromkeys(record.benchmark["name"] for record in drawn):
        results = [(record, store.scores(record)) for record in drawn if record.benchmark["name"] == name]
        for kind in kinds or KINDS:
            file = (out or results_dir / name) / f"{'-'.join((kind, *choice))}.{format_}"
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                KINDS[kind](results).savefig(file, dpi=120)
            except OSError as error:
                raise StoreError(
                    f"cannot write {file} ({error.strerror or error}); name another folder: --out"
                ) from error
            click.echo(file)
