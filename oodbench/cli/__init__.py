"""The command line. Commands are imported when they are called, so that help answers at once."""

from __future__ import annotations

import os
import re
import signal
import sys
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

import click

from oodbench import __version__
from oodbench.errors import TRACEBACK, OodbenchError, did_you_mean
from oodbench.spelling import for_terminal
from oodbench.stopping import StoppingInOrder

from .streams import Unwritable, give_up_output, guarded_output

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
    "cache": "Show what is kept for later runs, how large and how old it is; remove what may go.",
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
        for i, word in enumerate(args):
            if word == "" or re.fullmatch(r"--[\w-]+=", word):
                of = word.rstrip("=") or (args[i - 1] if args[i - 1].startswith("-") else "an argument")
                raise click.UsageError(f"{of} is empty; give a value, or leave it out", ctx)
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
    with StoppingInOrder():
        try:
            with guarded_output():
                code = _run()
        except Unwritable as error:
            code = _unwritten(error)
        except KeyboardInterrupt as error:
            _stop(getattr(error, "number", signal.SIGINT))
    sys.exit(code)


def _run() -> int:
    """Run a command, and return its exit code."""
    try:
        cli(prog_name="oodbench", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help())
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.Abort as error:
        # click's word for both of them.
        raise error.__cause__ or KeyboardInterrupt from None
    except click.ClickException as error:
        error.show()
        return 2
    except OodbenchError as error:
        if os.environ.get(TRACEBACK):
            raise
        click.echo(f"Error: {for_terminal(str(error))}", err=True)
        return 2
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 0 if error.code is None else 2
    return 0


def _unwritten(error: Unwritable) -> int:
    """Return the exit code where the output cannot be written."""
    give_up_output()
    # The reader, such as `head`, has seen enough.
    if error.closed:
        return 0
    with suppress(OSError):
        click.echo(f"Error: cannot write the output ({error.reason}); free space, or write it elsewhere", err=True)
    return 2


def _stop(number: int) -> NoReturn:
    """Say that the program was stopped, and end it with the exit code that shells give."""
    by = "" if number == signal.SIGINT else f" by {signal.Signals(number).name}"
    with suppress(OSError):
        # One write: nothing that is half done stands in its way.
        text = f"Stopped{by}. Everything that was finished is stored: the same command goes on from there.\n"
        os.write(2, text.encode())
    give_up_output()
    # Python would end by the signal, with another exit code, where it struck inside of exec(): an import, say.
    os._exit(128 + number)
