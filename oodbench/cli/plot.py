"""`oodbench plot`: stored results as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oodbench.options import Places

from . import options

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from oodbench.store.records import Record, ResultStore, Scores
    from oodbench.store.snapshots import Snapshots

EMBEDDINGS = "embeddings"
SPLIT = "split"
RANKS = "ranks"
NEAREST = "nearest"
ROC = "roc"


@click.command("plot")
@click.argument("kinds", nargs=-1, metavar="[embeddings|histograms|roc|ranks|split|nearest]...")
@options.benchmarks("Only this benchmark; can be repeated.")
@options.methods("Only this method, in this order; can be repeated.")
@click.option("--recipe", metavar="NAME", help="Only results of this training recipe.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which seed to draw.")
@click.option("--metric", default="auroc", show_default=True, metavar="NAME", help="What ranks are by.")
@click.option(
    "--spread",
    default="deviation",
    show_default=True,
    metavar="[deviation|interval]",
    help="What stands behind an AUROC in roc: the sample standard deviation over seeds, where there are several, or "
    "the 95% interval over test images.",
)
@click.option(
    "--ood",
    "sets",
    multiple=True,
    metavar="NAME|PATH",
    help="Only this OOD set; can be repeated. Nearest looks for its images at a path that is given.",
)
@click.option(
    "--id",
    "id_path",
    metavar="PATH",
    help="Folder or ZIP of your own that the result is about, for nearest.  [default: of its name, in the data folder]",
)
@click.option("--animate", is_flag=True, help="Embeddings that turn, as a GIF (1 MB at most) or an MP4.")
@click.option("--epochs", is_flag=True, help="With --animate, embeddings as they are learnt.")
@click.option(
    "--format",
    "format_",
    metavar="[png|pdf|svg|gif|mp4]",
    help="File format.  [default: png; gif with --animate]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the pictures.  [default: the results folder]",
)
@options.data_dir
@options.results_dir
@options.of(Places, "cache_dir")
def command(
    kinds: tuple[str, ...],
    benchmarks: tuple[str, ...],
    methods: tuple[str, ...],
    recipe: str | None,
    seed: int,
    metric: str,
    spread: str,
    sets: tuple[str, ...],
    id_path: str | None,
    animate: bool,
    epochs: bool,
    format_: str | None,
    out: Path | None,
    data_dir: Path | None,
    results_dir: Path,
    cache_dir: Path | None,
) -> None:
    """Draw stored results; without a kind, all of one seed that can be drawn without the images.

    Where there are many methods, embeddings and histograms come as several pictures of some rows each.

    embeddings: Figure 1 of Masana et al., a panel for each OOD set and a row for each method, over the clusters of
    the ID test images. histograms: scores of ID and OOD images. roc: ROC curves. split: Figure 2, the classes of a
    split with an image of each, which are looked for in the data folder. ranks: mean ranks of the methods over all
    benchmarks, OOD sets and seeds together, with bars over those that cannot be told apart (critical difference).
    nearest: images that a method refused, with the clusters, where its network has some, and the training images that
    lie nearest in its code, embedding or features; a picture for each method. The images are looked for in the data
    folder, or at the paths that --id and --ood give, and the network in the cache.

    \b
    oodbench plot --in mnist-267
    oodbench plot embeddings --in mnist-267 --method msp --method odm --format pdf
    oodbench plot embeddings --animate --in mnist-267 --method ml --method odm
    oodbench plot ranks --in mnist-267 --in svhn
    oodbench plot split --in tsinghua
    oodbench plot nearest --in mnist-267 --method msp
    oodbench plot nearest --in photos --id ./photos --ood ./scenes --method knn
    """
    from oodbench.comparison.ranking import rank_records
    from oodbench.errors import ConfigError, StoreError
    from oodbench.figures import KINDS, draw_ranks
    from oodbench.folders import place
    from oodbench.store.selection import select

    kinds, format_ = _checked(kinds, format_, spread, animate=animate, epochs=epochs)
    if id_path is not None and NEAREST not in kinds:
        raise ConfigError("--id says where images lie, for pictures that show them: oodbench plot nearest")
    places = _places(sets)
    sets = tuple(place(name)[0] for name in sets)
    store, records = select(results_dir, benchmarks=benchmarks, methods=methods, recipe=recipe)
    # A picture of a part of the results does not take the place of the whole one.
    choice = [*methods, *sets, *([recipe] if recipe else [])]
    if RANKS in kinds:
        in_dists = list(dict.fromkeys(record.benchmark["name"] for record in records))
        one = len(in_dists) == 1
        # All benchmarks are drawn together, and where some were named the file says which.
        which = in_dists if benchmarks and not (one and out is None) else []
        words = [RANKS, *which, *([] if metric == "auroc" else [metric]), *choice]
        folder = out or (store.root / in_dists[0] if one else store.root)
        _save(draw_ranks(rank_records(records, metric=metric)), folder / f"{'-'.join(words)}.{format_}")
    if {*kinds} == {RANKS}:
        return
    drawn = [record for record in records if record.seed == seed]
    if not drawn:
        raise StoreError(f"no stored result has seed {seed}; there are: {sorted({record.seed for record in records})}")
    choice += [f"seed{seed}"] if seed else []
    for name in dict.fromkeys(record.benchmark["name"] for record in drawn):
        stored = [record for record in drawn if record.benchmark["name"] == name]
        if animate:
            moves = [EMBEDDINGS, "epochs"] if epochs else [EMBEDDINGS]
            file = (out or store.root / name) / f"{'-'.join((*moves, *choice))}.{format_}"
            _animate(store, stored, sets, file, epochs=epochs)
            continue
        results = [(_with_sets(record, sets), store.scores(record)) for record in stored]
        for record, scores in results if NEAREST in kinds else ():
            words = [NEAREST, record.variant, *([recipe] if recipe else []), *([f"seed{seed}"] if seed else [])]
            file = (out or store.root / name) / f"{'-'.join(words)}.{format_}"
            at = places if id_path is None else {**places, **_id_places(record, id_path)}
            _save(_nearest(record, scores, data_dir, cache_dir, at), file)
        for kind in [kind for kind in kinds if kind not in (RANKS, NEAREST)] or (() if kinds else KINDS):
            figures = [_split(results[0][0], data_dir)] if kind == SPLIT else _drawn(kind, results, records, spread)
            for page, figure in enumerate(figures, start=1):
                words = [kind, *choice, *([f"page{page}"] if len(figures) > 1 else [])]
                _save(figure, (out or store.root / name) / f"{'-'.join(words)}.{format_}")


def _drawn(
    kind: str, results: Sequence[tuple[Record, Scores]], records: Sequence[Record], spread: str
) -> Sequence[Figure]:
    """Draw one kind; ROC curves know the records of all seeds."""
    from oodbench.figures import draw_pages, draw_roc

    if kind == ROC:
        return [draw_roc(results, spread=spread, records=records)]  # type: ignore[arg-type]  # it was checked
    return draw_pages(kind, results)


def _checked(
    kinds: tuple[str, ...], format_: str | None, spread: str, *, animate: bool, epochs: bool
) -> tuple[tuple[str, ...], str]:
    """Return the kinds of pictures and the file format that are asked for; refuse what does not go together."""
    from oodbench.errors import ConfigError
    from oodbench.figures import KINDS
    from oodbench.figures.roc import DEVIATION, INTERVAL
    from oodbench.store.selection import check_choice

    check_choice(spread, (DEVIATION, INTERVAL), "spread")
    for kind in kinds:
        check_choice(kind, (*KINDS, RANKS, SPLIT, NEAREST), "kind of picture")
    kinds = kinds or ((EMBEDDINGS,) if animate else ())
    if epochs and not animate:
        raise ConfigError("--epochs is for embeddings that move; add --animate")
    if animate and {*kinds} != {EMBEDDINGS}:
        raise ConfigError(f"only embeddings can be animated: oodbench plot {EMBEDDINGS} --animate")
    format_ = format_ or ("gif" if animate else "png")
    check_choice(format_, ("gif", "mp4") if animate else ("png", "pdf", "svg"), "file format")
    return kinds, format_


def _with_sets(record: Record, sets: Sequence[str]) -> Record:
    """Return a record with these of its OOD sets; all where none are named."""
    from dataclasses import replace

    from oodbench.errors import UnknownName, did_you_mean

    names = [row.out_dist for row in record.rows]
    # A set in the place of another has the name of both.
    called = {name: {name, name.partition(" (for ")[0]} for name in names}
    if unknown := [name for name in sets if not any(name in both for both in called.values())]:
        raise UnknownName(f"no OOD set {unknown[0]!r} in {record.benchmark['name']}{did_you_mean(unknown[0], names)}")
    return replace(record, rows=tuple(row for row in record.rows if called[row.out_dist] & {*sets})) if sets else record


def _animate(store: ResultStore, records: Sequence[Record], sets: Sequence[str], file: Path, *, epochs: bool) -> None:
    """Write embeddings that turn, or that are learnt, as the ending of the file says."""
    from functools import partial

    from oodbench.errors import StoreError
    from oodbench.figures.animation import REST, as_gif, as_mp4, learning, turning
    from oodbench.store.atomic import write_atomic
    from oodbench.store.snapshots import load_snapshots
    from oodbench.store.space import reason

    from .terminal import show

    # Scores are found by the whole record.
    found = [(_with_sets(record, sets), store.scores(record)) for record in records]
    if epochs:
        kept = [load_snapshots(store, record) for record in records]
        _tell_missing(found, kept)
        draw: Any = partial(learning, [(*one, snapshots) for one, snapshots in zip(found, kept, strict=True)])
    else:
        draw = partial(turning, found)
    try:
        write_atomic(file, as_gif(draw, rest=REST if epochs else 0) if file.suffix == ".gif" else as_mp4(draw))
    except OSError as error:
        raise StoreError(f"cannot write {file} ({reason(error)}); name another folder: --out") from error
    show(str(file))


def _tell_missing(found: Sequence[tuple[Record, Scores]], kept: Sequence[Snapshots]) -> None:
    """Say of which OOD sets there are no snapshots."""
    from .terminal import stderr

    lost = dict.fromkeys(
        row.out_dist
        for (record, _), snapshots in zip(found, kept, strict=True)
        for row in record.rows
        if row.out_dist not in snapshots.ood
    )
    if lost:
        stderr().print(f"left out, since there are no snapshots of it: {', '.join(lost)}")


def _save(figure: Figure, file: Path) -> None:
    from oodbench.errors import StoreError
    from oodbench.store.atomic import file_atomic
    from oodbench.store.space import reason

    from .terminal import show

    try:
        with file_atomic(file) as opened:
            figure.savefig(opened, dpi=120, format=file.suffix[1:])
    except OSError as error:
        raise StoreError(f"cannot write {file} ({reason(error)}); name another folder: --out") from error
    show(str(file))


def _split(record: Record, data_dir: Path | None) -> Figure:
    from oodbench.benchmark import Part
    from oodbench.data.parts import load_part
    from oodbench.engine.naming import GivenImages
    from oodbench.errors import StoreError
    from oodbench.figures import draw_split
    from oodbench.images import Conversion
    from oodbench.store.workspace import Workspace

    if record.split is None:
        raise StoreError(f"{record.benchmark['name']} has no split of classes to draw; run one: --split 50/20/30")
    part = Part(split="train", **GivenImages().images(record.split["dataset"]))  # type: ignore[arg-type]
    # Large enough to be told apart by eye, whatever the network saw.
    conversion = Conversion(size=(48, 48), channels=3)
    return draw_split(record.split, load_part(part, conversion, Workspace.of(data_dir, skip_damaged=True)))


def _places(sets: Sequence[str]) -> dict[str, str]:
    """Return the paths among names of sets, by the name that each set has."""
    from oodbench.folders import is_path, place

    return {place(path)[0]: path for path in sets if is_path(path)}


def _id_places(record: Record, path: str) -> dict[str, str]:
    """Return the path of the ID images by the names that a record may call them: of the benchmark, or of a split."""
    from oodbench.contamination import Contamination

    name = record.benchmark["name"]
    if record.contamination:
        facts = record.contamination
        mixed = Contamination.parsed(f"{facts['share']:g}:{facts['set']}", str(facts["labels"]))
        name = name.removesuffix(mixed.suffix)
    return {name: path} if record.split is None else {str(record.split["dataset"]): path}


def _nearest(
    record: Record, scores: Scores, data_dir: Path | None, cache_dir: Path | None, places: Mapping[str, str]
) -> Figure:
    from oodbench.engine.backtrack import backtrack
    from oodbench.figures import draw_nearest
    from oodbench.store.workspace import Workspace

    found = backtrack(record, scores, Workspace.of(data_dir, cache_dir, skip_damaged=True), places)
    return draw_nearest(record, found.sets, found.space)
