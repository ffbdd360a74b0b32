"""`oodbench data`: where images are looked for, what is there, and how to get the rest."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

import click

from . import options


@click.command("data")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--download", is_flag=True, help="Download the named data sets (or all that may be) where they are missing."
)
@options.data_dir
def command(names: tuple[str, ...], download: bool, data_dir: Path | None) -> None:
    """Show where each data set is looked for, what is there, and how to get the others.

    NAME is a data set, or a folder or ZIP of your own images in the data folder.

    \b
    oodbench data
    oodbench data --download mnist
    """
    from oodbench import registry
    from oodbench.data import default_data_dir
    from oodbench.errors import DataError, UnknownName

    from .terminal import show, stderr

    chosen = data_dir or default_data_dir()
    wanted = names or [name for name in registry.names("datasets") if name != registry.FOLDER]
    for name in wanted:
        dataset = registry.dataset(name)
        splits = {split: dataset.locate(split, chosen) for split in ("train", "test")}
        if download and not all(location.present for location in splits.values()):
            if dataset.downloadable:
                stderr().print(f"downloading {name} to {chosen.absolute()}")
                dataset.download(chosen)
                splits = {split: dataset.locate(split, chosen) for split in ("train", "test")}
            elif names:
                raise DataError(f"{name} cannot be downloaded. {dataset.how_to_get}")
        near = get_close_matches(name, registry.names("datasets"))
        if near and name not in near and not any(location.present for location in splits.values()):
            raise UnknownName(f"nothing is there for {name!r}{registry.did_you_mean(name, registry.names('datasets'))}")
        show(f"{name}: {dataset.title}")
        for split, location in splits.items():
            if location.present:
                files = ", ".join(str(file) for file in location.files)
                show(f"  {split:5}  there    {files or 'comes with the installation'}")
            else:
                places = "\n                  or ".join(str(place) for place in location.looked_for)
                show(f"  {split:5}  missing  {places}")
        if dataset.how_to_get and not all(location.present for location in splits.values()):
            show(f"  how to get it: {dataset.how_to_get}")
    stderr().print(f"\nImages are looked for in {chosen.absolute()} (--data-dir or OODBENCH_DATA).")
