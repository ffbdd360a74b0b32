"""From stored results to one HTML file."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oodbench import __version__
from oodbench.errors import ConfigError, StoreError
from oodbench.progress import SILENT, Reporter
from oodbench.store.atomic import write_atomic
from oodbench.store.selection import select_from
from oodbench.store.workspace import Workspace

from .chapter import Chapter, Stored, chapters
from .clouds import clouds
from .curves import GRID, curves
from .facts import commands, costs, networks, summary
from .gallery import Budget, Gallery, Picture, class_pictures, galleries
from .material import ID, Images, registered
from .matrix import MEAN, matrices, notes, shared_sets

if TYPE_CHECKING:
    from oodbench.comparison.claims import Verdict
    from oodbench.store.records import Record
    from oodbench.tables import Table

GROUNDS = ("#ffffff", "#14181d")
"""Of the page, light and dark, as in page.css."""
EXTRA = "pip install 'oodbench[report]'"


@dataclass(frozen=True, kw_only=True)
class _Set:
    """An OOD set, or the ID test set, with how many images it has."""

    name: str
    role: str
    count: str
    pictures: Sequence[Picture]
    why: str


def make_report(
    results_dir: str | Path | Sequence[str | Path] = "results",
    out: str | Path = "report.html",
    *,
    benchmarks: str | Sequence[str] = (),
    methods: str | Sequence[str] = (),
    recipe: str | None = None,
    seed: int = 0,
    data_dir: str | Path | None = None,
    cache_dir: str | Path | None = None,
    images: bool = True,
    report: Reporter = SILENT,
) -> Path:
    """Write a page of stored results that opens offline: tables, curves, embeddings, images, cost, verdicts on claims.

    Args:
        results_dir: where records are kept, or several such folders.
        out: the file to write.
        benchmarks: names; all where there are none.
        methods: names, or variants such as "odm (margin=5)"; all where there are none.
        recipe: name of a training recipe; all where it is None.
        seed: that curves, embeddings and images are of; tables are over all seeds.
        data_dir: where images are looked for; default `OODBENCH_DATA`, or `data` in the working folder.
        cache_dir: where decoded images are kept; default `OODBENCH_CACHE`, or the user's cache folder.
        images: whether to look for images at all.
        report: told what is going on.

    Returns:
        The file.

    Raises:
        ConfigError: Plotly or Jinja2 is not installed.
        StoreError: there are no such results, scores are damaged, or the file cannot be written.
        UnknownName: no result has such a benchmark, method or recipe.
    """
    _check_installed()
    folders = [results_dir] if isinstance(results_dir, str | Path) else list(results_dir)
    found = select_from(
        [Path(folder) for folder in folders],
        benchmarks=_several(benchmarks),
        methods=_several(methods),
        recipe=recipe,
    )
    workspace = Workspace.of(data_dir, cache_dir, report, skip_damaged=True)
    html = render(found, workspace=workspace, seed=seed, images=images)
    path = Path(out)
    try:
        write_atomic(path, html.encode())
    except OSError as error:
        raise StoreError(f"cannot write {path} ({error.strerror or error}); name another file: --output") from error
    return path


def _several(names: str | Sequence[str]) -> Sequence[str]:
    return [names] if isinstance(names, str) else names


def _check_installed() -> None:
    try:
        import jinja2  # noqa: F401
        import plotly  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"a report needs {error.name}, which is not installed; run: {EXTRA}") from error


def render(stored: Stored, *, workspace: Workspace, seed: int = 0, images: bool = True) -> str:
    """Return the page of records as HTML.

    Args:
        stored: stores with the records that are wanted.
        workspace: where images are looked for; it is told what is going on.
        seed: that pictures are of.
        images: whether to look for images at all.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    budget = Budget()
    parts = []
    data = []
    for chapter in chapters(stored, seed=seed):
        workspace.report.message(f"report: {chapter.name}")
        part, drawn = _part_of_page(chapter, workspace, budget, images=images)
        parts.append(part)
        data.append(drawn)
    environment = Environment(
        loader=PackageLoader("oodbench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = ", ".join(part["name"] for part in parts)
    return environment.get_template("page.html.jinja").render(
        title=f"Out-of-distribution detection: {names}",
        version=__version__,
        seed=seed,
        chapters=parts,
        suites=_suites(stored),
        grid=len(GRID),
        at=GRID.index(0.95),
        plotly=_script(get_plotlyjs()),
        data=_json({"grid": GRID, "chapters": data}),
        again=shlex.join(["oodbench", "report", *(word for part in parts for word in ("--in", part["own_name"]))]),
    )


def _suites(stored: Stored) -> Table | None:
    """Return the means over the members of suites, where there are any."""
    from oodbench.store.rows import to_frame
    from oodbench.tables import layout_table

    members = [record for _, records in stored for record in records if record.suite]
    return layout_table(to_frame(members), "suite") if members else None


def _part_of_page(
    chapter: Chapter, workspace: Workspace, budget: Budget, *, images: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the template says of a chapter, and the numbers that its plots are drawn from."""
    tables = matrices(chapter, _as_good(chapter))
    found = _images(chapter, workspace) if images else {}
    shown, left_out = galleries(chapter, found, budget) if images else ([], [])
    spent = costs(chapter)
    drawn = clouds(chapter)
    part = {
        "name": chapter.name,
        "own_name": chapter.records[0].benchmark["name"],
        "summary": summary(chapter),
        "commands": commands(chapter),
        "sets": chapter.sets,
        "methods": chapter.methods,
        "data": _sets(chapter, found, budget),
        "split": chapter.records[0].split,
        "networks": networks(chapter),
        "tables": tables,
        "notes": notes(chapter),
        "clouds": drawn,
        "galleries": shown,
        "left_out": left_out,
        "why": _why(shown, asked=images),
        "costs": spent,
        "verdicts": verdicts(chapter),
    }
    return part, {
        "methods": chapter.methods,
        "sets": [*chapter.sets],
        "classes": [str(name) for name in chapter.records[0].class_names],
        "colours": _colours(chapter),
        "curves": curves(chapter),
        "clouds": drawn,
        "metrics": [
            {"label": table.label, "percent": table.percent, "up": table.higher_is_better, "values": table.values}
            for table in tables
        ],
        "costs": [cost.seconds for cost in spent],
    }


def _as_good(chapter: Chapter) -> dict[str, tuple[str, ...]]:
    """Return the methods that cannot be told from the best by their AUROC: of each set, and in the mean by `MEAN`."""
    from oodbench.comparison.mean_auroc import best_aurocs

    sets = {name: (name,) for name in chapter.sets}
    shared = shared_sets(chapter, "auroc")
    found = best_aurocs(chapter.all_scores(), {**sets, **({MEAN: shared} if shared else {})})
    return {name: (*(one for one in best.as_good if one != best.name),) for name, best in found.items()}


def verdicts(chapter: Chapter) -> list[tuple[str, Verdict]]:
    """Return whether the claims of the benchmark hold, where it is registered and has some.

    Args:
        chapter: the results; where there are several recipes, each claim is judged by those that can test it.

    Returns:
        Recipes, "" where there is one, with verdicts.
    """
    from oodbench.comparison.claims import judge

    benchmark = registered(chapter.records[0])
    claims = () if benchmark is None else benchmark.claims
    if not claims:
        return []
    by_recipe = chapter.by_recipe()
    judged = [
        (recipe if len(by_recipe) > 1 else "", judge(claim, results))
        for claim in claims
        for recipe, results in by_recipe.items()
    ]
    return [entry for entry in judged if not entry[0] or entry[1].answer != "not tested"]


def _images(chapter: Chapter, workspace: Workspace) -> dict[str, Images]:
    """Return where the images of each method are found; methods that were tested on the same ones share them."""
    shared: dict[object, Images] = {}

    def of(record: Record) -> Images:
        key = (record.fingerprints.get("id_test"), *((row.out_dist, row.fingerprint) for row in record.rows))
        return shared.setdefault(key, Images(record=record, workspace=workspace))

    return {method: of(chapter.shown[method].record) for method in chapter.methods}


def _sets(chapter: Chapter, images: Mapping[str, Images], budget: Budget) -> list[_Set]:
    """Return the ID test set and the OOD sets, with an image of each class where there is room."""
    first = chapter.shown[chapter.methods[0]]
    found = images.get(chapter.methods[0])
    sets = [("ID test images", "in-distribution", ID, f"{first.record.n_id:,}")]
    counts = {row.out_dist: row.n_ood for row in first.record.rows}
    for name, role in chapter.sets.items():
        own = first.sets.get(name)
        sets.append((name, role, own or name, f"{counts[own]:,}" if own else "no data"))
    rows = []
    for name, role, own, count in sets:
        pixels = found.of(own) if found and count != "no data" else None
        pictures = class_pictures(pixels, name) if pixels is not None else []
        fits = budget.take(pictures)
        why = "no room for more images" if not fits else found.why.get(own, "") if found else ""
        rows.append(_Set(name=name, role=role, count=count, pictures=pictures if fits else [], why=why))
    return rows


def _why(shown: Sequence[Gallery], *, asked: bool) -> str:
    """Say why there are no images at all; "" where there are some."""
    if not asked:
        return "images were not asked for"
    if any(gallery.refused or gallery.sets for gallery in shown):
        return ""
    reasons = [reason for gallery in shown for reason in gallery.why.values()]
    return "; ".join(dict.fromkeys(reasons)) or "no room for images"


def _colours(chapter: Chapter) -> dict[str, Any]:
    """Return colours on a light and on a dark ground, each as a pair."""
    from oodbench.figures.colours import ID_COLOURS, ood_colours, readable
    from oodbench.figures.roc import COLOURS

    def pairs(colours: Sequence[str]) -> list[list[str]]:
        return [[readable(colour, ground) for ground in GROUNDS] for colour in colours]

    return {
        "classes": pairs(ID_COLOURS),
        "sets": pairs([*ood_colours(dict(chapter.sets)).values()]),
        "methods": pairs(COLOURS),
    }


def _json(value: Any) -> str:
    """Return JSON that may stand in a page: what could end a script or a comment is written as an escape."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=list)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _script(code: str) -> str:
    """Return JavaScript that may stand in a page: strings in it do not end the script."""
    return code.replace("</script", "<\\/script").replace("<!--", "<\\!--")
