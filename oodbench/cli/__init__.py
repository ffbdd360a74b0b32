"""The command line. Commands are imported when they are called, so that help answers at once."""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module
from typing import NoReturn

import click

from oodbench import __version__
from oodbench.errors import TRACEBACK, OodbenchError, did_you_mean

# In the order of the help text: what it does, and the module where the command lives.
_COMMANDS = {
    "run": "Train networks, score OOD sets with every method, print the table.",
    "list": "List methods, benchmarks and data sets.",
    "table": "Print a table of stored results.",
    "plot": "Draw embeddings, score histograms, ROC curves and mean ranks of stored results.",
    "report": "Write stored results as one page (HTML) that opens offline.",
    "compare": "Say whether one of two methods, recipes or results folders is better, or only luckier.",
    "detect": "Score new images with a stored detector: class, score, in- or out-of-distribution.",
    "data": "Show where images are looked for; download what may be downloaded.",
    "check": "Check that a plugin keeps the contract.",
    "new": "Write a small package with a method, data set or benchmark of your own.",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        # Not list(): once its command is imported, that name in this package is the module `list`.
        return [*_COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f".{cmd_name}", __name__).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in _COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"no command {args[0]!r}{did_you_mean(args[0], _COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # click would import every command for its short help.
        with formatter.section("Commands"):
            formatter.write_dl([*_COMMANDS.items()])


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="oodbench")
def cli() -> None:
    """Compare out-of-distribution detection methods for image classifiers.

    \b
    oodbench run                                     the embedded benchmark, no download
    oodbench run --method odm --in mnist-267         one method on one benchmark
    oodbench table --format latex                    the stored results, for a paper
    """


def main() -> NoReturn:
    """Run the command line; errors that a user can mend are one sentence and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        # Where the output cannot hold an arrow or a ±, a question mark is better than no table.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        cli(prog_name="oodbench", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help())
        sys.exit(0)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except OodbenchError as error:
        if os.environ.get(TRACEBACK):
            raise
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped. Everything that was finished is stored: the same command goes on from there.", err=True)
        # Python would end by the signal, with another exit code, where it struck inside of exec(): an import, say.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(130)
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough; nothing may be written to it at exit either.
        sys.stdout = open("/dev/null", "w")  # noqa: SIM115, PTH123
        sys.exit(0)
    sys.exit(0)
