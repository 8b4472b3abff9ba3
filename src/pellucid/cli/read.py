"""`pellucid read FOLDER`: what a saved result holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pellucid.cli import console
from pellucid.cli.console import plain
from pellucid.cli.flags import json_flag
from pellucid.paths import usable_path

if TYPE_CHECKING:
    from pellucid.cli.contents import Holdings
    from pellucid.storage.values import SavedResult

_SHOWN = 40


@click.command(short_help="Tell what a saved result holds.")
@click.argument("folder", metavar="FOLDER|FILE")
@json_flag
def read(folder: str, as_json: bool) -> int:
    """Tell what a saved result holds: its kind, when it was made, by which network, of what, and the range of each map.

    FOLDER is what --out named, or a picture's folder in it; FILE one of the files of a dream. In Python
    pellucid.read(FOLDER) gives the result itself.
    """
    from pellucid.cli.contents import contents
    from pellucid.reading import saved

    path = usable_path(folder, "FOLDER")
    found = saved(path)
    held = contents(found.value)
    kind = type(found.value).__name__
    if as_json:
        document = {
            "path": str(path),
            "kind": kind,
            "saved": found.created or None,
            "saved_by": found.version,
            "holds": [line.known for line in held.lines],
        }
        console.document(document, model=held.model, inputs=held.inputs)
        return 0
    _print(kind, found, held)
    return 0


def _print(kind: str, found: SavedResult, held: Holdings) -> None:
    model = "" if held.model is None else f" of {held.model.name}"
    when = f", saved {found.created}" if found.created else ""
    console.line(plain(f"{kind}{model}{when} by Pellucid {found.version}"), style="bold")
    if held.model is not None and held.model.source:
        console.line(plain(f"Loads again: {held.model.source}"))
    if held.inputs:
        names = [str(each["name"]) for each in held.inputs]
        more = f", ... {len(names)} in all" if len(names) > _SHOWN else ""
        console.line(plain(f"Inputs: {', '.join(names[:_SHOWN])}{more}"))
    if held.lines:
        rows = [
            (*map(plain, (line.what, line.target, line.layer, line.input)), _number(line.least), _number(line.largest))
            for line in held.lines[:_SHOWN]
        ]
        console.table(("what", "of", "layer", "input", ("least", "right"), ("largest", "right")), rows)
    if len(held.lines) > _SHOWN:
        console.line(f"{len(held.lines) - _SHOWN} more: --json has all.")


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"
