"""What people see: tables on standard output, errors and warnings on standard error."""

from __future__ import annotations

import math
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from pellucid.contracts import Model
    from pellucid.evaluation import Metric

_WIDTH_OF_FILES = 120
"""Columns when the output is a file or a pipe and COLUMNS says nothing."""

_WHOLE = ("layer", "method", "id", "option")
"""Columns of names that are copied to the command line: never wrapped."""

_LEGIBLE = 8
"""Letters in a line below which a text is no longer read with ease."""


def terminal(*, errors: bool = False) -> Console:
    """A console on today's standard output or error; what it is given is never read as markup."""
    from rich import console as rich_console

    class Console(rich_console.Console):
        def on_broken_pipe(self) -> None:
            _unread(self.file)

    made = Console(stderr=errors, markup=False, emoji=False, highlight=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = _WIDTH_OF_FILES
    return made


def plain(text: object) -> str:
    """Untrusted text on one line: without control characters, which could steer the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(str(text).split()))


def line(text: str = "", style: str | None = None) -> None:
    """Print a paragraph of trusted or `plain` text."""
    terminal().print(text, style=style)


_LONGEST = 1500
"""Characters of an error: files and other people's code can make it as long as they like."""


def error(text: str) -> None:
    """Print an error as one paragraph on standard error; the middle of a very long one is left out."""
    short = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 300]} [...] {text[-300:]}"
    _aside("Error", short, "bold red")


def warning(text: str) -> None:
    """Print a warning as one paragraph on standard error."""
    _aside("Warning", text, "bold yellow")


def note(text: str) -> None:
    """Print a remark on standard error."""
    terminal(errors=True).print(plain(text), soft_wrap=True)


def _aside(kind: str, text: str, style: str) -> None:
    from rich.text import Text

    terminal(errors=True).print(Text.assemble((f"{kind}: ", style), plain(text)), soft_wrap=True)


def table(
    columns: Sequence[str | tuple[str, str]], rows: Iterable[Sequence[RenderableType]], *, title: str | None = None
) -> None:
    """Print a table; where its columns would not fit, each row as a paragraph of its own. Nothing is cut.

    Args:
        columns: headings; those given as (heading, "right") hold numbers.
        rows: texts must be `plain`.
        title: stands above it.
    """
    from rich import box
    from rich.table import Table

    named = [(column, "left") if isinstance(column, str) else column for column in columns]
    made = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    for heading, justify in named:
        made.add_column(
            heading, justify="right" if justify == "right" else "left", overflow="fold", no_wrap=heading in _WHOLE
        )
    listed = [list(row) for row in rows]
    for row in listed:
        made.add_row(*row)
    place = terminal()
    if _least_width(place, made) <= place.width:
        place.print(made)
    else:
        _paragraphs(place, [heading for heading, _ in named], listed, title)


def _least_width(place: Console, made: Table) -> int:
    """Columns of the terminal below which a table is cut, or its texts are torn into single letters."""
    from rich.measure import Measurement

    widths = [
        max(
            (wide.maximum if column.no_wrap else min(wide.minimum, _LEGIBLE))
            for cell in (column.header, *column.cells)
            for wide in (Measurement.get(place, place.options, cell),)
        )
        for column in made.columns
    ]
    return sum(widths) + 2 * len(widths)


def _paragraphs(
    place: Console, headings: Sequence[str], rows: Sequence[Sequence[RenderableType]], title: str | None
) -> None:
    """Rows one below the other: of each its headings on the left and what stands under them on the right."""
    from rich.table import Table

    if title:
        place.print(title, style="bold")
    names = [heading.partition("\n")[0] for heading in headings]
    for row in rows:
        made = Table.grid(padding=(0, 1))
        made.add_column(overflow="fold", style="dim", max_width=max(place.width // 3, 1))
        made.add_column(overflow="fold")
        for name, cell in zip(names, row, strict=False):
            if cell != "":
                made.add_row(name, cell)
        place.print(made)
        place.print()


def metric_heading(metric: Metric) -> tuple[str, str]:
    """A metric's heading in `table`, which says whether small or large scores are better."""
    return f"{metric.id}\n{metric.better} is better", "right"


def bar(share: float, width: int = 24) -> RenderableType:
    """A bar for a number between 0 and 1."""
    from rich.progress_bar import ProgressBar

    return ProgressBar(total=1.0, completed=min(max(share, 0.0), 1.0) if math.isfinite(share) else 0.0, width=width)


def document(
    content: Mapping[str, Any],
    *,
    model: Model | None = None,
    inputs: Iterable[Mapping[str, Any]] = (),
    schema_version: int = 1,
    command: str = "",
) -> None:
    """Print one JSON document on standard output.

    Args:
        content: what it says; a name of the head that stands in it replaces the head's own.
        model: the network, where there is one.
        inputs: what it was given, see `storage.provenance.input_record`.
        schema_version: goes up when a name in the document goes or means something else.
        command: the command line; "" is the one at work.
    """
    from pellucid.storage.plain_json import as_json
    from pellucid.storage.provenance import head

    # What comes from a function that made the whole document has its head already.
    own = {} if "inputs" in content else head(
        command=command or _command(), model=model, inputs=inputs, schema_version=schema_version
    )  # fmt: skip
    try:
        sys.stdout.write(as_json({**own, **content}, indent=2, ascii_only=True))
    except BrokenPipeError:
        _unread(sys.stdout)


def _unread(stream: IO[str]) -> None:
    """Whoever read a stream (`| head -1`) has stopped reading: what else is said goes nowhere, and the work goes on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _command() -> str:
    """The command line that is at work."""
    import click

    context = click.get_current_context(silent=True)
    return getattr(context and context.obj, "command", "")


@contextmanager
def warnings_in_one_line() -> Iterator[None]:
    """Show Python's warnings for users as one line each, without file names and source lines."""
    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("default", UserWarning)
        warnings.showwarning = lambda message, *_, **__: warning(str(message))
        yield
