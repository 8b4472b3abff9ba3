"""`--figure`: what a command found as a figure for a paper."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pellucid.cli import console
from pellucid.cli.flags import together
from pellucid.errors import BadOption, PellucidError
from pellucid.paths import usable_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pellucid.cli.results import CommandResult
    from pellucid.explanation import Explanation

figure_flags = together(
    click.option("--figure", "figure", metavar="FILE", help="A figure for a paper of all maps: .pdf, .svg or .png."),
    click.option(
        "--figure-size", metavar="W[xH]", help="Of the figure, in inches. [default: 6.3, as high as it needs]"
    ),
    click.option("--figure-style", type=click.Choice(["overlay", "map"]), help="Maps over the input, or alone."),
    click.option("--figure-dpi", type=click.IntRange(20, 2400), help="Pixels per inch. [default: 300]"),
)
"""Whether, where and how large."""


@dataclass(frozen=True)
class FigureFile:
    """A figure that was asked for.

    Attributes:
        path: of its file.
        look: how it shall look, as `figures.FigureLook` takes it.
    """

    path: Path
    look: Mapping[str, Any]

    def write(self, made: Figure) -> Path:
        """Write it.

        Raises:
            BadOption: it cannot be written.
        """
        from pellucid.figures import save_figure

        return save_figure(made, self.path)


def asked_figure(given: Mapping[str, Any]) -> FigureFile | None:
    """The figure of a command line; everything that could be wrong with it is said before the work begins.

    Raises:
        BadOption: the file's ending or the size cannot be, or there is no file for the size.
        MissingExtra: matplotlib is not installed.
    """
    from pellucid.figures import FigureLook, check_file

    look = {
        **_inches(given["figure_size"]),
        **{name: value for name in ("style", "dpi") if (value := given[f"figure_{name}"]) is not None},
    }
    if given["figure"] is None:
        if look:
            raise BadOption("Nothing says where the figure goes. Add --figure FILE.pdf.")
        return None
    path = usable_path(given["figure"], "--figure")
    check_file(path)
    FigureLook(**look)
    return FigureFile(path, look)


def draw_figure(asked: FigureFile, make: Callable[[], Figure | None], *, quiet: bool) -> int:
    """Make the figure and write it, and say so; what goes wrong is said as well, and nothing else is lost by it.

    Args:
        asked: where.
        make: function that makes it; None: there is nothing to show.
        quiet: whether standard output belongs to a document.

    Returns:
        The exit status: 0, or that of the error.
    """
    try:
        made = make()
        if made is None:
            return 0
        asked.write(made)
    except PellucidError as error:
        console.error(str(error))
        return error.exit_code
    if not quiet:
        console.line(console.plain(f"Figure: {asked.path}"))
    return 0


def figure_of_result(asked: FigureFile, result: CommandResult) -> Figure | None:
    """The figure of all inputs that were explained, also by an earlier call that was stopped; None without any."""
    from pellucid.figures import figure

    found = [each for each in _explanations(result) if len(each)]
    return figure(found, **asked.look) if found else None


def _explanations(result: CommandResult) -> Iterator[Explanation]:
    from pellucid.cli.results import Done
    from pellucid.reading import read

    for each in result.done:
        yield each.explanation if isinstance(each, Done) else read(each.folder)


def _inches(text: str | None) -> dict[str, float]:
    """Width and, if it is there, height."""
    if text is None:
        return {}
    found = re.fullmatch(r"(\d{1,3}(?:\.\d{1,4})?)(?:x(\d{1,3}(?:\.\d{1,4})?))?", text.strip())
    if not found:
        raise BadOption(f"Expected inches such as 6.3 or 6.3x4 for --figure-size, got {text!r}.")
    sides = {"width": found[1], "height": found[2]}
    return {name: float(side) for name, side in sides.items() if side is not None}
