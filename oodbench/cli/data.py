"""`oodbench data`: where images are looked for, what is there, and how to get the rest."""

from __future__ import annotations

from collections.abc import Sized
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options

if TYPE_CHECKING:
    from oodbench.api import Dataset, Location


@click.command("data")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--download", is_flag=True, help="Download the named data sets (or all that may be) where they are missing."
)
@click.option("--prepare", is_flag=True, help="Work up the published files of the named data sets, where they need it.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME.SETTING=VALUE",
    help="Change a setting of a data set; can be repeated.",
)
@options.data_dir
def command(
    names: tuple[str, ...], download: bool, prepare: bool, settings: tuple[str, ...], data_dir: Path | None
) -> None:
    """Show where each data set is looked for, what is there, and how to get the others.

    NAME is a data set, or a folder or ZIP of your own images: in the data folder, or anywhere as a path (./photos). Of
    these it shows the classes as well, with their counts.

    \b
    oodbench data
    oodbench data --download mnist
    oodbench data --prepare tsinghua
    """
    from oodbench.errors import DataError, UnknownName
    from oodbench.files import printable
    from oodbench.folders import default_data_dir, place
    from oodbench.plugins import registry
    from oodbench.settings import parse_settings

    from .terminal import stderr

    if prepare and not names:
        raise click.UsageError("--prepare needs a name: oodbench data --prepare NAME")
    given = parse_settings(settings)
    if strangers := [owner for owner in given if owner not in names]:
        raise UnknownName(
            f"--set {strangers[0]}.… is for no data set of this command; name it: oodbench data {strangers[0]}"
        )
    chosen = data_dir or default_data_dir()
    unread = []
    for name in names or [name for name in registry.usable("datasets") if name != registry.FOLDER]:
        dataset = registry.dataset(place(name)[1], dict(given.get(name, {})))
        if prepare:
            _prepare(name, dataset, chosen)
        if download and not all(location.present for location in _locations(dataset, chosen).values()):
            _download(name, dataset, chosen, named=bool(names))
        if not _show(name, dataset, chosen):
            unread.append(printable(name))
    stderr().print(f"\nImages are looked for in {chosen.absolute()} (--data-dir or OODBENCH_DATA).")
    if unread:
        raise DataError(f"{', '.join(unread)} cannot be read; what is wrong stands above")


def _locations(dataset: Dataset, data_dir: Path) -> dict[str, Location]:
    return {split: dataset.locate(split, data_dir) for split in ("train", "test")}


def _prepare(name: str, dataset: Dataset, data_dir: Path) -> None:
    from oodbench.api import Preparable
    from oodbench.errors import DataError

    from .terminal import TerminalReporter

    if not isinstance(dataset, Preparable):
        raise DataError(f"{name} needs no preparation: it is read as it is published")
    with TerminalReporter() as report:
        dataset.prepare(data_dir, report)


def _download(name: str, dataset: Dataset, data_dir: Path, *, named: bool) -> None:
    from oodbench.errors import DataError

    from .terminal import stderr

    if dataset.downloadable:
        stderr().print(f"downloading {name} to {data_dir.absolute()}")
        dataset.download(data_dir)
    elif named:
        raise DataError(f"{name} cannot be downloaded. {dataset.how_to_get}")


def _classes(dataset: Dataset, split: str, data_dir: Path) -> list[str]:
    """Return what a folder of images holds, in lines; nothing is decoded."""
    from oodbench.images import Conversion, described

    raw = dataset.read(split, data_dir, Conversion())
    assert isinstance(raw.images, Sized)  # a folder's are counted
    return [described("", raw.labels, raw.class_names, len(raw.images)).removeprefix(": "), *raw.notes]


def _show(name: str, dataset: Dataset, data_dir: Path) -> bool:
    """Show where a data set is; return whether it can be read as far as one sees."""
    from oodbench.data.parts import missing_message
    from oodbench.errors import DataError, MissingData, UnknownName, did_you_mean
    from oodbench.files import printable
    from oodbench.folders import is_path, place
    from oodbench.plugins import registry

    from .terminal import show

    locations, wrong = _locations(dataset, data_dir), False
    known = registry.names("datasets")
    if registry.spelled("datasets", name) not in known and not any(each.present for each in locations.values()):
        if is_path(name):
            raise MissingData(missing_message(place(name)[1], "test", dataset, locations["test"]))
        places = " or ".join(dict.fromkeys(printable(str(at)) for each in locations.values() for at in each.looked_for))
        near = did_you_mean(name, known) if get_close_matches(name, known) else ""
        raise UnknownName(f"nothing is there for {name!r}: looked for {places}{near}")
    show(f"{printable(name)}: {dataset.title}")
    is_folder = isinstance(dataset, registry.load("datasets", registry.FOLDER))
    for split, location in locations.items():
        if location.present:
            files = ", ".join(printable(str(file)) for file in location.files)
            show(f"  {split:5}  there    {files or 'comes with the installation'}")
            try:
                lines = _classes(dataset, split, data_dir) if is_folder else []
            except DataError as error:
                lines, wrong = [str(error)], True
            for line in lines:
                show(f"                  {line}")
        else:
            places = "\n                  or ".join(printable(str(place)) for place in location.looked_for)
            show(f"  {split:5}  missing  {places}")
    if dataset.how_to_get and not all(location.present for location in locations.values()):
        show(f"  how to get it: {dataset.how_to_get}")
    return not wrong
