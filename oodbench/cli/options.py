"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

FILES = "oodbench.plugin_files"
"""Where click's context keeps the files of `--plugin`."""


def results_dir(command: F) -> F:
    """Add `--results-dir`."""
    return click.option(
        "--results-dir",
        type=click.Path(path_type=Path),
        default=Path("results"),
        show_default=True,
        help="Folder of the result records.",
    )(command)


def data_dir(command: F) -> F:
    """Add `--data-dir`."""
    return click.option(
        "--data-dir",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="OODBENCH_DATA",
        show_envvar=True,
        help="Folder where images are looked for.  [default: data]",
    )(command)


def device(command: F) -> F:
    """Add `--device`."""
    return click.option(
        "--device",
        default="auto",
        show_default=True,
        metavar="[auto|cpu|cuda|…]",
        help="Where to compute; auto takes a GPU. A run uses several at once, such as cuda:0,cuda:1.",
    )(command)


def benchmarks(text: str) -> Callable[[F], F]:
    """Add `--in`, which can be repeated."""
    return click.option("--in", "benchmarks", multiple=True, metavar="NAME", help=text)


def plugin(command: F) -> F:
    """Add `--plugin`, which can be repeated; a file that cannot be used ends the command."""
    return _plugin(command, _add_and_load)


def plugin_to_list(command: F) -> F:
    """Add `--plugin`, which can be repeated; a file that cannot be used is listed among what cannot be used."""
    return _plugin(command, _add)


def _plugin(command: F, callback: Callable[..., None]) -> F:
    return click.option(
        "--plugin",
        multiple=True,
        metavar="FILE",
        type=click.Path(path_type=Path),
        callback=callback,
        expose_value=False,
        help="Take what this Python file brings as well, as OODBENCH_PLUGINS does; can be repeated.",
    )(command)


def _add(context: click.Context, _: click.Parameter, files: tuple[Path, ...]) -> None:
    from oodbench.plugins import registry

    context.meta[FILES] = files
    for file in files:
        registry.add_file(file)


def _add_and_load(context: click.Context, _: click.Parameter, files: tuple[Path, ...]) -> None:
    from oodbench.plugins import registry

    _add(context, _, files)
    for file in files:
        registry.in_file(file)


def methods(text: str) -> Callable[[F], F]:
    """Add `--method`, which can be repeated."""
    return click.option("--method", "methods", multiple=True, metavar="NAME", help=text)


def own_images(command: F) -> F:
    """Add what makes a benchmark of a user's own images: `--split`, `--split-seed`, `--image-size`, `--channels`."""
    for option in (
        click.option("--channels", type=int, metavar="[1|3]", help="Grey or RGB, for your own images.  [default: 3]"),
        click.option(
            "--image-size",
            metavar="SIZE",
            help="What your own images are brought to, such as 64 or 48x64 (height, width).  [default: 32]",
        ),
        click.option("--split-seeds", type=int, metavar="N", help="A suite of N random splits, with the seeds 0, 1, …"),
        click.option("--split-seed", type=int, help="Seed of the random split.  [default: 0]"),
        click.option(
            "--split",
            metavar="ID/SEEN/UNSEEN",
            help="Divide the classes of a labelled set into known, seen and unseen ones: shares such as 50/20/30, or "
            "a TOML file.",
        ),
    ):
        command = option(command)
    return command


def own_model(command: F) -> F:
    """Add what describes a trained classifier of a user's own: `--model` and what belongs to it."""
    for option in (
        click.option("--features", metavar="LAYER", help="Layer that gives the logits.  [default: the last linear]"),
        click.option(
            "--class-names",
            metavar="NAME,NAME,…|FILE",
            help="What its outputs stand for, in order; in a file, a name a line.  [default: the classes of --in]",
        ),
        click.option(
            "--normalise",
            metavar="[none|imagenet|MEAN/STD]",
            help="What the model was trained with, for images in [0, 1], such as 0.5,0.5,0.5/0.25,0.25,0.25.",
        ),
        click.option(
            "--weights", type=click.Path(path_type=Path), metavar="FILE", help="Its weights, as torch.save wrote them."
        ),
        click.option(
            "--model",
            metavar="MODULE:FUNCTION",
            help="Score a trained classifier of your own, made by a function, such as my_module:build or "
            "'torchvision.models:resnet18(num_classes=10)'.",
        ),
    ):
        command = option(command)
    return command
