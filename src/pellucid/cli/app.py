"""The entry point: prepares the process, runs a command, and turns every error into an exit status.

0 all went well, 1 a bug, 2 misuse, 3 bad input data, 130 interrupted.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from pellucid._version import __version__
from pellucid.cli import console, process
from pellucid.cli.atlas import atlas
from pellucid.cli.camify import camify
from pellucid.cli.compare import compare
from pellucid.cli.dissect import dissect
from pellucid.cli.doctor import doctor
from pellucid.cli.dream import dream, sheet
from pellucid.cli.explain import explain
from pellucid.cli.flags import Invocation
from pellucid.cli.fool import fool
from pellucid.cli.inspect import inspect
from pellucid.cli.layers import layers
from pellucid.cli.locate import locate
from pellucid.cli.look import look
from pellucid.cli.methods import methods, metrics
from pellucid.cli.models import models
from pellucid.cli.read import read
from pellucid.cli.samples import samples
from pellucid.cli.spectrum import spectrum
from pellucid.cli.top import top
from pellucid.cli.train import train
from pellucid.errors import Cancelled, PellucidError, Unexpected, said, unknown


class Program(click.Group):
    """The group of all commands; an unknown one is answered with near names."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that `args` begin with."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            raise unknown("command", args[0], self.commands, f"Commands: {', '.join(self.commands)}.")
        return super().resolve_command(ctx, args)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="pellucid")
def program() -> None:
    """See through neural networks: what in a picture made the model say that?

    Start with: pellucid explain sample:cat
    """


for each in (
    explain,
    compare,
    inspect,
    look,
    top,
    dissect,
    dream,
    sheet,
    atlas,
    spectrum,
    fool,
    locate,
    train,
    camify,
    read,
    methods,
    metrics,
    models,
    layers,
    samples,
    doctor,
):
    program.add_command(each)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status.

    Args:
        arguments: what stands behind `pellucid`; None takes the process's own, and the process for its own.
    """
    own = arguments is None
    kept = process.start() if own else False  # before torch is imported, which nothing above does
    call = Invocation(list(sys.argv[1:] if arguments is None else arguments), kept)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Unicode must not stop the work
    with console.warnings_in_one_line():
        return _run(call)


def command() -> NoReturn:
    """The entry point of the installed command."""
    process.end(main())


def _run(call: Invocation) -> int:
    try:
        return int(program.main(list(call.arguments), prog_name="pellucid", standalone_mode=False, obj=call) or 0)
    except click.ClickException as error:
        error.show()
        return _told(call, type(error).__name__, error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        console.note("Interrupted.")
        return Cancelled.exit_code
    except PellucidError as error:
        console.error(str(error))
        return _told(call, type(error).__name__, str(error), error.exit_code)
    except SystemExit as error:  # nothing here calls it, so that what was asked for has not been done
        console.error(f"The model's own code ended the program: {said(error)}.")
        return Unexpected.exit_code
    except Exception:
        console.note("This is a bug in Pellucid, or in the model's own code; please report it with these lines:")
        raise


def _told(call: Invocation, kind: str, message: str, code: int) -> int:
    """The exit status; with --json the error stands on standard output too, so that it always holds a document."""
    if "--json" in call.arguments:
        console.document({"error": kind, "message": message, "exit_code": code}, command=call.command)
    return code
