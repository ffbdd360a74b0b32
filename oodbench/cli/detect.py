"""`oodbench detect`: new images through a stored detector."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oodbench.spelling import for_csv, for_json, on_one_line

from . import options

if TYPE_CHECKING:
    from oodbench.detector import Detection, Detector
    from oodbench.errors import DataError

VERDICTS = {True: "in", False: "out"}


@click.command("detect")
@click.argument(
    "images", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True), metavar="IMAGE_OR_FOLDER..."
)
@click.option(
    "--from",
    "place",
    required=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A .detector file, the record (.json) beside it, or a folder with one detector.",
)
@click.option(
    "--tpr",
    type=float,
    default=0.95,
    show_default=True,
    help="Share of in-distribution images that the threshold is to accept, in (0, 1].",
)
@click.option(
    "--format",
    "format_",
    default="text",
    show_default=True,
    metavar="[text|csv|json]",
    help="How each line is written; json is one object a line.",
)
@options.device
@options.plugin
def command(images: tuple[Path, ...], place: Path, tpr: float, format_: str, device: str) -> None:
    """Score new images with a detector that `oodbench run --save-detectors` stored, one line an image.

    A line says whether the image is in- or out-of-distribution (in, out), the class it looks most like, its score
    (higher is more in-distribution), and its name. Images of folders below a folder count as well.

    Loading a detector runs code that its file names: take only files of people whom you trust.

    \b
    oodbench run --method msp --save-detectors
    oodbench detect --from results/digits photo.png
    oodbench detect --from results/digits/msp-1a2b3c4d-seed0.detector --tpr 0.99 --format csv photos/ > found.csv
    """
    from oodbench.store.selection import check_choice

    from .run import counted

    check_choice(format_, _WRITERS, "output format")

    from oodbench.detector import Detector
    from oodbench.detector_file import find_detector
    from oodbench.errors import DataError

    from .terminal import stderr

    detector = Detector.load(find_detector(place), device)
    stderr().print(
        f"{detector.method} of {detector.in_dist}: in-distribution from a score of {detector.threshold(tpr):.6g} up, "
        f"which accepts {100 * tpr:g}% of the ID test images"
    )
    broken = []

    def unreadable(error: DataError) -> None:
        stderr().print(str(error))
        broken.append(error)

    write = _WRITERS[format_](detector)
    for detection in detector.stream(images, tpr, unreadable=unreadable, passed_over=stderr().print):
        write(detection)
    if broken:
        named = "it is" if len(broken) == 1 else "they are"
        raise DataError(f"{counted(len(broken), 'image')} could not be scored; {named} named above")


def _as_text(detector: Detector) -> Callable[[Detection], None]:
    width = max(len(on_one_line(name)) for name in detector.class_names)

    def write(found: Detection) -> None:
        name = "-" if found.class_name is None else on_one_line(found.class_name)
        source = on_one_line(found.source)
        click.echo(f"{VERDICTS[found.is_in_distribution]:3}  {name:{width}}  {found.score:12.6g}  {source}")

    return write


def _as_csv(_: Detector) -> Callable[[Detection], None]:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("source", "class", "score", "verdict"))

    def write(found: Detection) -> None:
        verdict = VERDICTS[found.is_in_distribution]
        writer.writerow((for_csv(found.source), for_csv(found.class_name or ""), repr(found.score), verdict))

    return write


def _as_json(_: Detector) -> Callable[[Detection], None]:
    def write(found: Detection) -> None:
        verdict = VERDICTS[found.is_in_distribution]
        line = {"source": found.source, "class": found.class_name, "score": found.score, "verdict": verdict}
        click.echo(for_json(json.dumps(line, ensure_ascii=False)))

    return write


_WRITERS = {"text": _as_text, "csv": _as_csv, "json": _as_json}
